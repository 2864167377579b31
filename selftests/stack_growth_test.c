// SPDX-License-Identifier: GPL-2.0
/*
 * What a mapping that grows down grows by is counted as what it was asked for, and ends
 * where no program may have memory (mmap(2) on MAP_GROWSDOWN and MAP_LOCKED,
 * Documentation/admin-guide/sysctl/vm.rst on mmap_min_addr).
 */
#include "memsafe.h"

#define ROOM (1UL << 21)

FIXTURE(stack_growth)
{
	size_t ps;
	unsigned char *p; /* one page, ROOM below it is free */
};

FIXTURE_SETUP(stack_growth)
{
	unsigned char *room;

	self->ps = page_size();
	room = free_range(ROOM + self->ps, self->ps);
	ASSERT_NE(MAP_FAILED, (void *)room);
	self->p = mmap(room + ROOM, self->ps, PROT_RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
			       MAP_FIXED_NOREPLACE,
		       -1, 0);
	ASSERT_EQ(room + ROOM, self->p);
	ASSERT_TRUE(poke(self->p, 1));
}

FIXTURE_TEARDOWN(stack_growth)
{
}

TEST_F(stack_growth, growth_of_a_locked_mapping_is_counted_as_locked)
{
	long before = vm_status_kb("VmLck"), kb = self->ps / 1024;

	if (mlock(self->p, self->ps))
		SKIP(return, "needs RLIMIT_MEMLOCK or CAP_IPC_LOCK");
	ASSERT_EQ(before + kb, vm_status_kb("VmLck"));

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_write(self->p - 3 * self->ps));
	EXPECT_EQ(before + 4 * kb, vm_status_kb("VmLck"));
	EXPECT_TRUE(is_locked(self->p - 3 * self->ps));
	ASSERT_EQ(0, munmap(self->p - 3 * self->ps, 4 * self->ps));
	EXPECT_EQ(before, vm_status_kb("VmLck"));
}

TEST_F(stack_growth, growth_is_counted_as_memory_of_the_process)
{
	long before = vm_status_kb("VmSize"), kb = self->ps / 1024;

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_write(self->p - 3 * self->ps));
	EXPECT_EQ(before + 3 * kb, vm_status_kb("VmSize"));
	ASSERT_EQ(0, munmap(self->p - 3 * self->ps, 4 * self->ps));
	EXPECT_EQ(before - kb, vm_status_kb("VmSize"));
}

/* Nobody gets there, by whatever right: not even through /proc/pid/mem. */
TEST_F(stack_growth, growth_ends_at_mmap_min_addr)
{
	long min = sysctl_get("/proc/sys/vm/mmap_min_addr");
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	unsigned char *p;

	if (min <= 0)
		SKIP(return, "needs vm.mmap_min_addr above 0");
	min = (min + self->ps - 1) & -self->ps;
	p = mmap((void *)min, self->ps, PROT_RW,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
			 MAP_FIXED_NOREPLACE,
		 -1, 0);
	ASSERT_EQ((void *)min, (void *)p);
	ASSERT_LE(0, mem);

	ACT_PROBE();
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p - 1, probe_write(p - 1));
	EXPECT_ERRNO(EIO, pwrite(mem, "x", 1, min - 1));
	EXPECT_FALSE(is_mapped(p - self->ps, self->ps));
	EXPECT_EQ(0, peek(p));
}

TEST_HARNESS_MAIN
