// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_GUARD_INSTALL and MADV_GUARD_REMOVE (madvise(2), v6.13): guards inside
 * a mapping, without a mapping of their own. An access ends in SIGSEGV with
 * the exact address whatever the protection says, what was there is gone, and
 * taking the guard away gives fresh pages.
 */
#include "memsafe.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

/*
 *	| page 0 | guard | page 2 |
 *	^p       ^guard           all 0x11
 */
FIXTURE(guard_region)
{
	size_t ps;
	size_t len;
	unsigned char *p;
	unsigned char *guard;
};

FIXTURE_SETUP(guard_region)
{
	self->ps = page_size();
	self->len = 3 * self->ps;
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	/* Of nothing: fails only where the kernel does not know it. */
	if (madvise(self->p, 0, MADV_GUARD_INSTALL))
		SKIP(return, "needs MADV_GUARD_INSTALL (v6.13)");
	memset(self->p, 0x11, self->len);
	self->guard = self->p + self->ps;
}

FIXTURE_TEARDOWN(guard_region)
{
}

/* Something is mapped, yet it is MAPERR: the fault handler says "no page". */
TEST_F(guard_region, access_faults_and_the_neighbours_are_intact)
{
	unsigned char *last = self->guard + self->ps - 1;

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->guard, self->ps, MADV_GUARD_INSTALL));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, self->guard,
		     probe_read(self->guard));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, last, probe_write(last));
	EXPECT_EQ(self->ps, first_other(self->p, self->ps, 0x11));
	EXPECT_EQ(self->ps, first_other(last + 1, self->ps, 0x11));
}

TEST_F(guard_region, mapping_is_not_split)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->guard, self->ps, MADV_GUARD_INSTALL));

	EXPECT_EQ(1, count_vmas(self->p, self->len));
	EXPECT_EQ(-1, peek(self->guard));
}

TEST_F(guard_region, removal_gives_a_fresh_page)
{
	ASSERT_EQ(0, madvise(self->guard, self->ps, MADV_GUARD_INSTALL));
	ASSERT_EQ(-1, peek(self->guard));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->guard, self->ps, MADV_GUARD_REMOVE));

	EXPECT_NO_FAULT(probe_read(self->guard));
	EXPECT_EQ(self->ps, first_nonzero(self->guard, self->ps));
	EXPECT_TRUE(poke(self->guard, 7));
}

TEST_F(guard_region, guard_survives_madv_dontneed_and_mprotect)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->guard, self->ps, MADV_GUARD_INSTALL));
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_RW));

	EXPECT_EQ(-1, peek(self->guard));
	EXPECT_EQ(0, peek(self->p));
}

static int signal_of_read(void *p)
{
	return probe_read(p).signal;
}

TEST_F(guard_region, guard_is_inherited_by_a_child)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->guard, self->ps, MADV_GUARD_INSTALL));

	EXPECT_EQ(SIGSEGV, in_child(signal_of_read, self->guard));
	EXPECT_EQ(0, in_child(signal_of_read, self->p));
}

TEST_F(guard_region, locked_mapping_is_einval)
{
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(madvise);
	EXPECT_ERRNO(EINVAL,
		     madvise(self->guard, self->ps, MADV_GUARD_INSTALL));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
	ASSERT_EQ(0, munlock(self->p, self->len));
	EXPECT_EQ(0, madvise(self->guard, self->ps, MADV_GUARD_INSTALL));
	EXPECT_EQ(-1, peek(self->guard));
}

TEST_HARNESS_MAIN
