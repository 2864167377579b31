// SPDX-License-Identifier: GPL-2.0
/*
 * The flags that say where a mapping goes and what kind it is (mmap(2)):
 * hints, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_32BIT, MAP_SHARED_VALIDATE,
 * MAP_SYNC, and the flags that are ignored. Population and locking are in
 * mmap_populate_test.c, accounting in mmap_accounting_test.c.
 */
#include "memsafe.h"

#ifndef MAP_UNINITIALIZED
#define MAP_UNINITIALIZED 0x4000000
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x080000
#endif

/* A bit that no architecture gives a meaning, below those of MAP_HUGE_MASK. */
#define MAP_UNKNOWN 0x2000000

#define MAP_ANON_PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

/*
 *	| hole | page 0 | page 1 | page 2 | hole |
 *	       ^area, each page filled with 0x11
 */
FIXTURE(mmap_flags)
{
	unsigned char *area;
	size_t ps;
	int shmem;
};

FIXTURE_SETUP(mmap_flags)
{
	self->ps = page_size();
	self->area = map_alone(3 * self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->area);
	memset(self->area, 0x11, 3 * self->ps);
	self->shmem = backing_open(SHMEM, self->ps);
	ASSERT_LE(0, self->shmem);
}

FIXTURE_TEARDOWN(mmap_flags)
{
}

TEST_F(mmap_flags, address_is_page_aligned_and_length_rounded_up)
{
	unsigned char *p;
	struct vma vma;

	ACT(mmap);
	p = mmap(self->area + 3 * self->ps, 1, PROT_RW,
		 MAP_ANON_PRIVATE | MAP_FIXED, -1, 0);
	ASSERT_EQ(self->area + 3 * self->ps, p);

	EXPECT_NO_FAULT(probe_write(p + self->ps - 1));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p + self->ps,
		     probe_write(p + self->ps));
	ASSERT_TRUE(find_vma(p, &vma));
	EXPECT_EQ((uintptr_t)p + self->ps, vma.end);
}

TEST_F(mmap_flags, fixed_replaces_exactly_its_range)
{
	unsigned char *middle = self->area + self->ps;

	ACT(mmap);
	ASSERT_EQ(middle, mmap(middle, self->ps, PROT_RW,
			       MAP_ANON_PRIVATE | MAP_FIXED, -1, 0));

	EXPECT_EQ(0x11, peek(middle - 1));
	EXPECT_EQ(0x11, peek(middle + self->ps));
	EXPECT_EQ(self->ps, first_nonzero(middle, self->ps));
}

TEST_F(mmap_flags, noreplace_takes_a_free_range)
{
	unsigned char *middle = self->area + self->ps;

	ASSERT_EQ(0, munmap(middle, self->ps));

	ACT(mmap);
	ASSERT_EQ(middle, mmap(middle, self->ps, PROT_RW,
			       MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));

	EXPECT_EQ(0, peek(middle));
	EXPECT_EQ(0x11, peek(middle - 1));
	EXPECT_EQ(0x11, peek(middle + self->ps));
}

TEST_F(mmap_flags, noreplace_of_a_mapped_page_is_eexist)
{
	unsigned char *middle = self->area + self->ps;

	ACT(mmap);
	EXPECT_ERRNO(EEXIST,
		     mmap(middle, self->ps, PROT_RW,
			  MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
	EXPECT_EQ(3 * self->ps, first_other(self->area, 3 * self->ps, 0x11));
	EXPECT_EQ(1, count_vmas(self->area, 3 * self->ps));
	ASSERT_EQ(0, munmap(middle, self->ps));
	EXPECT_NE(MAP_FAILED,
		  mmap(middle, self->ps, PROT_RW,
		       MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
	EXPECT_EQ(0, peek(middle));
}

TEST_F(mmap_flags, noreplace_with_an_overlapping_end_is_eexist)
{
	unsigned char *hole = self->area - self->ps;

	ACT(mmap);
	EXPECT_ERRNO(EEXIST,
		     mmap(hole, 2 * self->ps, PROT_RW,
			  MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
	EXPECT_UNMAPPED(hole, self->ps);
	EXPECT_EQ(0x11, peek(self->area));
}

TEST_F(mmap_flags, noreplace_with_an_overlapping_start_is_eexist)
{
	unsigned char *last = self->area + 2 * self->ps;

	ACT(mmap);
	EXPECT_ERRNO(EEXIST,
		     mmap(last, 2 * self->ps, PROT_RW,
			  MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
	EXPECT_UNMAPPED(last + self->ps, self->ps);
	EXPECT_EQ(0x11, peek(last));
}

TEST_F(mmap_flags, free_hint_is_taken)
{
	unsigned char *hint = free_range(3 * self->ps, self->ps);
	unsigned char *p;

	ASSERT_NE(MAP_FAILED, hint);

	ACT(mmap);
	p = mmap(hint + self->ps, self->ps, PROT_RW, MAP_ANON_PRIVATE, -1, 0);
	ASSERT_EQ(hint + self->ps, p);

	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(7, peek(p));
}

TEST_F(mmap_flags, occupied_hint_gives_another_place)
{
	unsigned char *p;

	ACT(mmap);
	p = mmap(self->area, self->ps, PROT_RW, MAP_ANON_PRIVATE, -1, 0);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_NE(self->area, p);
	EXPECT_EQ(0, peek(p));
	EXPECT_EQ(3 * self->ps, first_other(self->area, 3 * self->ps, 0x11));
}

TEST_F(mmap_flags, map_32bit_is_below_two_gigabytes)
{
#ifdef __x86_64__
	const uintptr_t limit = UINT64_C(1) << 31;
	unsigned char *p;

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_RW, MAP_ANON_PRIVATE | MAP_32BIT, -1, 0);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_GT(limit, (uintptr_t)p);
	EXPECT_EQ(0, peek(p));
#else
	SKIP(return, "needs x86_64");
#endif
}

TEST_F(mmap_flags, shared_validate_shares)
{
	unsigned char *p;
	char c = 0;

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED_VALIDATE, self->shmem, 0);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(1, pread(self->shmem, &c, 1, 0));
	EXPECT_EQ(7, c);
}

TEST_F(mmap_flags, shared_validate_refuses_an_unknown_flag)
{
	unsigned int before = count_vmas(NULL, UINTPTR_MAX);

	ACT(mmap);
	EXPECT_ERRNO(EOPNOTSUPP,
		     mmap(NULL, self->ps, PROT_RW,
			  MAP_SHARED_VALIDATE | MAP_UNKNOWN, self->shmem, 0));
	EXPECT_EQ(before, count_vmas(NULL, UINTPTR_MAX));
	EXPECT_MAPPED(mmap(NULL, self->ps, PROT_RW, MAP_SHARED | MAP_UNKNOWN,
			   self->shmem, 0),
		      self->ps);
}

TEST_F(mmap_flags, map_sync_is_refused_without_dax)
{
	unsigned int before = count_vmas(NULL, UINTPTR_MAX);

	ACT(mmap);
	EXPECT_ERRNO(EOPNOTSUPP,
		     mmap(NULL, self->ps, PROT_RW,
			  MAP_SHARED_VALIDATE | MAP_SYNC, self->shmem, 0));
	EXPECT_EQ(before, count_vmas(NULL, UINTPTR_MAX));
	EXPECT_MAPPED(mmap(NULL, self->ps, PROT_RW, MAP_SHARED | MAP_SYNC,
			   self->shmem, 0),
		      self->ps);
}

FIXTURE(ignored_flag){};

FIXTURE_VARIANT(ignored_flag)
{
	int flag;
};

FIXTURE_VARIANT_ADD(ignored_flag, denywrite)
{
	.flag = MAP_DENYWRITE,
};

FIXTURE_VARIANT_ADD(ignored_flag, executable)
{
	.flag = MAP_EXECUTABLE,
};

FIXTURE_VARIANT_ADD(ignored_flag, stack)
{
	.flag = MAP_STACK,
};

/* Honoured only by kernels without an MMU. */
FIXTURE_VARIANT_ADD(ignored_flag, uninitialized)
{
	.flag = MAP_UNINITIALIZED,
};

FIXTURE_SETUP(ignored_flag)
{
}

FIXTURE_TEARDOWN(ignored_flag)
{
}

TEST_F(ignored_flag, mapping_is_ordinary_zeroed_memory)
{
	size_t len = 2 * page_size();
	unsigned char *p;
	struct vma vma;

	ACT(mmap);
	p = map_alone(len, PROT_RW, MAP_PRIVATE | variant->flag, -1);
	ASSERT_MAPPED(p, len);

	EXPECT_EQ(len, first_nonzero(p, len));
	EXPECT_TRUE(poke(p + len - 1, 7));
	ASSERT_TRUE(find_vma(p, &vma));
	EXPECT_STREQ("rw-p", vma.perms);
	EXPECT_FALSE(has_vm_flag(p, "gd"));
}

TEST_HARNESS_MAIN
