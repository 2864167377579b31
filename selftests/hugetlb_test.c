// SPDX-License-Identifier: GPL-2.0
/*
 * MAP_HUGETLB (mmap(2), Documentation/admin-guide/mm/hugetlbpage.rst): the
 * pages are huge, come from the pool and go back to it, are reserved by
 * mmap() and not by the fault, and can't be cut.
 */
#include <sys/stat.h>

#include "memsafe.h"

#define POOL_PATH "/proc/sys/vm/nr_hugepages"

/* The pool is of one huge page, for the test alone. */
FIXTURE(hugetlb)
{
	long saved; /* pages in the pool before the test; -1: not changed */
	size_t size; /* of a huge page */
	size_t ps;
};

FIXTURE_SETUP(hugetlb)
{
	long now = sysctl_get(POOL_PATH);

	self->saved = -1;
	if (now < 0)
		SKIP(return, "needs CONFIG_HUGETLBFS=y");
	if (meminfo_kb("HugePages_Total") != meminfo_kb("HugePages_Free") ||
	    meminfo_kb("HugePages_Rsvd"))
		SKIP(return, "needs huge pages that no one else uses");
	if (!sysctl_set(POOL_PATH, 1))
		SKIP(return, "needs a writable " POOL_PATH);
	if (meminfo_kb("HugePages_Free") != 1) {
		/* A setup that skips has no teardown. */
		sysctl_set(POOL_PATH, now);
		SKIP(return, "needs memory for one huge page");
	}
	self->saved = now;
	self->ps = page_size();
	self->size = meminfo_kb("Hugepagesize") * 1024;
}

FIXTURE_TEARDOWN_PARENT(hugetlb)
{
	if (self->saved >= 0)
		sysctl_set(POOL_PATH, self->saved);
}

static unsigned char *map_huge(size_t len, int flags)
{
	return mmap(NULL, len, PROT_RW, MAP_ANONYMOUS | MAP_HUGETLB | flags, -1,
		    0);
}

TEST_F(hugetlb, mapping_is_one_zeroed_huge_page)
{
	unsigned char *p;

	ACT(mmap);
	p = map_huge(self->size, MAP_PRIVATE);
	ASSERT_MAPPED(p, self->size);

	EXPECT_EQ(0, (uintptr_t)p % self->size);
	EXPECT_EQ((long)self->size / 1024, smaps_kb(p, "KernelPageSize"));
	EXPECT_TRUE(has_vm_flag(p, "ht"));
	EXPECT_EQ(self->size, first_nonzero(p, self->size));
}

TEST_F(hugetlb, one_fault_brings_the_whole_page)
{
	struct fault_count before, after;
	unsigned char *p;

	faults_so_far();
	ASSERT_TRUE(poke(&(char){ 0 }, 1));

	ACT(mmap);
	p = map_huge(self->size, MAP_PRIVATE);
	ASSERT_MAPPED(p, self->size);
	before = faults_so_far();
	EXPECT_TRUE(poke(p, 7));
	EXPECT_TRUE(poke(p + self->size - 1, 7));
	after = faults_so_far();

	EXPECT_EQ(1, after.minor - before.minor);
	EXPECT_TRUE(is_present(p));
	EXPECT_TRUE(is_present(p + self->size - self->ps));
}

TEST_F(hugetlb, mmap_reserves_and_the_fault_allocates)
{
	unsigned char *p;

	ACT(mmap);
	p = map_huge(self->size, MAP_PRIVATE);
	ASSERT_MAPPED(p, self->size);

	EXPECT_EQ(1, meminfo_kb("HugePages_Rsvd"));
	EXPECT_EQ(1, meminfo_kb("HugePages_Free"));
	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(0, meminfo_kb("HugePages_Rsvd"));
	EXPECT_EQ(0, meminfo_kb("HugePages_Free"));
}

TEST_F(hugetlb, more_than_the_pool_is_enomem)
{
	ACT(mmap);
	EXPECT_ERRNO(ENOMEM, map_huge(2 * self->size, MAP_PRIVATE));
	EXPECT_EQ(0, meminfo_kb("HugePages_Rsvd"));
	EXPECT_MAPPED(map_huge(self->size, MAP_PRIVATE), self->size);
}

/* What was not reserved may not be there when it is touched. */
TEST_F(hugetlb, noreserve_over_the_pool_is_sigbus_when_touched)
{
	unsigned char *p, *second;

	ACT(mmap);
	p = map_huge(2 * self->size, MAP_PRIVATE | MAP_NORESERVE);
	ASSERT_MAPPED(p, 2 * self->size);

	second = p + self->size;
	EXPECT_TRUE(poke(p, 7));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, second, probe_write(second));
	EXPECT_EQ(7, peek(p));
}

TEST_F(hugetlb, munmap_returns_the_page_to_the_pool)
{
	unsigned char *p = map_huge(self->size, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p, 7));
	ASSERT_EQ(0, meminfo_kb("HugePages_Free"));

	ACT(munmap);
	ASSERT_EQ(0, munmap(p, self->size));

	EXPECT_EQ(1, meminfo_kb("HugePages_Free"));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_read(p));
}

/* The pool has one page, so it is the same one. */
TEST_F(hugetlb, page_that_comes_back_from_the_pool_is_zeroed)
{
	unsigned char *p = map_huge(self->size, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0xa5, self->size);
	ASSERT_EQ(0, munmap(p, self->size));

	ACT(mmap);
	p = map_huge(self->size, MAP_SHARED);
	ASSERT_MAPPED(p, self->size);

	EXPECT_EQ(self->size, first_nonzero(p, self->size));
}

TEST_F(hugetlb, munmap_inside_a_huge_page_is_einval)
{
	unsigned char *p = map_huge(self->size, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p + self->ps, 7));

	ACT(munmap);
	EXPECT_ERRNO(EINVAL, munmap(p + self->ps, self->ps));
	EXPECT_EQ(7, peek(p + self->ps));
	EXPECT_EQ(0, munmap(p, self->size));
	EXPECT_UNMAPPED(p, self->size);
}

TEST_F(hugetlb, mprotect_inside_a_huge_page_is_einval)
{
	unsigned char *p = map_huge(self->size, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p, 7));

	ACT(mprotect);
	EXPECT_ERRNO(EINVAL, mprotect(p + self->ps, self->ps, PROT_READ));
	EXPECT_NO_FAULT(probe_write(p + self->ps));
	EXPECT_EQ(0, mprotect(p, self->size, PROT_READ));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
}

/* What is less than a huge page is rounded away: nothing is lost by it. */
TEST_F(hugetlb, dontneed_drops_whole_huge_pages_only)
{
	unsigned char *p = map_huge(self->size, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p, 7));

	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(p + self->ps, self->ps, MADV_DONTNEED));
	EXPECT_EQ(0, madvise(p, self->size - self->ps, MADV_DONTNEED));
	EXPECT_EQ(7, peek(p));
	ASSERT_EQ(0, madvise(p, self->size, MADV_DONTNEED));
	EXPECT_EQ(1, meminfo_kb("HugePages_Free"));
	EXPECT_EQ(0, peek(p));
}

TEST_F(hugetlb, remove_punches_the_page_out_of_a_shared_object)
{
	unsigned char *p = map_huge(self->size, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p, 7));

	ACT(madvise);
	ASSERT_EQ(0, madvise(p, self->size, MADV_REMOVE));

	EXPECT_FALSE(is_present(p));
	EXPECT_EQ(0, peek(p));
}

TEST_F(hugetlb, shared_store_of_a_child_is_seen)
{
	unsigned char *p;

	ACT(mmap);
	p = map_huge(self->size, MAP_SHARED);
	ASSERT_MAPPED(p, self->size);

	EXPECT_EQ(7, in_child(store_seven, p));
	EXPECT_EQ(7, peek(p));
}

/* Log2 of 8 pages: no architecture has huge pages as small as that. */
TEST_F(hugetlb, unknown_huge_page_size_is_einval)
{
	int log2_size = __builtin_ctzl(8 * self->ps);

	ACT(mmap);
	EXPECT_ERRNO(EINVAL,
		     map_huge(self->size,
			      MAP_PRIVATE | log2_size << MAP_HUGE_SHIFT));
	EXPECT_MAPPED(map_huge(self->size,
			       MAP_PRIVATE | __builtin_ctzl(self->size)
						     << MAP_HUGE_SHIFT),
		      self->size);
}

TEST_F(hugetlb, offset_inside_a_huge_page_is_einval)
{
	int fd = memfd_create("memsafe", MFD_HUGETLB);

	ASSERT_LE(0, fd);

	ACT(mmap);
	EXPECT_ERRNO(EINVAL, mmap(NULL, self->size, PROT_RW, MAP_SHARED, fd,
				  self->ps));
	EXPECT_MAPPED(mmap(NULL, self->size, PROT_RW, MAP_SHARED, fd, 0),
		      self->size);
}

/* Unlike any other file: hugetlbfs_file_mmap(), fs/hugetlbfs/inode.c */
TEST_F(hugetlb, mapping_for_writing_makes_its_file_as_long)
{
	int fd = memfd_create("memsafe", MFD_HUGETLB);
	struct stat file;

	ASSERT_LE(0, fd);

	ACT(mmap);
	EXPECT_MAPPED(mmap(NULL, self->size, PROT_RW, MAP_SHARED, fd, 0),
		      self->size);

	ASSERT_EQ(0, fstat(fd, &file));
	EXPECT_EQ((off_t)self->size, file.st_size);
}

TEST_HARNESS_MAIN
