// SPDX-License-Identifier: GPL-2.0
/*
 * Which process sees a store (mmap(2), fork(2)): through MAP_SHARED every one,
 * through MAP_PRIVATE nobody else; and fresh memory holds nobody's data.
 */
#include "memsafe.h"

/* One page that a child inherits. */
FIXTURE(forked)
{
	size_t ps;
	int fd;
	int gate[2]; /* a pipe that the child waits on */
	unsigned char *page;
};

FIXTURE_VARIANT(forked)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(forked, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(forked, zero)
{
	.backing = ZERO,
};

FIXTURE_VARIANT_ADD(forked, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(forked, file)
{
	.backing = DISK,
};

FIXTURE_SETUP(forked)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->fd = backing_open(variant->backing, self->ps);
	ASSERT_NE(-2, self->fd);
	ASSERT_EQ(0, pipe(self->gate));
}

FIXTURE_TEARDOWN(forked)
{
}

/* Waits until the parent opens the gate. */
static int load_after_gate(void *arg)
{
	FIXTURE_DATA(forked) *self = arg;
	char c;

	if (read(self->gate[0], &c, 1) != 1)
		return 255;
	return peek(self->page);
}

TEST_F(forked, shared_store_of_a_child_is_seen)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(self->page, self->ps);

	EXPECT_EQ(7, in_child(store_seven, self->page));
	EXPECT_EQ(7, peek(self->page));
}

TEST_F(forked, shared_store_is_seen_by_a_child)
{
	pid_t child;

	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(self->page, self->ps);

	child = child_start(load_after_gate, self);
	EXPECT_TRUE(poke(self->page, 7));
	EXPECT_EQ(1, write(self->gate[1], "", 1));
	EXPECT_EQ(7, child_end(child));
}

TEST_F(forked, private_store_of_a_child_stays_there)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(self->page, self->ps);
	ASSERT_TRUE(poke(self->page, 5));

	EXPECT_EQ(7, in_child(store_seven, self->page));
	EXPECT_EQ(5, peek(self->page));
}

TEST_F(forked, private_store_is_not_seen_by_a_child)
{
	pid_t child;

	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(self->page, self->ps);
	ASSERT_TRUE(poke(self->page, 5));

	child = child_start(load_after_gate, self);
	EXPECT_TRUE(poke(self->page, 7));
	EXPECT_EQ(1, write(self->gate[1], "", 1));
	EXPECT_EQ(5, child_end(child));
}

/* Pages no one wrote to before the fork are private too. */
TEST_F(forked, untouched_private_page_is_private_to_a_child)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(self->page, self->ps);

	EXPECT_EQ(7, in_child(store_seven, self->page));
	EXPECT_EQ(self->ps, first_nonzero(self->page, self->ps));
}

static int map_and_store(void *p)
{
	size_t ps = page_size();

	if (mmap(p, ps, PROT_RW,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != p)
		return 255;
	return store_seven(p);
}

/* A mapping belongs to the process that makes it, be it shared. */
TEST_F(forked, mapping_of_a_child_is_not_in_its_parent)
{
	unsigned char *p = free_range(self->ps, self->ps);

	ASSERT_NE(MAP_FAILED, p);

	ACT(mmap);
	ASSERT_EQ(7, in_child(map_and_store, p));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_read(p));
}

/* Enough pages that some of those just freed come back. */
#define SECRET_PAGES 256

TEST(fresh_memory_is_zero_after_a_secret_was_there)
{
	size_t len = SECRET_PAGES * page_size();
	unsigned char *p =
		mmap(NULL, len, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0xa5, len);
	ASSERT_EQ(0, munmap(p, len));

	ACT(mmap);
	p = mmap(NULL, len, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(p, len);

	EXPECT_EQ(len, first_nonzero(p, len));
}

TEST_HARNESS_MAIN
