// SPDX-License-Identifier: GPL-2.0
/*
 * The right to write is no right to write to somebody else's page: a private page
 * that is shared with a child, with a file or with nobody at all is copied before it
 * is written, also after mprotect() has taken the right away and given it back
 * (mprotect(2), fork(2)).
 */
#include "memsafe.h"

#define OLD 0x11
#define NEW 0x77

/* Private pages of OLD; the memory of a huge one where that is wanted. */
FIXTURE(cow_mprotect)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
	unsigned char *last; /* page */
	int gate[2];
};

FIXTURE_VARIANT(cow_mprotect)
{
	enum backing backing;
	bool huge;
	bool split; /* into small pages, before anything else */
};

FIXTURE_VARIANT_ADD(cow_mprotect, anon){ .backing = ANON };
FIXTURE_VARIANT_ADD(cow_mprotect, thp){ .backing = ANON, .huge = true };
FIXTURE_VARIANT_ADD(cow_mprotect, thp_split){
	.backing = ANON, .huge = true, .split = true
};
FIXTURE_VARIANT_ADD(cow_mprotect, shmem){ .backing = SHMEM };
FIXTURE_VARIANT_ADD(cow_mprotect, file){ .backing = DISK };

FIXTURE_SETUP(cow_mprotect)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = variant->huge ? thp_size() : 4 * self->ps;
	self->fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, self->fd);
	self->p = variant->huge ? map_thp() :
				  map_alone(self->len, PROT_RW, MAP_PRIVATE,
					    self->fd);
	if (!self->p)
		SKIP(return, "needs a transparent huge page");
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, pipe(self->gate));
	if (variant->split) {
		self->len -= self->ps;
		ASSERT_EQ(0, munmap(self->p + self->len, self->ps));
	}
	self->last = self->p + self->len - self->ps;
}

FIXTURE_TEARDOWN(cow_mprotect)
{
}

static bool store_both(FIXTURE_DATA(cow_mprotect) * self)
{
	return poke(self->p, NEW) && poke(self->last, NEW);
}

/* OLD or NEW when both pages have it, else 253. */
static int both(FIXTURE_DATA(cow_mprotect) * self)
{
	return peek(self->p) == peek(self->last) ? peek(self->p) : 253;
}

static int look_after_gate(FIXTURE_DATA(cow_mprotect) * self)
{
	char c;

	return read(self->gate[0], &c, 1) == 1 ? both(self) : 255;
}

TEST_F(cow_mprotect, parent_with_its_right_back_writes_to_a_copy)
{
	pid_t child;

	memset(self->p, OLD, self->len);
	child = fork();
	if (!child)
		_exit(look_after_gate(self));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	ACT(mprotect);
	EXPECT_EQ(0, mprotect(self->p, self->len, PROT_RW));
	EXPECT_TRUE(store_both(self));
	EXPECT_EQ(NEW, both(self));
	EXPECT_EQ(1, write(self->gate[1], "", 1));
	EXPECT_EQ(OLD, child_end(child));
}

static int write_with_the_right_back(FIXTURE_DATA(cow_mprotect) * self)
{
	if (mprotect(self->p, self->len, PROT_READ) ||
	    probe_write(self->p).signal != SIGSEGV ||
	    mprotect(self->p, self->len, PROT_RW) || !store_both(self))
		return 254;
	return both(self);
}

TEST_F(cow_mprotect, child_with_its_right_back_writes_to_a_copy)
{
	pid_t child;

	memset(self->p, OLD, self->len);

	ACT(mprotect);
	child = fork();
	if (!child)
		_exit(write_with_the_right_back(self));
	EXPECT_EQ(NEW, child_end(child));
	EXPECT_EQ(OLD, both(self));
}

/* What is only read is the file's own page, or the page of zeros. */
TEST_F(cow_mprotect, untouched_page_with_the_right_back_is_copied)
{
	ASSERT_NO_FAULT(probe_read(self->p));
	ASSERT_NO_FAULT(probe_read(self->last));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	ACT(mprotect);
	EXPECT_EQ(0, mprotect(self->p, self->len, PROT_RW));
	EXPECT_TRUE(store_both(self));
	EXPECT_EQ(NEW, both(self));
	if (self->fd >= 0) {
		unsigned char byte = NEW;

		EXPECT_EQ(1, pread(self->fd, &byte, 1, 0));
		EXPECT_EQ(0, byte);
	}
}

/* A page that is nobody else's any more needs no copy, and gets none. */
TEST_F(cow_mprotect, last_user_keeps_what_it_has)
{
	pid_t child;

	memset(self->p, OLD, self->len);
	child = fork();
	if (!child)
		_exit(both(self));
	ASSERT_EQ(OLD, child_end(child));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	ACT(mprotect);
	EXPECT_EQ(0, mprotect(self->p, self->len, PROT_RW));
	EXPECT_EQ(OLD, both(self));
	EXPECT_TRUE(store_both(self));
	EXPECT_EQ(OLD, peek(self->p + 1));
	EXPECT_EQ(OLD, peek(self->last + self->ps - 1));
}

TEST_HARNESS_MAIN
