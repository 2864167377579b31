// SPDX-License-Identifier: GPL-2.0
/*
 * What a mapping is charged to, and the ENOMEM at the exact end of it:
 * RLIMIT_AS and RLIMIT_DATA (getrlimit(2)), vm.max_map_count, and memory that
 * is promised and not there (MAP_NORESERVE,
 * Documentation/mm/overcommit-accounting.rst).
 */
#include "memsafe.h"

#define MAP_ANON_PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

/* What each limit has left when a test starts. */
#define PAGES_LEFT 8

FIXTURE(rlimit_as)
{
	size_t ps;
	size_t left;
};

FIXTURE_SETUP(rlimit_as)
{
	self->ps = page_size();
	self->left = PAGES_LEFT * self->ps;
}

FIXTURE_TEARDOWN(rlimit_as)
{
}

/* RLIMIT_AS that leaves @left bytes; it counts what VmSize shows. */
static bool limit_address_space(size_t left)
{
	return limit_set(RLIMIT_AS, vm_status_kb("VmSize") * 1024 + left);
}

static void *map_anon(size_t len, int prot)
{
	return mmap(NULL, len, prot, MAP_ANON_PRIVATE, -1, 0);
}

TEST_F(rlimit_as, mapping_up_to_the_limit_works)
{
	long before = vm_status_kb("VmSize");

	ASSERT_TRUE(limit_address_space(self->left));

	ACT(mmap);
	EXPECT_MAPPED(map_anon(self->left, PROT_RW), self->left);
	EXPECT_EQ(before + (long)self->left / 1024, vm_status_kb("VmSize"));
}

TEST_F(rlimit_as, one_page_more_is_enomem)
{
	long before = vm_status_kb("VmSize");

	ASSERT_TRUE(limit_address_space(self->left));

	ACT(mmap);
	EXPECT_ERRNO(ENOMEM, map_anon(self->left + self->ps, PROT_RW));
	EXPECT_EQ(before, vm_status_kb("VmSize"));
	EXPECT_MAPPED(map_anon(self->left, PROT_RW), self->left);
}

TEST_F(rlimit_as, inaccessible_and_shared_memory_count_too)
{
	ASSERT_TRUE(limit_address_space(self->left));

	ACT(mmap);
	EXPECT_ERRNO(ENOMEM, map_anon(self->left + self->ps, PROT_NONE));
	EXPECT_ERRNO(ENOMEM, mmap(NULL, self->left + self->ps, PROT_READ,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	EXPECT_MAPPED(map_anon(self->left, PROT_NONE), self->left);
}

TEST_F(rlimit_as, munmap_gives_the_allowance_back)
{
	void *p;

	ASSERT_TRUE(limit_address_space(self->left));
	p = map_anon(self->left, PROT_RW);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_ERRNO(ENOMEM, map_anon(self->ps, PROT_RW));

	ACT(munmap);
	EXPECT_EQ(0, munmap(p, self->ps));
	EXPECT_MAPPED(map_anon(self->ps, PROT_RW), self->ps);
}

/* MAP_FIXED over a mapping unmaps first: nothing is added. */
TEST_F(rlimit_as, replacing_a_mapping_is_free)
{
	unsigned char *p;

	ASSERT_TRUE(limit_address_space(self->left));
	p = map_anon(self->left, PROT_RW);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0x11, self->left);

	ACT(mmap);
	EXPECT_EQ(p, mmap(p, self->left, PROT_RW, MAP_ANON_PRIVATE | MAP_FIXED,
			  -1, 0));
	EXPECT_EQ(self->left, first_nonzero(p, self->left));
}

TEST_F(rlimit_as, mremap_past_the_limit_is_enomem)
{
	unsigned char *p = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p, 7));
	ASSERT_TRUE(limit_address_space(self->left));

	ACT(mremap);
	EXPECT_ERRNO(ENOMEM, mremap(p, self->ps, self->left + 2 * self->ps,
				    MREMAP_MAYMOVE));
	EXPECT_EQ(7, peek(p));
	p = mremap(p, self->ps, self->left + self->ps, MREMAP_MAYMOVE);
	ASSERT_MAPPED(p, self->left + self->ps);
	EXPECT_EQ(7, peek(p));
}

/* Since v4.7 private writable memory counts, and nothing else does. */
FIXTURE(rlimit_data)
{
	size_t ps;
	size_t left;
	size_t over;
};

FIXTURE_SETUP(rlimit_data)
{
	self->ps = page_size();
	self->left = PAGES_LEFT * self->ps;
	self->over = self->left + self->ps;
	ASSERT_TRUE(limit_set(RLIMIT_DATA,
			      vm_status_kb("VmData") * 1024 + self->left));
}

FIXTURE_TEARDOWN(rlimit_data)
{
}

TEST_F(rlimit_data, private_writable_memory_up_to_the_limit_works)
{
	long before = vm_status_kb("VmData");

	ACT(mmap);
	EXPECT_MAPPED(map_anon(self->left, PROT_RW), self->left);
	EXPECT_EQ(before + (long)self->left / 1024, vm_status_kb("VmData"));
}

TEST_F(rlimit_data, one_page_more_is_enomem)
{
	long before = vm_status_kb("VmData");

	ACT(mmap);
	EXPECT_ERRNO(ENOMEM, map_anon(self->over, PROT_RW));
	EXPECT_EQ(before, vm_status_kb("VmData"));
	EXPECT_MAPPED(map_anon(self->left, PROT_RW), self->left);
}

TEST_F(rlimit_data, read_only_and_shared_memory_do_not_count)
{
	long before = vm_status_kb("VmData");

	ACT(mmap);
	EXPECT_MAPPED(map_anon(self->over, PROT_READ), self->over);
	EXPECT_MAPPED(mmap(NULL, self->over, PROT_RW,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		      self->over);
	EXPECT_EQ(before, vm_status_kb("VmData"));
}

TEST_F(rlimit_data, mprotect_to_writable_over_the_limit_is_enomem)
{
	unsigned char *p = map_alone(self->over, PROT_READ, MAP_PRIVATE, -1);

	ASSERT_NE(MAP_FAILED, p);

	ACT(mprotect);
	EXPECT_ERRNO(ENOMEM, mprotect(p, self->over, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_EQ(0, mprotect(p, self->left, PROT_RW));
	EXPECT_NO_FAULT(probe_write(p));
}

TEST_F(rlimit_data, brk_over_the_limit_is_enomem)
{
	unsigned char *end = sbrk(0);

	ACT(brk);
	EXPECT_ERRNO(ENOMEM, sbrk(2 * self->over));
	EXPECT_EQ(end, sbrk(0));
	EXPECT_EQ(end, sbrk(self->ps));
	EXPECT_NO_FAULT(probe_write(end + self->ps - 1));
}

/*
 * A limit that is far above what other processes of a small system have, as
 * the sysctl is everybody's, and yet quickly reached.
 */
#define MAP_COUNT 1000
#define MAP_COUNT_PATH "/proc/sys/vm/max_map_count"

FIXTURE(max_map_count)
{
	long saved; /* 0: nothing to restore */
	size_t ps;
	unsigned char *area; /* MAP_COUNT pages alone, and one mapping */
};

FIXTURE_SETUP(max_map_count)
{
	long now = sysctl_get(MAP_COUNT_PATH);

	self->ps = page_size();
	self->area = map_alone(MAP_COUNT * self->ps, PROT_NONE,
			       MAP_PRIVATE | MAP_NORESERVE, -1);
	ASSERT_NE(MAP_FAILED, self->area);
	/* Last: a setup that fails has no teardown. */
	if (!sysctl_set(MAP_COUNT_PATH, MAP_COUNT))
		SKIP(return, "needs a writable " MAP_COUNT_PATH);
	self->saved = now;
}

/* In the parent, so that it also runs for a test that was killed. */
FIXTURE_TEARDOWN_PARENT(max_map_count)
{
	if (self->saved)
		sysctl_set(MAP_COUNT_PATH, self->saved);
}

/* Below the lines in maps that are the same in all processes: [vsyscall]. */
#define USER_SPACE NULL, UINTPTR_MAX - (16UL << 20)

/*
 * Splits @area into single pages, by the protection of every second one,
 * until the kernel refuses. The first page that it refused; NULL: none.
 */
static unsigned char *split_until_refused(unsigned char *area)
{
	size_t ps = page_size();

	for (size_t i = 1; i < MAP_COUNT; i += 2)
		if (mprotect(area + i * ps, ps, PROT_READ))
			return area + i * ps;
	return NULL;
}

TEST_F(max_map_count, split_at_the_limit_is_enomem)
{
	unsigned char *refused;

	ACT(mprotect);
	refused = split_until_refused(self->area);
	EXPECT_EQ(ENOMEM, errno);
	ASSERT_NE(NULL, refused);

	EXPECT_EQ(MAP_COUNT, count_vmas(USER_SPACE));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, refused, probe_read(refused));
	EXPECT_EQ(0, peek(refused - 2 * self->ps));
}

/* mmap() has always gone one over: it asks before it maps. */
TEST_F(max_map_count, mmap_at_the_limit_is_enomem)
{
	ASSERT_NE(NULL, split_until_refused(self->area));
	map_alone(self->ps, PROT_READ, MAP_PRIVATE, -1);

	ACT(mmap);
	EXPECT_ERRNO(ENOMEM, mmap(NULL, self->ps, PROT_RW | PROT_EXEC,
				  MAP_ANON_PRIVATE, -1, 0));
	ASSERT_EQ(0, munmap(self->area, 2 * self->ps));
	EXPECT_EQ(self->area,
		  mmap(self->area, self->ps, PROT_RW,
		       MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0));
	EXPECT_EQ(0, peek(self->area));
}

TEST_F(max_map_count, munmap_that_splits_at_the_limit_is_enomem)
{
	unsigned char *p = map_alone(3 * self->ps, PROT_RW, MAP_PRIVATE, -1);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p + self->ps, 7));
	ASSERT_NE(NULL, split_until_refused(self->area));

	ACT(munmap);
	EXPECT_ERRNO(ENOMEM, munmap(p + self->ps, self->ps));
	EXPECT_EQ(7, peek(p + self->ps));
	EXPECT_EQ(0, munmap(p, self->ps));
	EXPECT_UNMAPPED(p, self->ps);
}

#define OVERCOMMIT_NEVER 2

static long overcommit_mode(void)
{
	return sysctl_get("/proc/sys/vm/overcommit_memory");
}

/* "ac" and "nr" in VmFlags, Documentation/filesystems/proc.rst */
TEST(noreserve_memory_is_not_accounted)
{
	size_t ps = page_size();
	unsigned char *p, *q;

	if (overcommit_mode() == OVERCOMMIT_NEVER)
		SKIP(return, "needs vm.overcommit_memory other than 2");

	ACT(mmap);
	p = map_alone(ps, PROT_RW, MAP_PRIVATE | MAP_NORESERVE, -1);
	q = map_alone(ps, PROT_RW, MAP_PRIVATE, -1);

	EXPECT_TRUE(has_vm_flag(p, "nr"));
	EXPECT_FALSE(has_vm_flag(p, "ac"));
	EXPECT_FALSE(has_vm_flag(q, "nr"));
	EXPECT_TRUE(has_vm_flag(q, "ac"));
}

TEST(private_memory_is_accounted_from_when_it_is_writable)
{
	size_t ps = page_size();
	unsigned char *p = map_alone(ps, PROT_READ, MAP_PRIVATE, -1);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_FALSE(has_vm_flag(p, "ac"));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(p, ps, PROT_RW));

	EXPECT_TRUE(has_vm_flag(p, "ac"));
}

/* The heuristic mode refuses what is more than all RAM and swap at once. */
TEST(more_than_all_memory_needs_noreserve)
{
	size_t all = (meminfo_kb("MemTotal") + meminfo_kb("SwapTotal")) * 1024;
	size_t ps = page_size();
	unsigned char *p;

	if (overcommit_mode() != 0 || sizeof(long) < 8)
		SKIP(return, "needs vm.overcommit_memory=0 and 64 bits");

	ACT(mmap);
	EXPECT_ERRNO(ENOMEM, map_anon(all + ps, PROT_RW));
	p = mmap(NULL, all + ps, PROT_RW, MAP_ANON_PRIVATE | MAP_NORESERVE, -1,
		 0);
	EXPECT_NE(MAP_FAILED, p);
	EXPECT_NO_FAULT(probe_write(p));
	EXPECT_NO_FAULT(probe_write(p + all));
}

TEST_HARNESS_MAIN
