// SPDX-License-Identifier: GPL-2.0
/*
 * mremap(2): every errno has its own cause, and a call that fails leaves the
 * mapping, its data and the target as they were. EAGAIN on locked memory is in
 * mlock_limit_test.c, ENOMEM at RLIMIT_AS in mmap_accounting_test.c.
 */
#include "memsafe.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* A bit above all flags. */
#define MREMAP_UNKNOWN 0x100

#define SEED 0x5a
#define FIXED (MREMAP_MAYMOVE | MREMAP_FIXED)

/*
 *	| page 0 | page 1 | page 2 | hole | page | hole |
 *	^p, filled with SEED              ^target, 0x22
 */
FIXTURE(mremap_errno)
{
	size_t ps;
	size_t len;
	unsigned char *p;
	unsigned char *target;
};

FIXTURE_SETUP(mremap_errno)
{
	self->ps = page_size();
	self->len = 3 * self->ps;
	self->p = map_alone(6 * self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	self->target = self->p + self->len + self->ps;
	fill(self->p, self->len, SEED);
	memset(self->target, 0x22, self->ps);
	ASSERT_EQ(0, munmap(self->target - self->ps, self->ps));
	ASSERT_EQ(0, munmap(self->target + self->ps, self->ps));
}

FIXTURE_TEARDOWN(mremap_errno)
{
}

/* Nothing was moved, cut, grown or replaced. */
#define EXPECT_UNCHANGED(self)                                             \
	do {                                                               \
		EXPECT_EQ((self)->len,                                     \
			  first_difference((self)->p, (self)->len, SEED)); \
		EXPECT_UNMAPPED((self)->p + (self)->len, (self)->ps);      \
		EXPECT_EQ((self)->ps,                                      \
			  first_other((self)->target, (self)->ps, 0x22));  \
	} while (0)

TEST_F(mremap_errno, address_inside_a_page_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL,
		     mremap(self->p + 1, self->ps, self->len, MREMAP_MAYMOVE));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, new_size_zero_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->len, 0, MREMAP_MAYMOVE));
	EXPECT_UNCHANGED(self);
}

/* libc refuses it, too. */
TEST_F(mremap_errno, unknown_flag_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL, syscall(__NR_mremap, self->p, self->len, self->ps,
				     MREMAP_MAYMOVE | MREMAP_UNKNOWN, 0));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, fixed_without_maymove_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->ps, self->ps, MREMAP_FIXED,
				    self->target));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, fixed_to_an_address_inside_a_page_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->ps, self->ps, FIXED,
				    self->target + 1));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, fixed_outside_the_address_space_is_einval)
{
	void *outside = (void *)(-2 * self->ps);

	ACT(mremap);
	EXPECT_ERRNO(EINVAL,
		     mremap(self->p, self->ps, self->ps, FIXED, outside));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, fixed_over_the_end_of_the_old_range_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->len, self->len, FIXED,
				    self->p + self->ps));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, fixed_over_the_start_of_the_old_range_is_einval)
{
	unsigned char *second = self->p + self->ps;

	ACT(mremap);
	EXPECT_ERRNO(EINVAL,
		     mremap(second, self->ps, 2 * self->ps, FIXED, self->p));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, fixed_to_the_old_address_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL,
		     mremap(self->p, self->len, self->len, FIXED, self->p));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, dontunmap_without_maymove_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL,
		     mremap(self->p, self->ps, self->ps, MREMAP_DONTUNMAP));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, dontunmap_with_another_size_is_einval)
{
	int flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;

	ACT(mremap);
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->len, self->ps, flags));
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->ps, self->len, flags));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, unmapped_address_is_efault)
{
	ACT(mremap);
	EXPECT_ERRNO(EFAULT, mremap(self->p + self->len, self->ps, self->len,
				    MREMAP_MAYMOVE));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, growth_of_a_range_with_a_hole_is_efault)
{
	ACT(mremap);
	EXPECT_ERRNO(EFAULT, mremap(self->p, self->len + self->ps,
				    2 * self->len, MREMAP_MAYMOVE));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, growth_of_two_mappings_is_efault)
{
	ASSERT_EQ(0, mprotect(self->p, self->ps, PROT_READ));
	ASSERT_EQ(2, count_vmas(self->p, self->len));

	ACT(mremap);
	EXPECT_ERRNO(EFAULT,
		     mremap(self->p, self->len, 2 * self->len, MREMAP_MAYMOVE));
	EXPECT_EQ(2, count_vmas(self->p, self->len));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, growth_without_room_or_maymove_is_enomem)
{
	unsigned char *hole = self->p + self->len;

	ACT(mremap);
	EXPECT_ERRNO(ENOMEM,
		     mremap(self->p, self->len, self->len + 2 * self->ps, 0));
	EXPECT_UNCHANGED(self);
	EXPECT_EQ(self->p, mremap(self->p, self->len, self->len + self->ps, 0));
	EXPECT_EQ(0, peek(hole));
}

/* The end of the mapping is not the end of the range: no room behind it. */
TEST_F(mremap_errno, growth_of_the_first_page_in_place_is_enomem)
{
	ACT(mremap);
	EXPECT_ERRNO(ENOMEM, mremap(self->p, self->ps, 2 * self->ps, 0));
	EXPECT_UNCHANGED(self);
}

#ifndef __NR_mseal
#define __NR_mseal 462
#endif

/* mseal() came in v6.10, for 64 bits. */
TEST_F(mremap_errno, sealed_mapping_is_eperm)
{
	if (syscall(__NR_mseal, self->p, self->len, 0))
		SKIP(return, "needs mseal (v6.10, 64 bits)");

	ACT(mremap);
	EXPECT_ERRNO(EPERM, mremap(self->p, self->len, self->ps, 0));
	EXPECT_ERRNO(EPERM,
		     mremap(self->p, self->len, self->len + self->ps, 0));
	EXPECT_ERRNO(EPERM, mremap(self->p, self->len, self->len, FIXED,
				   self->target + 8 * self->ps));
	EXPECT_UNCHANGED(self);
}

TEST_F(mremap_errno, sealed_target_is_eperm)
{
	if (syscall(__NR_mseal, self->target, self->ps, 0))
		SKIP(return, "needs mseal (v6.10, 64 bits)");

	ACT(mremap);
	EXPECT_ERRNO(EPERM,
		     mremap(self->p, self->ps, self->ps, FIXED, self->target));
	EXPECT_UNCHANGED(self);
}

TEST_HARNESS_MAIN
