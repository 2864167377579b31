// SPDX-License-Identifier: GPL-2.0
/*
 * The errnos of msync(2), each from its own cause, and what MS_ASYNC and
 * MS_INVALIDATE do: on Linux both only look at the range (since v2.6.19),
 * so that a hole or a locked page is their only effect to see. MS_SYNC and
 * the disk are in msync_test.c.
 */
#include "memsafe.h"

#define PAGES 3

/*
 *	| hole | page 0 | page 1 | page 2 | hole |
 *	       ^p
 */
FIXTURE(msync_errno)
{
	size_t ps;
	size_t len;
	unsigned char *p;
};

FIXTURE_VARIANT(msync_errno)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(msync_errno, anon)
{
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(msync_errno, file)
{
	.backing = DISK,
	.sharing = MAP_SHARED,
};

FIXTURE_SETUP(msync_errno)
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
	fill(self->p, self->len, 7);
	ASSERT_EQ(0, msync(self->p, self->len, MS_SYNC));
	ASSERT_EQ(0, msync(self->p, self->len, MS_ASYNC | MS_INVALIDATE));
}

FIXTURE_TEARDOWN(msync_errno)
{
}

TEST_F(msync_errno, sync_and_async_at_once_is_einval)
{
	ACT(msync);
	EXPECT_ERRNO(EINVAL, msync(self->p, self->len, MS_SYNC | MS_ASYNC));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, 7));
}

TEST_F(msync_errno, unknown_flag_is_einval)
{
	int unknown = ~(MS_SYNC | MS_ASYNC | MS_INVALIDATE);

	ACT(msync);
	EXPECT_ERRNO(EINVAL, msync(self->p, self->len, MS_SYNC | unknown));
	EXPECT_ERRNO(EINVAL, msync(self->p, self->len, 1 << 10));
}

TEST_F(msync_errno, address_inside_a_page_is_einval)
{
	ACT(msync);
	EXPECT_ERRNO(EINVAL, msync(self->p + 1, self->ps, MS_SYNC));
	EXPECT_ERRNO(EINVAL, msync(self->p + 1, 0, MS_ASYNC));
}

/* EINVAL comes before ENOMEM: an unaligned address of nothing. */
TEST_F(msync_errno, address_inside_a_hole_is_einval_too)
{
	ACT(msync);
	EXPECT_ERRNO(EINVAL, msync(self->p + self->len + 1, 1, MS_SYNC));
	EXPECT_ERRNO(ENOMEM, msync(self->p + self->len, 1, MS_SYNC));
}

TEST_F(msync_errno, unmapped_range_is_enomem)
{
	unsigned char *hole = self->p + self->len;

	ACT(msync);
	EXPECT_ERRNO(ENOMEM, msync(hole, self->ps, MS_SYNC));
	EXPECT_ERRNO(ENOMEM, msync(hole, self->ps, MS_ASYNC));
	EXPECT_ERRNO(ENOMEM, msync(hole, self->ps, MS_INVALIDATE));
}

TEST_F(msync_errno, hole_at_the_start_is_enomem)
{
	ACT(msync);
	EXPECT_ERRNO(ENOMEM, msync(self->p - self->ps, self->len, MS_SYNC));
	EXPECT_ERRNO(ENOMEM, msync(self->p - self->ps, self->len, MS_ASYNC));
}

TEST_F(msync_errno, hole_in_the_middle_is_enomem)
{
	ASSERT_EQ(0, munmap(self->p + self->ps, self->ps));

	ACT(msync);
	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len, MS_SYNC));
	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len, MS_ASYNC));
	EXPECT_EQ(0, msync(self->p + 2 * self->ps, self->ps, MS_SYNC));
}

TEST_F(msync_errno, hole_right_after_the_range_does_not_count)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->p, self->len, MS_SYNC));
	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len + 1, MS_SYNC));
	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len + 1, MS_ASYNC));
}

TEST_F(msync_errno, range_that_wraps_is_enomem)
{
	ACT(msync);
	EXPECT_ERRNO(ENOMEM, msync(self->p, -2 * self->ps, MS_SYNC));
}

TEST_F(msync_errno, after_munmap_is_enomem)
{
	ACT(munmap);
	ASSERT_EQ(0, munmap(self->p, self->len));

	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len, MS_SYNC));
}

/* A protection is no hole. */
TEST_F(msync_errno, inaccessible_pages_can_be_synced)
{
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_NONE));

	ACT(msync);
	EXPECT_EQ(0, msync(self->p, self->len, MS_SYNC));
	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len + 1, MS_SYNC));
}

TEST_F(msync_errno, invalidate_of_a_locked_page_is_ebusy)
{
	ASSERT_EQ(0, mlock(self->p + self->ps, self->ps));

	ACT(msync);
	EXPECT_ERRNO(EBUSY, msync(self->p, self->len, MS_INVALIDATE));
	EXPECT_ERRNO(EBUSY, msync(self->p, self->len, MS_SYNC | MS_INVALIDATE));
	EXPECT_EQ(0, msync(self->p, self->ps, MS_INVALIDATE));
	EXPECT_EQ(0, msync(self->p, self->len, MS_SYNC));
	EXPECT_TRUE(is_locked(self->p + self->ps));
}

TEST_F(msync_errno, invalidate_works_again_after_munlock)
{
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_ERRNO(EBUSY, msync(self->p, self->len, MS_INVALIDATE));

	ACT(munlock);
	ASSERT_EQ(0, munlock(self->p, self->len));

	EXPECT_EQ(0, msync(self->p, self->len, MS_INVALIDATE));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, 7));
}

TEST_HARNESS_MAIN
