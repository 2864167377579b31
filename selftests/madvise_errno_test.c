// SPDX-License-Identifier: GPL-2.0
/*
 * madvise(2): every errno has its own cause. MADV_DONTNEED stands for all
 * advice where the cause is the range: a call that fails drops nothing, except
 * that a hole does not save the pages around it. What one advice needs is in
 * the programs of that advice.
 */
#include "memsafe.h"

#define MADV_UNKNOWN 99

#define PAGES 3
#define STORED 0x11

/* Three private anonymous pages of STORED. */
FIXTURE(madvise_errno)
{
	size_t ps;
	size_t len;
	unsigned char *p;
};

FIXTURE_SETUP(madvise_errno)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	memset(self->p, STORED, self->len);
}

FIXTURE_TEARDOWN(madvise_errno)
{
}

#define EXPECT_NOTHING_DROPPED(self) \
	EXPECT_EQ((self)->len, first_other((self)->p, (self)->len, STORED))

TEST_F(madvise_errno, unknown_advice_is_einval)
{
	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->len, MADV_UNKNOWN));
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->len, -1));
	EXPECT_NOTHING_DROPPED(self);
}

TEST_F(madvise_errno, address_inside_a_page_is_einval)
{
	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p + 1, self->ps, MADV_DONTNEED));
	EXPECT_NOTHING_DROPPED(self);
}

TEST_F(madvise_errno, length_that_wraps_is_einval)
{
	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p, -1, MADV_DONTNEED));
	EXPECT_ERRNO(EINVAL, madvise(self->p, -self->ps, MADV_DONTNEED));
	EXPECT_NOTHING_DROPPED(self);
}

TEST_F(madvise_errno, unmapped_range_is_enomem)
{
	ACT(madvise);
	EXPECT_ERRNO(ENOMEM,
		     madvise(self->p + self->len, self->ps, MADV_DONTNEED));
	EXPECT_NOTHING_DROPPED(self);
}

/* "the call is applied to the parts that are mapped" (madvise(2), NOTES) */
TEST_F(madvise_errno, hole_is_enomem_and_both_sides_are_dropped)
{
	unsigned char *hole = self->p + self->ps;

	ASSERT_EQ(0, munmap(hole, self->ps));

	ACT(madvise);
	EXPECT_ERRNO(ENOMEM, madvise(self->p, self->len, MADV_DONTNEED));
	EXPECT_EQ(0, peek(self->p));
	EXPECT_EQ(0, peek(hole + self->ps));
	EXPECT_UNMAPPED(hole, self->ps);
}

TEST_F(madvise_errno, hole_is_enomem_and_both_sides_are_marked)
{
	unsigned char *hole = self->p + self->ps;

	ASSERT_EQ(0, munmap(hole, self->ps));

	ACT(madvise);
	EXPECT_ERRNO(ENOMEM, madvise(self->p, self->len, MADV_DONTDUMP));
	EXPECT_TRUE(has_vm_flag(self->p, "dd"));
	EXPECT_TRUE(has_vm_flag(hole + self->ps, "dd"));
}

TEST_F(madvise_errno, locked_pages_are_einval_and_stay)
{
	if (mlock(self->p + self->ps, self->ps))
		SKIP(return, "needs RLIMIT_MEMLOCK or CAP_IPC_LOCK");

	ACT(madvise);
	EXPECT_ERRNO(EINVAL,
		     madvise(self->p + self->ps, self->ps, MADV_DONTNEED));
	EXPECT_ERRNO(EINVAL, madvise(self->p + self->ps, self->ps, MADV_FREE));
	EXPECT_ERRNO(EINVAL,
		     madvise(self->p + self->ps, self->ps, MADV_PAGEOUT));
	EXPECT_ERRNO(EINVAL, madvise(self->p + self->ps, self->ps, MADV_COLD));
	EXPECT_NOTHING_DROPPED(self);
}

TEST_F(madvise_errno, free_of_a_shared_object_is_einval)
{
	unsigned char *p = map_alone(self->ps, PROT_RW, MAP_SHARED, -1);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, STORED, self->ps);

	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(p, self->ps, MADV_FREE));
	EXPECT_EQ(1, present_pages(p, self->ps));
	EXPECT_EQ(self->ps, first_other(p, self->ps, STORED));
}

TEST_F(madvise_errno, remove_of_a_read_only_descriptor_is_eacces)
{
	int fd = backing_open(SHMEM, self->ps);
	char path[64];
	unsigned char *p;
	int ro;

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	p = map_alone(self->ps, PROT_READ, MAP_SHARED, ro);
	ASSERT_NE(MAP_FAILED, p);

	ACT(madvise);
	EXPECT_ERRNO(EACCES, madvise(p, self->ps, MADV_REMOVE));
	EXPECT_EQ('x', peek(p));
}

#ifndef __NR_mseal
#define __NR_mseal 462
#endif

/* What a sealed mapping holds can't be changed by dropping it, either. */
TEST_F(madvise_errno, dropping_sealed_read_only_memory_is_eperm)
{
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));
	if (syscall(__NR_mseal, self->p, self->len, 0))
		SKIP(return, "needs mseal (v6.10, 64 bits)");

	ACT(madvise);
	EXPECT_ERRNO(EPERM, madvise(self->p, self->ps, MADV_DONTNEED));
	EXPECT_ERRNO(EPERM, madvise(self->p, self->ps, MADV_FREE));
	EXPECT_ERRNO(EPERM, madvise(self->p, self->ps, MADV_WIPEONFORK));
	EXPECT_NOTHING_DROPPED(self);
}

TEST_HARNESS_MAIN
