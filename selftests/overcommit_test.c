// SPDX-License-Identifier: GPL-2.0
/*
 * How much memory may be promised (Documentation/mm/overcommit-accounting.rst):
 * what counts as promised, to the page, and what the three modes do about it.
 * MAP_NORESERVE in the first mode is in mmap_accounting_test.c.
 */
#include "memsafe.h"
#include "memsafe_guest.h"

#define MODE_PATH "/proc/sys/vm/overcommit_memory"

enum mode { HEURISTIC, ALWAYS, NEVER };

#define MIB (1UL << 20)

/* Kernel and daemons of a quiet system have less than this in flux. */
#define SLACK (64 * MIB)

FIXTURE(overcommit)
{
	long saved;
	size_t ps;
	size_t len;
};

FIXTURE_VARIANT(overcommit)
{
	enum mode mode;
};

FIXTURE_VARIANT_ADD(overcommit, heuristic){
	.mode = HEURISTIC,
};

FIXTURE_VARIANT_ADD(overcommit, always){
	.mode = ALWAYS,
};

FIXTURE_VARIANT_ADD(overcommit, never){
	.mode = NEVER,
};

FIXTURE_SETUP(overcommit)
{
	long now = sysctl_get(MODE_PATH);

	SKIP_OUTSIDE_A_GUEST();
	self->ps = page_size();
	self->len = 16 * MIB;
	/* Last: a setup that fails has no teardown. */
	if (!sysctl_set(MODE_PATH, variant->mode))
		SKIP(return, "needs a writable " MODE_PATH);
	self->saved = now;
}

FIXTURE_TEARDOWN_PARENT(overcommit)
{
	sysctl_set(MODE_PATH, self->saved);
}

static long committed_kb(void)
{
	return meminfo_kb("Committed_AS");
}

static void *map_bytes(size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, MAP_ANONYMOUS | flags, -1, 0);
}

TEST_F(overcommit, private_writable_memory_is_promised_until_unmapped)
{
	long before = committed_kb();
	void *p;

	ACT(mmap);
	p = map_bytes(self->len, PROT_RW, MAP_PRIVATE);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(before + (long)self->len / 1024, committed_kb());
	EXPECT_EQ(0, munmap(p, self->len));
	EXPECT_EQ(before, committed_kb());
}

TEST_F(overcommit, shared_memory_is_promised)
{
	long before = committed_kb();
	void *p;

	ACT(mmap);
	p = map_bytes(self->len, PROT_RW, MAP_SHARED);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(before + (long)self->len / 1024, committed_kb());
}

TEST_F(overcommit, read_only_memory_is_promised_when_it_becomes_writable)
{
	long before = committed_kb();
	void *p = map_bytes(self->len, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(before, committed_kb());

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(p, self->len, PROT_RW));

	EXPECT_EQ(before + (long)self->len / 1024, committed_kb());
}

/* In the strict mode nothing is for free. */
TEST_F(overcommit, noreserve_is_a_promise_in_the_strict_mode_only)
{
	long added = variant->mode == NEVER ? (long)self->len / 1024 : 0;
	long before = committed_kb();
	void *p;

	ACT(mmap);
	p = map_bytes(self->len, PROT_RW, MAP_PRIVATE | MAP_NORESERVE);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(before + added, committed_kb());
	EXPECT_EQ(variant->mode == NEVER, has_vm_flag(p, "ac"));
}

static int committed_more_than(void *before)
{
	return committed_kb() > *(long *)before ? 7 : 255;
}

/* A child may store to all of it. */
TEST_F(overcommit, fork_promises_the_memory_again)
{
	void *p = map_bytes(self->len, PROT_RW, MAP_PRIVATE);
	long twice;

	ASSERT_NE(MAP_FAILED, p);
	twice = committed_kb() + (long)self->len / 1024 - 1;

	ACT_NR("clone", __NR_clone);
	EXPECT_EQ(7, in_child(committed_more_than, &twice));
}

/* All RAM and swap, and more: what each mode says to that. */
TEST_F(overcommit, more_than_all_memory_is_refused_except_always)
{
	size_t all = (meminfo_kb("MemTotal") + meminfo_kb("SwapTotal")) * 1024;
	unsigned char *p;

	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");

	ACT(mmap);
	p = map_bytes(all + SLACK, PROT_RW, MAP_PRIVATE);
	if (variant->mode != ALWAYS) {
		EXPECT_EQ(MAP_FAILED, p);
		EXPECT_EQ(ENOMEM, errno);
		return;
	}
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_NO_FAULT(probe_write(p));
	EXPECT_NO_FAULT(probe_write(p + all));
}

/* CommitLimit is the limit in the strict mode, and no limit in the others. */
TEST_F(overcommit, limit_holds_in_the_strict_mode_only)
{
	size_t left = (meminfo_kb("CommitLimit") - committed_kb()) * 1024;
	void *p;

	ASSERT_LT(2 * SLACK, left);

	ACT(mmap);
	p = map_bytes(left + SLACK, PROT_RW, MAP_PRIVATE);
	if (variant->mode == NEVER) {
		EXPECT_EQ(MAP_FAILED, p);
		EXPECT_EQ(ENOMEM, errno);
		p = map_bytes(left - 2 * SLACK, PROT_RW, MAP_PRIVATE);
	}
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_NO_FAULT(probe_write(p));
}

TEST_F(overcommit, fork_over_the_limit_fails_in_the_strict_mode_only)
{
	size_t left = (meminfo_kb("CommitLimit") - committed_kb()) * 1024;
	int err = variant->mode == NEVER ? ENOMEM : 0;
	pid_t child;

	ASSERT_NE(MAP_FAILED, map_bytes(left / 4 * 3, PROT_RW, MAP_PRIVATE));

	ACT_NR("clone", __NR_clone);
	errno = 0;
	child = child_start(store_seven, &(unsigned char){ 0 });
	EXPECT_EQ(err, errno);
	EXPECT_EQ(err ? NO_CHILD : 7, child_end(child));
}

TEST_HARNESS_MAIN
