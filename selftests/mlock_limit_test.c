// SPDX-License-Identifier: GPL-2.0
/*
 * RLIMIT_MEMLOCK without CAP_IPC_LOCK (getrlimit(2), mlock(2)): the exact
 * page at which each way to lock memory fails and with which errno, what
 * counts against the limit, and that it is the limit of one process.
 */
#include <linux/capability.h>

#include "memsafe.h"

#define LIMIT_PAGES 4
#define PAGES (LIMIT_PAGES + 1)

FIXTURE(mlock_limit)
{
	size_t ps;
	size_t limit; /* bytes */
	size_t len; /* one page more */
	unsigned char *p; /* len bytes, alone */
};

FIXTURE_SETUP(mlock_limit)
{
	self->ps = page_size();
	self->limit = LIMIT_PAGES * self->ps;
	self->len = PAGES * self->ps;
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, vm_status_kb("VmLck"));
	ASSERT_TRUE(limit_set(RLIMIT_MEMLOCK, self->limit));
	ASSERT_TRUE(drop_capability(CAP_IPC_LOCK));
}

FIXTURE_TEARDOWN(mlock_limit)
{
}

static long locked_bytes(void)
{
	return vm_status_kb("VmLck") * 1024;
}

TEST_F(mlock_limit, mlock_up_to_the_limit_works)
{
	ACT(mlock);
	EXPECT_EQ(0, mlock(self->p, self->limit));
	EXPECT_EQ(self->limit, locked_bytes());
	EXPECT_TRUE(is_locked(self->p));
}

TEST_F(mlock_limit, mlock_of_one_page_more_is_enomem)
{
	ACT(mlock);
	EXPECT_ERRNO(ENOMEM, mlock(self->p, self->limit + 1));
	EXPECT_EQ(0, locked_bytes());
	EXPECT_EQ(0, mlock(self->p, self->limit));
	EXPECT_ERRNO(ENOMEM, mlock(self->p + self->limit, 1));
	EXPECT_EQ(self->limit, locked_bytes());
}

TEST_F(mlock_limit, limit_of_zero_is_eperm)
{
	ASSERT_TRUE(limit_set(RLIMIT_MEMLOCK, 0));

	ACT(mlock);
	EXPECT_ERRNO(EPERM, mlock(self->p, self->ps));
	EXPECT_EQ(0, locked_bytes());
	ASSERT_TRUE(limit_set(RLIMIT_MEMLOCK, self->ps));
	EXPECT_EQ(0, mlock(self->p, self->ps));
	EXPECT_EQ(self->ps, locked_bytes());
}

TEST_F(mlock_limit, onfault_counts_pages_that_are_not_there)
{
	ACT(mlock2);
	EXPECT_ERRNO(ENOMEM, mlock2(self->p, self->len, MLOCK_ONFAULT));
	EXPECT_EQ(0, locked_bytes());
	EXPECT_EQ(0, mlock2(self->p, self->limit, MLOCK_ONFAULT));
	EXPECT_EQ(self->limit, locked_bytes());
	EXPECT_EQ(0, smaps_kb(self->p, "Rss"));
}

/* The overlap is locked already and is not counted a second time. */
TEST_F(mlock_limit, relocking_at_the_limit_works)
{
	ASSERT_EQ(0, mlock(self->p, self->limit - self->ps));

	ACT(mlock);
	EXPECT_EQ(0, mlock(self->p, self->limit));
	EXPECT_EQ(0, mlock(self->p + self->ps, self->limit - self->ps));
	EXPECT_EQ(self->limit, locked_bytes());
}

TEST_F(mlock_limit, munlock_gives_the_allowance_back)
{
	unsigned char *last = self->p + self->limit;

	ASSERT_EQ(0, mlock(self->p, self->limit));
	ASSERT_ERRNO(ENOMEM, mlock(last, self->ps));

	ACT(munlock);
	EXPECT_EQ(0, munlock(self->p, self->ps));
	EXPECT_EQ(0, mlock(last, self->ps));
	EXPECT_EQ(self->limit, locked_bytes());
	EXPECT_TRUE(is_locked(last));
}

TEST_F(mlock_limit, munmap_gives_the_allowance_back)
{
	unsigned char *last = self->p + self->limit;

	ASSERT_EQ(0, mlock(self->p, self->limit));
	ASSERT_ERRNO(ENOMEM, mlock(last, self->ps));

	ACT(munmap);
	EXPECT_EQ(0, munmap(self->p, self->ps));
	EXPECT_EQ(0, mlock(last, self->ps));
	EXPECT_EQ(self->limit, locked_bytes());
}

static int lock_pages(void *arg)
{
	FIXTURE_DATA(mlock_limit) *self = arg;

	if (mlock(self->p, self->limit))
		return 255;
	return errno_of(mlock(self->p, self->len)) == ENOMEM ?
		       locked_bytes() / self->ps :
		       254;
}

/* Both hold all they may at the same time. */
TEST_F(mlock_limit, limit_is_that_of_each_process)
{
	ACT(mlock);
	EXPECT_EQ(0, mlock(self->p, self->limit));
	EXPECT_EQ(LIMIT_PAGES, in_child(lock_pages, self));
	EXPECT_EQ(self->limit, locked_bytes());
}

TEST_F(mlock_limit, map_locked_over_the_limit_is_eagain)
{
	unsigned char *p;

	ACT(mmap);
	EXPECT_ERRNO(EAGAIN, map_alone(self->len, PROT_RW,
				       MAP_PRIVATE | MAP_LOCKED, -1));
	EXPECT_EQ(0, locked_bytes());
	p = map_alone(self->limit, PROT_RW, MAP_PRIVATE | MAP_LOCKED, -1);
	EXPECT_TRUE(is_locked(p));
	EXPECT_EQ(self->limit, locked_bytes());
}

TEST_F(mlock_limit, map_locked_with_limit_zero_is_eperm)
{
	ASSERT_TRUE(limit_set(RLIMIT_MEMLOCK, 0));

	ACT(mmap);
	EXPECT_ERRNO(EPERM, map_alone(self->ps, PROT_RW,
				      MAP_PRIVATE | MAP_LOCKED, -1));
	EXPECT_EQ(0, locked_bytes());
	EXPECT_MAPPED(map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1), self->ps);
}

TEST_F(mlock_limit, mremap_that_grows_over_the_limit_is_eagain)
{
	ASSERT_EQ(0, munmap(self->p + 2 * self->ps, 3 * self->ps));
	ASSERT_EQ(0, mlock(self->p, 2 * self->ps));

	ACT(mremap);
	EXPECT_ERRNO(EAGAIN, mremap(self->p, 2 * self->ps, self->len, 0));
	EXPECT_EQ(2 * self->ps, locked_bytes());
	EXPECT_EQ(self->p, mremap(self->p, 2 * self->ps, self->limit, 0));
	EXPECT_EQ(self->limit, locked_bytes());
}

/* Growth of a stack is not asked for by a call, so it ends in a signal. */
TEST_F(mlock_limit, locked_stack_does_not_grow_over_the_limit)
{
	unsigned char *low = free_range(1024 * self->ps, self->ps);
	unsigned char *stack = low + 1000 * self->ps;
	unsigned char *over = stack - LIMIT_PAGES * self->ps;

	ASSERT_EQ(stack, mmap(stack, self->ps, PROT_RW,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
				      MAP_FIXED_NOREPLACE,
			      -1, 0));

	ACT(mlock);
	ASSERT_EQ(0, mlock(stack, self->ps));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, over, probe_write(over));
	EXPECT_NO_FAULT(probe_write(over + self->ps));
	EXPECT_EQ(self->limit, locked_bytes());
}

TEST_F(mlock_limit, mlockall_over_the_limit_is_enomem)
{
	ACT(mlockall);
	EXPECT_ERRNO(ENOMEM, mlockall(MCL_CURRENT));
	EXPECT_EQ(0, locked_bytes());
	EXPECT_FALSE(is_locked(self->p));
	ASSERT_TRUE(
		limit_set(RLIMIT_MEMLOCK, 2 * vm_status_kb("VmSize") * 1024));
	EXPECT_EQ(0, mlockall(MCL_CURRENT));
	EXPECT_TRUE(is_locked(self->p));
}

TEST_F(mlock_limit, mlockall_with_limit_zero_is_eperm)
{
	ASSERT_TRUE(limit_set(RLIMIT_MEMLOCK, 0));

	ACT(mlockall);
	EXPECT_ERRNO(EPERM, mlockall(MCL_CURRENT));
	EXPECT_ERRNO(EPERM, mlockall(MCL_FUTURE));
	EXPECT_EQ(0, locked_bytes());
}

TEST_F(mlock_limit, mmap_under_mcl_future_over_the_limit_is_eagain)
{
	unsigned char *p;

	ASSERT_EQ(0, mlockall(MCL_FUTURE));

	ACT(mmap);
	EXPECT_ERRNO(EAGAIN, mmap(NULL, self->len, PROT_RW,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(0, locked_bytes());
	p = mmap(NULL, self->limit, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	EXPECT_TRUE(is_locked(p));
	EXPECT_EQ(self->limit, locked_bytes());
}

FIXTURE(cap_ipc_lock)
{
	size_t ps;
	unsigned char *p;
};

FIXTURE_SETUP(cap_ipc_lock)
{
	if (!has_capability(CAP_IPC_LOCK))
		SKIP(return, "needs CAP_IPC_LOCK");
	self->ps = page_size();
	self->p = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_TRUE(limit_set(RLIMIT_MEMLOCK, 0));
}

FIXTURE_TEARDOWN(cap_ipc_lock)
{
}

TEST_F(cap_ipc_lock, locks_over_the_limit)
{
	ACT(mlock);
	EXPECT_EQ(0, mlock(self->p, self->ps));
	EXPECT_TRUE(is_locked(self->p));
}

/* munlock() asks for no permission. */
TEST_F(cap_ipc_lock, is_not_needed_to_unlock)
{
	ASSERT_EQ(0, mlock(self->p, self->ps));
	ASSERT_TRUE(drop_capability(CAP_IPC_LOCK));

	ACT(munlock);
	EXPECT_EQ(0, munlock(self->p, self->ps));
	EXPECT_FALSE(is_locked(self->p));
	EXPECT_ERRNO(EPERM, mlock(self->p, self->ps));
}

TEST_HARNESS_MAIN
