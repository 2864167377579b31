// SPDX-License-Identifier: GPL-2.0
/*
 * mlockall(2) and munlockall(2): MCL_CURRENT is about the mappings there are,
 * MCL_FUTURE about those to come, MCL_ONFAULT leaves either unpopulated, and
 * nothing of it survives munlockall(), fork() or exec().
 */
#include "memsafe.h"

#define PAGES 4

FIXTURE(mlockall)
{
	size_t ps;
	size_t len;
	unsigned char *p; /* mapped before the act, not touched */
};

FIXTURE_SETUP(mlockall)
{
	/* For the whole program, and for what the tests add to it. */
	rlim_t needed = 2 * vm_status_kb("VmSize") * 1024;

	if (!has_capability(CAP_IPC_LOCK) && !limit_set(RLIMIT_MEMLOCK, needed))
		SKIP(return, "needs RLIMIT_MEMLOCK of %ju", (uintmax_t)needed);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, vm_status_kb("VmLck"));
}

FIXTURE_TEARDOWN(mlockall)
{
}

static unsigned char *map_later(size_t len)
{
	return map_alone(len, PROT_RW, MAP_PRIVATE, -1);
}

TEST_F(mlockall, current_locks_and_populates_what_is_mapped)
{
	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_CURRENT));

	EXPECT_TRUE(is_locked(self->p));
	EXPECT_EQ(PAGES, resident_pages(self->p, self->len));
	EXPECT_EQ(self->len / 1024, smaps_kb(self->p, "Locked"));
}

static int some_data = 1;

TEST_F(mlockall, current_locks_text_data_and_stack)
{
	int on_stack;

	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_CURRENT));

	EXPECT_TRUE(is_locked(&on_stack));
	EXPECT_TRUE(is_locked(&some_data));
	EXPECT_TRUE(is_locked((void *)mlockall_teardown));
}

TEST_F(mlockall, current_does_not_lock_later_mappings)
{
	long locked;
	unsigned char *p;

	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	locked = vm_status_kb("VmLck");
	p = map_later(self->len);
	ASSERT_MAPPED(p, self->len);

	EXPECT_TRUE(is_locked(self->p));
	EXPECT_FALSE(is_locked(p));
	EXPECT_FALSE(is_present(p));
	EXPECT_EQ(locked, vm_status_kb("VmLck"));
}

TEST_F(mlockall, future_locks_and_populates_later_mappings)
{
	unsigned char *p;

	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	p = map_later(self->len);
	ASSERT_MAPPED(p, self->len);

	EXPECT_TRUE(is_locked(p));
	EXPECT_TRUE(is_present(p));
	EXPECT_TRUE(is_present(p + self->len - self->ps));
	EXPECT_EQ(self->len / 1024, vm_status_kb("VmLck"));
}

TEST_F(mlockall, future_does_not_lock_what_is_mapped)
{
	unsigned char *p;

	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	p = map_later(self->len);

	EXPECT_FALSE(is_locked(self->p));
	EXPECT_FALSE(is_present(self->p));
	EXPECT_TRUE(is_locked(p));
}

TEST_F(mlockall, future_locks_shared_file_mappings)
{
	int fd = backing_open(SHMEM, self->len);
	unsigned char *p;

	ASSERT_LE(0, fd);

	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	p = map_alone(self->len, PROT_RW, MAP_SHARED, fd);

	EXPECT_TRUE(is_locked(p));
	EXPECT_TRUE(is_present(p + self->len - self->ps));
}

TEST_F(mlockall, future_covers_growth_of_the_heap)
{
	unsigned char *end = sbrk(0);

	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_FUTURE));
	ASSERT_EQ(end, sbrk(2 * self->ps));

	EXPECT_TRUE(is_locked(end + self->ps));
	EXPECT_TRUE(is_present(end + self->ps));
}

TEST_F(mlockall, current_onfault_locks_without_populating)
{
	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_ONFAULT));

	EXPECT_TRUE(is_locked(self->p));
	EXPECT_EQ(0, smaps_kb(self->p, "Rss"));
	EXPECT_NO_FAULT(probe_write(self->p));
	EXPECT_EQ((long)self->ps / 1024, smaps_kb(self->p, "Locked"));
}

TEST_F(mlockall, future_onfault_locks_without_populating)
{
	unsigned char *p;

	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_FUTURE | MCL_ONFAULT));
	p = map_later(self->len);
	ASSERT_MAPPED(p, self->len);

	EXPECT_TRUE(is_locked(p));
	EXPECT_FALSE(is_locked(self->p));
	EXPECT_EQ(0, smaps_kb(p, "Rss"));
	EXPECT_NO_FAULT(probe_write(p));
	EXPECT_EQ((long)self->ps / 1024, smaps_kb(p, "Locked"));
}

TEST_F(mlockall, munlockall_unlocks_everything)
{
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));
	ASSERT_LT(0, vm_status_kb("VmLck"));

	ACT(munlockall);
	ASSERT_EQ(0, munlockall());

	EXPECT_EQ(0, vm_status_kb("VmLck"));
	EXPECT_FALSE(is_locked(self->p));
	EXPECT_TRUE(is_present(self->p));
}

TEST_F(mlockall, munlockall_ends_mcl_future)
{
	unsigned char *p;

	ASSERT_EQ(0, mlockall(MCL_FUTURE));

	ACT(munlockall);
	ASSERT_EQ(0, munlockall());
	p = map_later(self->len);
	ASSERT_MAPPED(p, self->len);

	EXPECT_FALSE(is_locked(p));
	EXPECT_FALSE(is_present(p));
}

TEST_F(mlockall, munlockall_unlocks_what_mlock_locked)
{
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(munlockall);
	ASSERT_EQ(0, munlockall());

	EXPECT_FALSE(is_locked(self->p));
	EXPECT_EQ(0, vm_status_kb("VmLck"));
}

TEST_F(mlockall, invalid_flags_are_einval)
{
	ACT(mlockall);
	EXPECT_ERRNO(EINVAL, mlockall(0));
	EXPECT_ERRNO(EINVAL, mlockall(MCL_ONFAULT));
	EXPECT_ERRNO(EINVAL, mlockall(MCL_CURRENT | MCL_ONFAULT << 1));
	EXPECT_EQ(0, vm_status_kb("VmLck"));
	EXPECT_EQ(0, mlockall(MCL_CURRENT));
	EXPECT_TRUE(is_locked(self->p));
}

/* 1: something is locked, plus 2: a new mapping is. */
static int locks_here(void *unused)
{
	unsigned char *p = map_later(page_size());

	(void)unused;
	return (vm_status_kb("VmLck") ? 1 : 0) + (is_locked(p) ? 2 : 0);
}

TEST_F(mlockall, is_not_inherited_by_a_child)
{
	ACT(mlockall);
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE));

	EXPECT_EQ(0, in_child(locks_here, NULL));
	EXPECT_EQ(3, locks_here(NULL));
}

/* Tells main() below that it runs in the test's child. */
#define CHILD_ENV "MEMSAFE_MLOCKALL_CHILD"

/* Locks all, then becomes this program again; 254 or 255 when it can't. */
static int lock_and_exec(void *unused)
{
	char *argv[] = { "mlockall_test", NULL };

	(void)unused;
	setenv(CHILD_ENV, "1", 1);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) || locks_here(NULL) != 3)
		return 254;
	execv("/proc/self/exe", argv);
	return 255;
}

TEST_F(mlockall, does_not_survive_exec)
{
	ACT(execve);
	EXPECT_EQ(0, in_child(lock_and_exec, NULL));
}

int main(int argc, char **argv)
{
	if (getenv(CHILD_ENV))
		return locks_here(NULL);
	return test_harness_run(argc, argv);
}
