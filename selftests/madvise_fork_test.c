// SPDX-License-Identifier: GPL-2.0
/*
 * madvise(2) that marks a mapping: left out of a child or zeroed in it, left
 * out of a dump, read ahead or not. A mark is on exactly the pages of its
 * range, splits and merges mappings, and its opposite takes it back.
 */
#include "memsafe.h"

#define PAGES 3

/* Three pages of 0x11. */
FIXTURE(madvise_fork)
{
	size_t ps;
	size_t len;
	unsigned char *p;
	unsigned char *middle;
};

FIXTURE_VARIANT(madvise_fork)
{
	enum backing backing;
	int sharing;
};

BACKING(madvise_fork, anon, ANON, MAP_PRIVATE);
BACKING(madvise_fork, zero, ZERO, MAP_PRIVATE);
BACKING(madvise_fork, shmem, SHMEM, MAP_SHARED);

FIXTURE_SETUP(madvise_fork)
{
	const char *needs = backing_needs(variant->backing);
	int fd;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, fd);
	self->p = map_alone(self->len, PROT_RW, variant->sharing, fd);
	ASSERT_NE(MAP_FAILED, self->p);
	self->middle = self->p + self->ps;
	memset(self->p, 0x11, self->len);
}

FIXTURE_TEARDOWN(madvise_fork)
{
}

static int load_byte(void *p)
{
	struct fault f = probe_read(p);

	return f.signal ? -f.signal & 0xff : peek(p);
}

/* What load_byte() returns when nothing is mapped. */
#define MAPERR (-SIGSEGV & 0xff)

TEST_F(madvise_fork, dontfork_pages_are_not_in_a_child)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_DONTFORK));

	EXPECT_EQ(MAPERR, in_child(load_byte, self->middle));
	EXPECT_EQ(MAPERR, in_child(load_byte, self->middle + self->ps - 1));
	EXPECT_EQ(0x11, in_child(load_byte, self->middle - 1));
	EXPECT_EQ(0x11, in_child(load_byte, self->middle + self->ps));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
}

/* How many pages smaller this process is than one of @arg kB. */
static int pages_less(void *arg)
{
	const long *kb = arg;

	return (*kb - vm_status_kb("VmSize")) * 1024 / (long)page_size();
}

TEST_F(madvise_fork, dontfork_pages_are_not_counted_in_a_child)
{
	long kb;

	ACT(madvise);
	EXPECT_EQ(0, madvise(self->p, self->len, MADV_DONTFORK));
	kb = vm_status_kb("VmSize");
	EXPECT_EQ(PAGES, in_child(pages_less, &kb));
	EXPECT_EQ(kb, vm_status_kb("VmSize"));
}

TEST_F(madvise_fork, dofork_takes_dontfork_back)
{
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_DONTFORK));
	ASSERT_TRUE(has_vm_flag(self->middle, "dc"));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_DOFORK));

	EXPECT_FALSE(has_vm_flag(self->middle, "dc"));
	EXPECT_EQ(0x11, in_child(load_byte, self->middle));
}

struct mark {
	int set;
	int unset;
	const char *flag;
};

static const struct mark marks[] = {
	{ MADV_DONTFORK, MADV_DOFORK, "dc" },
	{ MADV_DONTDUMP, MADV_DODUMP, "dd" },
	{ MADV_SEQUENTIAL, MADV_NORMAL, "sr" },
	{ MADV_RANDOM, MADV_NORMAL, "rr" },
};

#define for_each_mark(m) for (const struct mark *m = marks; m < marks + 4; m++)

TEST_F(madvise_fork, mark_is_on_its_range_and_goes_again)
{
	ACT(madvise);
	for_each_mark(m)
	{
		ASSERT_EQ(0, madvise(self->middle, self->ps, m->set));
		EXPECT_EQ(PAGES, count_vmas(self->p, self->len));
		EXPECT_TRUE(has_vm_flag(self->middle, m->flag))
		{
			TH_LOG("flag %s", m->flag);
		}
		EXPECT_FALSE(has_vm_flag(self->p, m->flag));
		EXPECT_FALSE(has_vm_flag(self->middle + self->ps, m->flag));
		ASSERT_EQ(0, madvise(self->middle, self->ps, m->unset));
		EXPECT_FALSE(has_vm_flag(self->middle, m->flag));
		EXPECT_EQ(1, count_vmas(self->p, self->len));
	}
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
}

TEST_F(madvise_fork, sequential_and_random_exclude_each_other)
{
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_SEQUENTIAL));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_RANDOM));

	EXPECT_TRUE(has_vm_flag(self->p, "rr"));
	EXPECT_FALSE(has_vm_flag(self->p, "sr"));
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_SEQUENTIAL));
	EXPECT_TRUE(has_vm_flag(self->p, "sr"));
	EXPECT_FALSE(has_vm_flag(self->p, "rr"));
}

/* The object of a shared or file mapping is not the child's to be wiped. */
TEST_F(madvise_fork, wipeonfork_is_for_private_anonymous_memory)
{
	bool can = variant->backing == ANON && variant->sharing == MAP_PRIVATE;

	ACT(madvise);
	EXPECT_ERRNO(can ? 0 : EINVAL,
		     madvise(self->p, self->len, MADV_WIPEONFORK));
	EXPECT_EQ(can, has_vm_flag(self->p, "wf"));
	EXPECT_EQ(can ? 0 : 0x11, in_child(load_byte, self->p));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
}

/* Three private anonymous pages of 0x11. */
FIXTURE(madvise_wipe)
{
	size_t ps;
	size_t len;
	unsigned char *p;
	unsigned char *middle;
};

FIXTURE_SETUP(madvise_wipe)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	self->middle = self->p + self->ps;
	memset(self->p, 0x11, self->len);
}

FIXTURE_TEARDOWN(madvise_wipe)
{
}

/* 7 when exactly the middle page is wiped. */
static int wiped_middle(void *p)
{
	size_t ps = page_size();
	unsigned char *middle = p;

	return first_nonzero(middle, ps) == ps &&
			       first_other(middle - ps, ps, 0x11) == ps &&
			       first_other(middle + ps, ps, 0x11) == ps ?
		       7 :
		       255;
}

TEST_F(madvise_wipe, exactly_its_range_is_zero_in_a_child)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_WIPEONFORK));

	EXPECT_EQ(7, in_child(wiped_middle, self->middle));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
}

/* The wiped page is the child's to use, and inherits the mark. */
static int wiped_in_grandchild(void *p)
{
	if (!poke(p, 9))
		return 255;
	return in_child(load_byte, p) == 0 && peek(p) == 9 ? 7 : 254;
}

TEST_F(madvise_wipe, mark_is_inherited)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_WIPEONFORK));

	EXPECT_EQ(7, in_child(wiped_in_grandchild, self->middle));
	EXPECT_EQ(0x11, peek(self->middle));
}

TEST_F(madvise_wipe, keeponfork_takes_it_back)
{
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_WIPEONFORK));
	ASSERT_EQ(0, in_child(load_byte, self->p));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_KEEPONFORK));

	EXPECT_EQ(0x11, in_child(load_byte, self->p));
	EXPECT_FALSE(has_vm_flag(self->p, "wf"));
}

TEST_HARNESS_MAIN
