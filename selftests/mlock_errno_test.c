// SPDX-License-Identifier: GPL-2.0
/*
 * How mlock(2), mlock2(2) and munlock(2) fail, each errno from its own cause,
 * and half a huge page, which they can lock and unlock all the same.
 */
#include "memsafe.h"

/*
 *	| page 0 | page 1 | page 2 |
 */
FIXTURE(mlock_errno)
{
	size_t ps;
	size_t len;
	long locked; /* VmLck before the test, kB */
	unsigned char *p;
};

FIXTURE_SETUP(mlock_errno)
{
	self->ps = page_size();
	self->len = 3 * self->ps;
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	self->locked = vm_status_kb("VmLck");
}

FIXTURE_TEARDOWN(mlock_errno)
{
}

TEST_F(mlock_errno, mlock_over_a_hole_is_enomem)
{
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_EQ(0, munlock(self->p, self->len));
	ASSERT_EQ(0, munmap(self->p + self->ps, self->ps));

	ACT(mlock);
	EXPECT_ERRNO(ENOMEM, mlock(self->p, self->len));
	EXPECT_ERRNO(ENOMEM, mlock(self->p + self->ps, self->ps));
	EXPECT_UNMAPPED(self->p + self->ps, self->ps);
	EXPECT_EQ(0, mlock(self->p, self->ps));
	EXPECT_TRUE(is_locked(self->p));
}

TEST_F(mlock_errno, range_that_ends_in_a_hole_is_enomem)
{
	ASSERT_EQ(0, munmap(self->p + self->len - self->ps, self->ps));

	ACT(mlock);
	EXPECT_ERRNO(ENOMEM, mlock(self->p, self->len));
	EXPECT_UNMAPPED(self->p + self->len - self->ps, self->ps);
	EXPECT_ERRNO(ENOMEM, munlock(self->p, self->len));
	EXPECT_EQ(0, mlock(self->p, self->ps));
	EXPECT_TRUE(is_locked(self->p));
}

TEST_F(mlock_errno, munlock_over_a_hole_is_enomem)
{
	ASSERT_EQ(0, munmap(self->p + self->ps, self->ps));
	ASSERT_EQ(0, mlock(self->p + 2 * self->ps, self->ps));

	ACT(munlock);
	EXPECT_ERRNO(ENOMEM, munlock(self->p + self->ps, 2 * self->ps));
	EXPECT_EQ(0, munlock(self->p + 2 * self->ps, self->ps));
	EXPECT_FALSE(is_locked(self->p + 2 * self->ps));
}

/* With the capability only: without, the limit is asked first. */
TEST_F(mlock_errno, range_that_wraps_is_einval)
{
	if (!has_capability(CAP_IPC_LOCK))
		SKIP(return, "needs CAP_IPC_LOCK");
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_EQ(0, munlock(self->p, self->len));

	ACT(mlock);
	EXPECT_ERRNO(EINVAL, mlock(self->p, -(size_t)self->p));
	EXPECT_EQ(self->locked, vm_status_kb("VmLck"));
	EXPECT_EQ(0, mlock(self->p, self->ps));
	EXPECT_TRUE(is_locked(self->p));
}

TEST_F(mlock_errno, unknown_mlock2_flag_is_einval)
{
	ACT(mlock2);
	EXPECT_ERRNO(EINVAL, mlock2(self->p, self->len, MLOCK_ONFAULT << 1));
	EXPECT_ERRNO(EINVAL, mlock2(self->p, self->len, ~0));
	EXPECT_EQ(self->locked, vm_status_kb("VmLck"));
	EXPECT_EQ(0, mlock2(self->p, self->len, MLOCK_ONFAULT));
	EXPECT_TRUE(is_locked(self->p));
}

/* The pages can't be populated; the mapping is locked all the same. */
TEST_F(mlock_errno, prot_none_is_enomem)
{
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_NONE));

	ACT(mlock);
	EXPECT_ERRNO(ENOMEM, mlock(self->p, self->len));
	EXPECT_EQ(0, smaps_kb(self->p, "Rss"));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_RW));
	EXPECT_EQ(0, mlock(self->p, self->len));
	EXPECT_EQ((long)self->len / 1024, smaps_kb(self->p, "Locked"));
}

TEST_F(mlock_errno, past_the_end_of_a_file_is_enomem)
{
	int fd = backing_open(SHMEM, self->ps);
	unsigned char *p;

	ASSERT_LE(0, fd);
	p = map_alone(2 * self->ps, PROT_RW, MAP_SHARED, fd);
	ASSERT_NE(MAP_FAILED, p);

	ACT(mlock);
	EXPECT_ERRNO(ENOMEM, mlock(p, 2 * self->ps));
	EXPECT_TRUE(is_present(p));
	EXPECT_FALSE(is_present(p + self->ps));
	EXPECT_EQ(0, mlock(p, self->ps));
	EXPECT_TRUE(is_locked(p));
}

TEST_F(mlock_errno, length_zero_locks_nothing)
{
	ACT(mlock);
	EXPECT_EQ(0, mlock(self->p, 0));
	EXPECT_EQ(self->locked, vm_status_kb("VmLck"));
	EXPECT_EQ(0, mlock(self->p, 1));
	EXPECT_EQ(self->locked + (long)self->ps / 1024, vm_status_kb("VmLck"));
}

/* One huge page, touched, with nothing mapped around it. */
FIXTURE(half_huge)
{
	size_t half;
	unsigned char *p;
};

/* Bytes; 0: this kernel has no transparent huge pages. */
static size_t huge_page_size(void)
{
	long size = sysctl_get("/sys/kernel/mm/transparent_hugepage/"
			       "hpage_pmd_size");

	return size > 0 ? size : 0;
}

FIXTURE_SETUP(half_huge)
{
	size_t size = huge_page_size();

	if (!size)
		SKIP(return, "needs CONFIG_TRANSPARENT_HUGEPAGE=y");
	self->half = size / 2;
	self->p = free_range(size, size);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(self->p,
		  mmap(self->p, size, PROT_RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		       0));
	ASSERT_EQ(0, madvise(self->p, size, MADV_HUGEPAGE));
	ASSERT_TRUE(poke(self->p, 7));
	if (smaps_kb(self->p, "AnonHugePages") != (long)size / 1024)
		SKIP(return, "needs a free huge page and THP not set to never");
	fill(self->p, size, 7);
}

FIXTURE_TEARDOWN(half_huge)
{
}

TEST_F(half_huge, first_half_can_be_locked_alone)
{
	unsigned char *second = self->p + self->half;

	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->half));

	EXPECT_TRUE(is_locked(self->p));
	EXPECT_FALSE(is_locked(second));
	EXPECT_EQ((long)self->half / 1024, smaps_kb(self->p, "Locked"));
	EXPECT_EQ(0, smaps_kb(second, "Locked"));
	EXPECT_EQ(2 * self->half, first_difference(self->p, 2 * self->half, 7));
}

TEST_F(half_huge, second_half_can_be_unlocked_alone)
{
	unsigned char *second = self->p + self->half;

	ASSERT_EQ(0, mlock(self->p, 2 * self->half));

	ACT(munlock);
	ASSERT_EQ(0, munlock(second, self->half));

	EXPECT_TRUE(is_locked(self->p));
	EXPECT_FALSE(is_locked(second));
	EXPECT_EQ((long)self->half / 1024, smaps_kb(self->p, "Locked"));
	EXPECT_EQ(2 * self->half, first_difference(self->p, 2 * self->half, 7));
}

TEST_HARNESS_MAIN
