// SPDX-License-Identifier: GPL-2.0
/*
 * mremap(2) of ranges larger than a page table covers: tables move as a whole
 * where both ends are aligned and page by page elsewhere, huge pages stay huge
 * or are split, and hugetlb pages move as they are. No page is lost, doubled
 * or left behind.
 */
#include "memsafe.h"

/* What one page table of the last level maps. */
static size_t table_span(void)
{
	return page_size() * (page_size() / sizeof(uint64_t));
}

/*
 * Three page tables' worth of memory with marked pages at the edges of each;
 * the rest is never touched.
 */
FIXTURE(mremap_tables)
{
	size_t ps;
	size_t span;
	size_t len;
	unsigned char *p;
	unsigned char *target;
};

/* Offset in pages from the border of a page table. */
FIXTURE_VARIANT(mremap_tables)
{
	size_t from;
	size_t to;
};

FIXTURE_VARIANT_ADD(mremap_tables, aligned){
	.from = 0,
	.to = 0,
};

FIXTURE_VARIANT_ADD(mremap_tables, same_offset){
	.from = 3,
	.to = 3,
};

FIXTURE_VARIANT_ADD(mremap_tables, from_unaligned){
	.from = 3,
	.to = 0,
};

FIXTURE_VARIANT_ADD(mremap_tables, to_unaligned){
	.from = 0,
	.to = 3,
};

#define MARKS 6

/* The first and the last page of each table's worth. */
static size_t mark_offset(const FIXTURE_DATA(mremap_tables) * self, int mark)
{
	return mark / 2 * self->span + (mark % 2 ? self->span - self->ps : 0);
}

FIXTURE_SETUP(mremap_tables)
{
	unsigned char *room;

	self->ps = page_size();
	self->span = table_span();
	self->len = 3 * self->span;
	if (sizeof(long) < 8 && self->span > 4 << 20)
		SKIP(return, "needs address space for large page tables");
	room = free_range(2 * (self->len + self->span), self->span);
	ASSERT_NE(MAP_FAILED, room);
	self->target = room + self->len + self->span + variant->to * self->ps;
	self->p = mmap(room + variant->from * self->ps, self->len, PROT_RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
			       MAP_FIXED_NOREPLACE,
		       -1, 0);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_NOHUGEPAGE));
	for (int i = 0; i < MARKS; i++)
		ASSERT_TRUE(poke(self->p + mark_offset(self, i), i + 1));
}

FIXTURE_TEARDOWN(mremap_tables)
{
}

TEST_F(mremap_tables, every_page_arrives_where_it_belongs)
{
	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(self->p, self->len, self->len,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target));

	for (int i = 0; i < MARKS; i++)
		EXPECT_EQ(i + 1, peek(self->target + mark_offset(self, i)));
	EXPECT_EQ(MARKS * (long)self->ps / 1024, smaps_kb(self->target, "Rss"));
	EXPECT_EQ(0, peek(self->target + self->ps));
	EXPECT_UNMAPPED(self->p, self->len);
	EXPECT_EQ(-1, peek(self->p));
	EXPECT_EQ(-1, peek(self->p + mark_offset(self, MARKS - 1)));
}

TEST_F(mremap_tables, nothing_is_left_in_the_old_tables)
{
	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(self->p, self->len, self->len,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target));
	ASSERT_EQ(self->p, mmap(self->p, self->len, PROT_RW,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
					MAP_FIXED_NOREPLACE,
				-1, 0));

	EXPECT_EQ(0, smaps_kb(self->p, "Rss"));
	for (int i = 0; i < MARKS; i++)
		EXPECT_EQ(0, peek(self->p + mark_offset(self, i)));
}

/* What is before the part is in the same table, and stays there. */
TEST_F(mremap_tables, part_moves_and_leaves_what_is_before_it)
{
	size_t before = 5 * self->ps, len = self->len - before;

	ACT(mremap);
	ASSERT_EQ(self->target + before,
		  mremap(self->p + before, len, len,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target + before));

	EXPECT_EQ(1, peek(self->p));
	for (int i = 1; i < MARKS; i++)
		EXPECT_EQ(i + 1, peek(self->target + mark_offset(self, i)));
	EXPECT_UNMAPPED(self->p + before, len);
	EXPECT_UNMAPPED(self->target, before);
}

/* A huge page, its first byte 1, its last 2; and room for two. */
FIXTURE(mremap_thp)
{
	size_t ps;
	size_t size;
	unsigned char *p;
	unsigned char *target;
};

FIXTURE_SETUP(mremap_thp)
{
	self->ps = page_size();
	self->size = thp_size();
	self->p = map_thp();
	if (!self->p)
		SKIP(return, "needs a transparent huge page");
	ASSERT_TRUE(poke(self->p, 1));
	ASSERT_TRUE(poke(self->p + self->size - 1, 2));
	self->target = free_range(2 * self->size, self->size);
	ASSERT_NE(MAP_FAILED, self->target);
}

FIXTURE_TEARDOWN(mremap_thp)
{
}

TEST_F(mremap_thp, aligned_move_keeps_the_page_huge)
{
	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(self->p, self->size, self->size,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target));

	EXPECT_EQ((long)self->size / 1024,
		  smaps_kb(self->target, "AnonHugePages"));
	EXPECT_EQ(1, peek(self->target));
	EXPECT_EQ(2, peek(self->target + self->size - 1));
	EXPECT_EQ(-1, peek(self->p));
}

TEST_F(mremap_thp, unaligned_move_splits_it_and_keeps_the_data)
{
	unsigned char *target = self->target + self->ps;

	ACT(mremap);
	ASSERT_EQ(target, mremap(self->p, self->size, self->size,
				 MREMAP_MAYMOVE | MREMAP_FIXED, target));

	EXPECT_EQ(0, smaps_kb(target, "AnonHugePages"));
	EXPECT_EQ((long)self->size / 1024, smaps_kb(target, "Rss"));
	EXPECT_EQ(1, peek(target));
	EXPECT_EQ(2, peek(target + self->size - 1));
	EXPECT_EQ(-1, peek(self->p));
}

TEST_F(mremap_thp, page_taken_from_the_middle_leaves_the_rest)
{
	unsigned char *middle = self->p + self->size / 2;

	ASSERT_TRUE(poke(middle, 3));

	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(middle, self->ps, self->ps,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target));

	EXPECT_EQ(3, peek(self->target));
	EXPECT_EQ(-1, peek(middle));
	EXPECT_EQ(1, peek(self->p));
	EXPECT_EQ(2, peek(self->p + self->size - 1));
}

TEST_F(mremap_thp, shrinking_inside_it_keeps_the_head)
{
	unsigned char *end = self->p + self->size / 2;

	ACT(mremap);
	ASSERT_EQ(self->p, mremap(self->p, self->size, self->size / 2, 0));

	EXPECT_EQ(1, peek(self->p));
	EXPECT_EQ(0, peek(end - 1));
	EXPECT_EQ(-1, peek(end));
	EXPECT_EQ((long)self->size / 2048, smaps_kb(self->p, "Rss"));
}

#define MAP_ANON_HUGE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB)
#define POOL_PATH "/proc/sys/vm/nr_hugepages"

/* One page of the pool, mapped and touched. */
FIXTURE(mremap_hugetlb)
{
	long saved; /* pages in the pool before the test; -1: not changed */
	size_t ps;
	size_t size;
	unsigned char *p;
	unsigned char *target;
};

FIXTURE_SETUP(mremap_hugetlb)
{
	long now = sysctl_get(POOL_PATH);

	self->saved = -1;
	if (now < 0)
		SKIP(return, "needs CONFIG_HUGETLBFS=y");
	self->ps = page_size();
	self->size = meminfo_kb("Hugepagesize") * 1024;
	if (!sysctl_set(POOL_PATH, now + 1))
		SKIP(return, "needs a writable " POOL_PATH);
	self->target = free_range(2 * self->size, self->size);
	self->p = mmap(NULL, self->size, PROT_RW, MAP_ANON_HUGE, -1, 0);
	if (self->p == MAP_FAILED) {
		/* A setup that skips has no teardown. */
		sysctl_set(POOL_PATH, now);
		SKIP(return, "needs memory for one huge page");
	}
	self->saved = now;
	poke(self->p, 1);
	poke(self->p + self->size - 1, 2);
}

FIXTURE_TEARDOWN_PARENT(mremap_hugetlb)
{
	if (self->saved >= 0)
		sysctl_set(POOL_PATH, self->saved);
}

TEST_F(mremap_hugetlb, page_moves_as_it_is)
{
	long free = meminfo_kb("HugePages_Free");

	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(self->p, self->size, self->size,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target));

	EXPECT_EQ(1, peek(self->target));
	EXPECT_EQ(2, peek(self->target + self->size - 1));
	EXPECT_TRUE(has_vm_flag(self->target, "ht"));
	EXPECT_EQ(free, meminfo_kb("HugePages_Free"));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, self->p, probe_read(self->p));
}

TEST_F(mremap_hugetlb, address_inside_a_huge_page_is_einval)
{
	unsigned char *inside = self->p + self->ps;

	ACT(mremap);
	EXPECT_ERRNO(EINVAL,
		     mremap(inside, self->ps, self->ps,
			    MREMAP_MAYMOVE | MREMAP_FIXED, self->target));
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->size, self->size,
				    MREMAP_MAYMOVE | MREMAP_FIXED,
				    self->target + self->ps));
	EXPECT_EQ(1, count_vmas(self->p, self->size));
	EXPECT_EQ(1, peek(self->p));
}

TEST_F(mremap_hugetlb, growth_is_einval)
{
	ACT(mremap);
	EXPECT_ERRNO(EINVAL, mremap(self->p, self->size, 2 * self->size,
				    MREMAP_MAYMOVE));
	EXPECT_EQ(1, peek(self->p));
	EXPECT_EQ(2, peek(self->p + self->size - 1));
}

TEST_HARNESS_MAIN
