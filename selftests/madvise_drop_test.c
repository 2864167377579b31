// SPDX-License-Identifier: GPL-2.0
/*
 * madvise(2) that gives memory up: after MADV_DONTNEED the range shows what is
 * behind the mapping, MADV_FREE leaves pages to be taken unless they are stored
 * to again, MADV_REMOVE punches a hole into the object itself. Nothing outside
 * of the range is touched.
 */
#include "memsafe.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define PAGES 3
#define ROUNDS 20
#define STORED 0x11 /* in the mapping */
#define BEHIND 0x22 /* in a file, before */

/*
 *	| page 0 | page 1 | page 2 |
 *	^p       ^middle
 */
FIXTURE(madvise_drop)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
	unsigned char *middle;
};

FIXTURE_VARIANT(madvise_drop)
{
	enum backing backing;
	int sharing;
};

BACKINGS(madvise_drop);

FIXTURE_SETUP(madvise_drop)
{
	const char *needs = backing_needs(variant->backing);
	char behind[256];

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, self->fd);
	memset(behind, BEHIND, sizeof(behind));
	for (size_t at = 0; has_file(variant->backing) && at < self->len;
	     at += sizeof(behind))
		ASSERT_EQ(sizeof(behind),
			  pwrite(self->fd, behind, sizeof(behind), at));
	self->p = map_alone(self->len, PROT_RW, variant->sharing, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	self->middle = self->p + self->ps;
	memset(self->p, STORED, self->len);
}

FIXTURE_TEARDOWN(madvise_drop)
{
}

/* The first and the last page still hold what was stored. */
#define EXPECT_NEIGHBOURS_UNCHANGED(self)                                      \
	do {                                                                   \
		EXPECT_EQ((self)->ps,                                          \
			  first_other((self)->p, (self)->ps, STORED));         \
		EXPECT_EQ((self)->ps, first_other((self)->middle + (self)->ps, \
						  (self)->ps, STORED));        \
	} while (0)

TEST_F(madvise_drop, dontneed_shows_what_is_behind_the_mapping)
{
	int behind = has_file(variant->backing) ? BEHIND : 0;

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_DONTNEED));

	EXPECT_EQ(PAGES - 1, present_pages(self->p, self->len));
	EXPECT_EQ(self->ps,
		  first_other(self->middle, self->ps,
			      variant->sharing == MAP_SHARED ? STORED :
							       behind));
	EXPECT_NEIGHBOURS_UNCHANGED(self);
	EXPECT_EQ(1, count_vmas(self->p, self->len));
}

TEST_F(madvise_drop, dontneed_rounds_the_length_up)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->ps + 1, MADV_DONTNEED));

	EXPECT_EQ(PAGES - 2, present_pages(self->p, self->len));
	EXPECT_FALSE(is_present(self->middle));
	EXPECT_TRUE(is_present(self->middle + self->ps));
}

TEST_F(madvise_drop, dontneed_takes_the_memory_from_this_process)
{
	long page_kb = self->ps / 1024;

	ASSERT_EQ(PAGES * page_kb, smaps_kb(self->p, "Rss"));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_DONTNEED));

	EXPECT_EQ((PAGES - 1) * page_kb, smaps_kb(self->p, "Rss"));
	EXPECT_EQ(PAGES * page_kb, smaps_kb(self->p, "Size"));
}

static int drop_page(void *p)
{
	/* fork() leaves out what a fault can bring back. */
	if (peek(p) != STORED || madvise(p, page_size(), MADV_DONTNEED))
		return 255;
	return is_present(p);
}

TEST_F(madvise_drop, dontneed_of_a_child_is_its_own)
{
	ACT(madvise);
	EXPECT_EQ(0, in_child(drop_page, self->middle));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(self->len, first_other(self->p, self->len, STORED));
}

TEST_F(madvise_drop, dontneed_locked_drops_pages_that_are_locked)
{
	if (mlock2(self->p, self->len, MLOCK_ONFAULT))
		SKIP(return, "needs RLIMIT_MEMLOCK or CAP_IPC_LOCK");
	if (madvise(self->p, 0, MADV_DONTNEED_LOCKED))
		SKIP(return, "needs MADV_DONTNEED_LOCKED (v5.18)");

	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->middle, self->ps, MADV_DONTNEED));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_DONTNEED_LOCKED));

	EXPECT_EQ(PAGES - 1, present_pages(self->p, self->len));
	EXPECT_TRUE(is_locked(self->middle));
	EXPECT_NEIGHBOURS_UNCHANGED(self);
}

/* "free up a given range of pages and its associated backing store" */
TEST_F(madvise_drop, remove_punches_a_hole_into_a_shared_object)
{
	int err = variant->backing == ANON ? EINVAL : EACCES;
	unsigned char in_file[1];

	ACT(madvise);
	if (variant->sharing == MAP_PRIVATE) {
		EXPECT_ERRNO(err, madvise(self->middle, self->ps, MADV_REMOVE));
		EXPECT_EQ(self->len, first_other(self->p, self->len, STORED));
		return;
	}
	ASSERT_EQ(0, madvise(self->middle, self->ps, MADV_REMOVE));

	/* Before an access makes a page of a hole in a memfd. */
	if (has_file(variant->backing))
		EXPECT_EQ(self->ps, lseek(self->fd, 0, SEEK_HOLE));
	EXPECT_EQ(self->ps, first_nonzero(self->middle, self->ps));
	EXPECT_NEIGHBOURS_UNCHANGED(self);
	if (has_file(variant->backing)) {
		EXPECT_EQ(1, pread(self->fd, in_file, 1, self->ps));
		EXPECT_EQ(0, in_file[0]);
		EXPECT_EQ(self->len, lseek(self->fd, 0, SEEK_END));
	}
}

TEST_F(madvise_drop, remove_in_a_child_is_seen_by_all)
{
	int behind = variant->sharing == MAP_SHARED ? 0 : STORED;
	pid_t child;

	ACT(madvise);
	child = fork();
	if (!child)
		_exit(madvise(self->middle, self->ps, MADV_REMOVE) ? errno : 0);
	EXPECT_EQ(behind ? (variant->backing == ANON ? EINVAL : EACCES) : 0,
		  child_end(child));
	EXPECT_EQ(self->ps, first_other(self->middle, self->ps, behind));
	EXPECT_EQ(STORED, peek(self->p));
}

/* Three private anonymous pages, and this process on one CPU. */
FIXTURE(madvise_free)
{
	size_t ps;
	size_t len;
	unsigned char *p;
};

FIXTURE_SETUP(madvise_free)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	ASSERT_TRUE(stay_on_this_cpu());
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	memset(self->p, STORED, self->len);
}

FIXTURE_TEARDOWN(madvise_free)
{
}

/*
 * MADV_FREE puts pages on their list through a batch of this CPU, which the
 * next one empties.
 */
static int free_lazily(void *p, size_t len)
{
	return madvise(p, len, MADV_FREE) || madvise(p, len, MADV_FREE);
}

TEST_F(madvise_free, free_pages_stay_until_they_are_needed)
{
	ACT(madvise);
	ASSERT_EQ(0, free_lazily(self->p, self->len));

	EXPECT_EQ(PAGES * (long)self->ps / 1024, smaps_kb(self->p, "LazyFree"));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(0, smaps_kb(self->p, "Private_Dirty"));
}

TEST_F(madvise_free, store_takes_the_page_back)
{
	ACT(madvise);
	ASSERT_EQ(0, free_lazily(self->p, self->len));
	ASSERT_TRUE(poke(self->p + self->ps, 7));

	EXPECT_EQ((PAGES - 1) * (long)self->ps / 1024,
		  smaps_kb(self->p, "LazyFree"));
	EXPECT_EQ((long)self->ps / 1024, smaps_kb(self->p, "Private_Dirty"));
}

/* Reclaim takes what is free, and nothing else. */
TEST_F(madvise_free, page_that_was_stored_to_survives_reclaim)
{
	unsigned char *kept = self->p + self->ps;

	ACT(madvise);
	ASSERT_EQ(0, free_lazily(self->p, self->len));
	ASSERT_TRUE(poke(kept, 7));
	for (int round = 0; round < ROUNDS && peek(self->p); round++)
		EXPECT_EQ(0, madvise(self->p, self->len, MADV_PAGEOUT));

	EXPECT_EQ(0, peek(self->p));
	EXPECT_EQ(7, peek(kept));
	EXPECT_EQ(STORED, peek(kept + 1));
	EXPECT_EQ(0, peek(kept + self->ps));
}

/* MADV_PAGEOUT reclaims them at once; no swap is needed for free pages. */
TEST_F(madvise_free, reclaimed_pages_are_zero_and_those_stored_to_are_not)
{
	unsigned char *middle = self->p + self->ps;

	ACT(madvise);
	ASSERT_EQ(0, free_lazily(self->p, self->len));
	ASSERT_TRUE(poke(middle, 7));
	ASSERT_EQ(0, madvise(self->p, self->ps, MADV_PAGEOUT));
	ASSERT_EQ(0, madvise(middle + self->ps, self->ps, MADV_PAGEOUT));

	EXPECT_EQ(1, present_pages(self->p, self->len));
	EXPECT_EQ(self->ps, first_nonzero(self->p, self->ps));
	EXPECT_EQ(7, peek(middle));
	EXPECT_EQ(self->ps - 1, first_other(middle + 1, self->ps - 1, STORED));
	EXPECT_EQ(self->ps, first_nonzero(middle + self->ps, self->ps));
}

static int load_byte(void *p)
{
	return peek(p);
}

/* What is shared with a child since fork() is the child's still. */
TEST_F(madvise_free, page_of_a_child_is_not_lost)
{
	int gate[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe(gate));
	child = fork();
	if (!child)
		_exit(read(gate[0], &c, 1) == 1 ? load_byte(self->p) : 255);

	ACT(madvise);
	EXPECT_EQ(0, madvise(self->p, self->len, MADV_FREE));
	EXPECT_EQ(0, madvise(self->p, self->len, MADV_DONTNEED));
	EXPECT_EQ(self->len, first_nonzero(self->p, self->len));
	EXPECT_EQ(1, write(gate[1], "", 1));
	EXPECT_EQ(STORED, child_end(child));
}

TEST_HARNESS_MAIN
