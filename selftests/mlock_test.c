// SPDX-License-Identifier: GPL-2.0
/*
 * mlock(2), mlock2(2) and munlock(2) by what they do to pages: resident, in
 * the page table and counted as locked, in whole pages, without stacking; and
 * gone again after munlock(). Limits are in mlock_limit_test.c.
 */

#include "memsafe.h"

#define PAGES 4

FIXTURE(mlock)
{
	size_t ps;
	size_t len;
	long locked; /* VmLck before the test, kB */
	unsigned char *p; /* PAGES pages, alone, not touched */
};

FIXTURE_VARIANT(mlock)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(mlock, anon)
{
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(mlock, file)
{
	.backing = DISK,
	.sharing = MAP_SHARED,
};

FIXTURE_SETUP(mlock)
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
	self->locked = vm_status_kb("VmLck");
	ASSERT_LE(0, self->locked);
}

FIXTURE_TEARDOWN(mlock)
{
}

/* How much more is locked than at the start, in pages. */
#define LOCKED_PAGES \
	((vm_status_kb("VmLck") - self->locked) * 1024 / (long)self->ps)

TEST_F(mlock, makes_all_pages_present_and_locked)
{
	ASSERT_EQ(0, present_pages(self->p, self->len));

	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->len));

	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(PAGES, resident_pages(self->p, self->len));
	EXPECT_TRUE(is_locked(self->p));
	EXPECT_EQ(self->len / 1024, smaps_kb(self->p, "Locked"));
	EXPECT_EQ(PAGES, LOCKED_PAGES);
}

TEST_F(mlock, keeps_the_data)
{
	fill(self->p, self->len, 7);

	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->len));

	EXPECT_TRUE(is_locked(self->p));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, 7));
}

TEST_F(mlock, munlock_unlocks)
{
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_EQ(PAGES, LOCKED_PAGES);

	ACT(munlock);
	ASSERT_EQ(0, munlock(self->p, self->len));

	EXPECT_FALSE(is_locked(self->p));
	EXPECT_EQ(0, smaps_kb(self->p, "Locked"));
	EXPECT_EQ(0, LOCKED_PAGES);
	EXPECT_EQ(PAGES, resident_pages(self->p, self->len));
}

/* MADV_DONTNEED is refused for locked pages (madvise(2)), and only there. */
TEST_F(mlock, locked_pages_can_not_be_dropped)
{
	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->len));

	EXPECT_ERRNO(EINVAL, madvise(self->p, self->len, MADV_DONTNEED));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	ASSERT_EQ(0, munlock(self->p, self->len));
	EXPECT_EQ(0, madvise(self->p, self->len, MADV_DONTNEED));
	EXPECT_EQ(0, present_pages(self->p, self->len));
}

TEST_F(mlock, locks_the_whole_page_of_one_byte)
{
	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p + self->ps + 123, 1));

	EXPECT_EQ(1, LOCKED_PAGES);
	EXPECT_FALSE(is_locked(self->p));
	EXPECT_TRUE(is_locked(self->p + self->ps));
	EXPECT_FALSE(is_locked(self->p + 2 * self->ps));
}

TEST_F(mlock, two_bytes_across_a_boundary_lock_two_pages)
{
	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p + 2 * self->ps - 1, 2));

	EXPECT_EQ(2, LOCKED_PAGES);
	EXPECT_FALSE(is_locked(self->p));
	EXPECT_TRUE(is_locked(self->p + self->ps));
	EXPECT_TRUE(is_locked(self->p + 2 * self->ps));
	EXPECT_FALSE(is_locked(self->p + 3 * self->ps));
}

/* Touched first: only anonymous parts with a common history merge again. */
TEST_F(mlock, of_the_middle_splits_and_munlock_merges)
{
	fill(self->p, self->len, 7);

	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p + self->ps, self->ps));

	EXPECT_EQ(3, count_vmas(self->p, self->len));
	EXPECT_EQ(1, LOCKED_PAGES);
	ASSERT_EQ(0, munlock(self->p + self->ps, self->ps));
	EXPECT_EQ(1, count_vmas(self->p, self->len));
}

TEST_F(mlock, overlapping_ranges_count_once)
{
	ASSERT_EQ(0, mlock(self->p, 2 * self->ps));

	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p + self->ps, 2 * self->ps));

	EXPECT_EQ(3, LOCKED_PAGES);
	EXPECT_TRUE(is_locked(self->p + 2 * self->ps));
	EXPECT_FALSE(is_locked(self->p + 3 * self->ps));
}

/* "Memory locks do not stack" */
TEST_F(mlock, one_munlock_undoes_two_locks)
{
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_EQ(PAGES, LOCKED_PAGES);

	ACT(munlock);
	ASSERT_EQ(0, munlock(self->p, self->len));

	EXPECT_EQ(0, LOCKED_PAGES);
	EXPECT_FALSE(is_locked(self->p));
}

TEST_F(mlock, munlock_of_a_part_leaves_the_rest_locked)
{
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(munlock);
	ASSERT_EQ(0, munlock(self->p + self->ps, self->ps));

	EXPECT_EQ(PAGES - 1, LOCKED_PAGES);
	EXPECT_TRUE(is_locked(self->p));
	EXPECT_FALSE(is_locked(self->p + self->ps));
	EXPECT_TRUE(is_locked(self->p + 2 * self->ps));
}

TEST_F(mlock, munmap_gives_the_locked_count_back)
{
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(munmap);
	ASSERT_EQ(0, munmap(self->p, 2 * self->ps));

	EXPECT_EQ(PAGES - 2, LOCKED_PAGES);
	EXPECT_TRUE(is_locked(self->p + 2 * self->ps));
	EXPECT_UNMAPPED(self->p, 2 * self->ps);
}

TEST_F(mlock, replacing_a_locked_page_unlocks_it)
{
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(mmap);
	ASSERT_EQ(self->p,
		  mmap(self->p, self->ps, PROT_RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));

	EXPECT_EQ(PAGES - 1, LOCKED_PAGES);
	EXPECT_FALSE(is_locked(self->p));
	EXPECT_FALSE(is_present(self->p));
}

TEST_F(mlock, mprotect_keeps_the_lock)
{
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p + self->ps, self->ps, PROT_READ));

	EXPECT_EQ(3, count_vmas(self->p, self->len));
	EXPECT_TRUE(is_locked(self->p + self->ps));
	EXPECT_EQ(PAGES, LOCKED_PAGES);
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
}

TEST_F(mlock, mremap_that_moves_keeps_the_lock)
{
	unsigned char *to = free_range(self->len, self->ps);

	ASSERT_NE(MAP_FAILED, to);
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(mremap);
	ASSERT_EQ(to, mremap(self->p, self->len, self->len,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));

	EXPECT_TRUE(is_locked(to));
	EXPECT_EQ(PAGES, present_pages(to, self->len));
	EXPECT_EQ(PAGES, LOCKED_PAGES);
	EXPECT_UNMAPPED(self->p, self->len);
}

/* What is left behind is not locked any more: mremap(2), MREMAP_DONTUNMAP */
TEST_F(mlock, mremap_without_unmapping_takes_the_lock_along)
{
	unsigned char *to = free_range(self->len, self->ps);

	ASSERT_NE(MAP_FAILED, to);
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(mremap);
	ASSERT_EQ(to, mremap(self->p, self->len, self->len,
			     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
			     to));

	EXPECT_TRUE(is_locked(to));
	EXPECT_FALSE(is_locked(self->p));
	EXPECT_EQ(PAGES, LOCKED_PAGES);
}

/* "new pages are populated", mremap(2): as if MAP_LOCKED */
TEST_F(mlock, mremap_that_grows_locks_the_new_pages)
{
	size_t half = self->len / 2;

	ASSERT_EQ(0, munmap(self->p + half, half));
	ASSERT_EQ(0, mlock(self->p, half));
	ASSERT_EQ(PAGES / 2, LOCKED_PAGES);

	ACT(mremap);
	ASSERT_EQ(self->p, mremap(self->p, half, self->len, 0));

	EXPECT_EQ(PAGES, LOCKED_PAGES);
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(1, count_vmas(self->p, self->len));
}

TEST_F(mlock, onfault_locks_without_populating)
{
	ACT(mlock2);
	ASSERT_EQ(0, mlock2(self->p, self->len, MLOCK_ONFAULT));

	EXPECT_TRUE(is_locked(self->p));
	EXPECT_EQ(PAGES, LOCKED_PAGES);
	EXPECT_EQ(0, present_pages(self->p, self->len));
}

TEST_F(mlock, onfault_page_is_locked_when_touched)
{
	ACT(mlock2);
	ASSERT_EQ(0, mlock2(self->p, self->len, MLOCK_ONFAULT));

	EXPECT_NO_FAULT(probe_write(self->p + self->ps));
	EXPECT_EQ(1, present_pages(self->p, self->len));
	EXPECT_EQ(self->ps / 1024, smaps_kb(self->p, "Locked"));
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->len, MADV_DONTNEED));
}

TEST_F(mlock, mlock_after_onfault_populates)
{
	ASSERT_EQ(0, mlock2(self->p, self->len, MLOCK_ONFAULT));
	ASSERT_EQ(0, present_pages(self->p, self->len));

	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->len));

	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(PAGES, LOCKED_PAGES);
}

/* In the calling process: 1 when @p is locked, plus 2 when anything is. */
static int what_is_locked(void *p)
{
	return (is_locked(p) ? 1 : 0) + (vm_status_kb("VmLck") ? 2 : 0);
}

/* The act is the lock, not the fork: only a lock can be inherited. */
TEST_F(mlock, is_not_inherited_by_a_child)
{
	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->len));

	EXPECT_EQ(0, in_child(what_is_locked, self->p));
	EXPECT_EQ(3, what_is_locked(self->p));
	EXPECT_EQ(PAGES, LOCKED_PAGES);
}

/* Is the page at @p kept from reclaim? */
static bool is_unevictable(const unsigned char *p)
{
	return kpageflags(p) & KPF_UNEVICTABLE;
}

TEST_F(mlock, page_is_unevictable_until_munlock)
{
	ASSERT_TRUE(poke(self->p, 7));
	if (kpageflags(self->p) == KPF_UNKNOWN)
		SKIP(return, "needs /proc/kpageflags and CAP_SYS_ADMIN");
	ASSERT_TRUE(stay_on_this_cpu());

	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->ps));

	EXPECT_TRUE(is_unevictable(self->p));
	ASSERT_EQ(0, munlock(self->p, self->ps));
	EXPECT_FALSE(is_unevictable(self->p));
}

TEST_F(mlock, munlock_makes_the_page_evictable_again)
{
	ASSERT_TRUE(poke(self->p, 7));
	if (kpageflags(self->p) == KPF_UNKNOWN)
		SKIP(return, "needs /proc/kpageflags and CAP_SYS_ADMIN");
	ASSERT_TRUE(stay_on_this_cpu());
	ASSERT_EQ(0, mlock(self->p, self->ps));
	ASSERT_TRUE(is_unevictable(self->p));

	ACT(munlock);
	ASSERT_EQ(0, munlock(self->p, self->ps));

	EXPECT_FALSE(is_unevictable(self->p));
}

TEST_HARNESS_MAIN
