// SPDX-License-Identifier: GPL-2.0
/*
 * MAP_POPULATE and MAP_LOCKED prefault a mapping (mmap(2)): its pages are in
 * the page table when mmap() returns, touching them costs no fault, and
 * without the flag none of them is there.
 */
#include "memsafe.h"

#define PAGES 8

FIXTURE(mmap_populate)
{
	size_t ps;
	size_t len;
	int fd;
	int flags;
};

FIXTURE_VARIANT(mmap_populate)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(mmap_populate, anon)
{
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(mmap_populate, anon_shared)
{
	.backing = ANON,
	.sharing = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(mmap_populate, zero)
{
	.backing = ZERO,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(mmap_populate, shmem)
{
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(mmap_populate, file)
{
	.backing = DISK,
	.sharing = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(mmap_populate, file_private)
{
	.backing = DISK,
	.sharing = MAP_PRIVATE,
};

FIXTURE_SETUP(mmap_populate)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->flags = variant->sharing;
	self->fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, self->fd);
}

FIXTURE_TEARDOWN(mmap_populate)
{
}

/* Faults that reading one byte of each page costs. */
static long faults_of_reading(const volatile unsigned char *p, size_t len)
{
	size_t ps = page_size();
	struct fault_count before = faults_so_far();
	struct fault_count after;

	for (size_t off = 0; off < len; off += ps)
		(void)p[off];
	after = faults_so_far();
	return after.minor - before.minor + after.major - before.major;
}

TEST_F(mmap_populate, populate_makes_every_page_present)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, self->flags | MAP_POPULATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(PAGES, present_pages(p, self->len));
	EXPECT_EQ(self->len / 1024, smaps_kb(p, "Rss"));
	EXPECT_EQ(self->len, first_nonzero(p, self->len));
}

TEST_F(mmap_populate, populated_pages_cost_no_fault)
{
	unsigned char *warm_up = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	unsigned char *p;

	ASSERT_NE(MAP_FAILED, warm_up);
	faults_of_reading(warm_up, self->ps);

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, self->flags | MAP_POPULATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(0, faults_of_reading(p, self->len));
}

TEST_F(mmap_populate, without_populate_no_page_is_present)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, self->flags, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(0, present_pages(p, self->len));
	EXPECT_EQ(0, smaps_kb(p, "Rss"));
}

/* "Since Linux 2.6.23, this flag causes MAP_POPULATE to do nothing." */
TEST_F(mmap_populate, nonblock_makes_populate_do_nothing)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW,
		      self->flags | MAP_POPULATE | MAP_NONBLOCK, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(0, present_pages(p, self->len));
}

TEST_F(mmap_populate, prot_none_is_not_populated)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_NONE, self->flags | MAP_POPULATE,
		      self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(0, present_pages(p, self->len));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_read(p));
}

TEST_F(mmap_populate, locked_makes_every_page_present_and_locked)
{
	long before = vm_status_kb("VmLck");
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, self->flags | MAP_LOCKED, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(PAGES, present_pages(p, self->len));
	EXPECT_TRUE(is_locked(p));
	EXPECT_EQ(self->len / 1024, smaps_kb(p, "Locked"));
	EXPECT_EQ(before + (long)self->len / 1024, vm_status_kb("VmLck"));
}

TEST_HARNESS_MAIN
