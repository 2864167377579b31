// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings that become alike become one, or move the border between them, and each page
 * keeps its place in the file and its content (mprotect(2), madvise(2),
 * vma_merge_existing_range() in mm/vma.c).
 */
#include "memsafe.h"

#define PAGES 8

/* Pages with their number all over, of a file or anonymous, mapped as one. */
FIXTURE(vma_merge)
{
	size_t ps;
	size_t len;
	unsigned char *p;
};

FIXTURE_VARIANT(vma_merge)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(vma_merge, anon){
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};
FIXTURE_VARIANT_ADD(vma_merge, shmem){
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};
FIXTURE_VARIANT_ADD(vma_merge, file){
	.backing = DISK,
	.sharing = MAP_SHARED,
};

FIXTURE_SETUP(vma_merge)
{
	const char *needs = backing_needs(variant->backing);
	int fd = -1;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	if (has_file(variant->backing)) {
		fd = backing_open(variant->backing, self->len);
		ASSERT_LE(0, fd);
	}
	self->p = map_alone(self->len, PROT_RW, variant->sharing, fd);
	ASSERT_MAPPED(self->p, self->len);
	for (int i = 0; i < PAGES; i++)
		memset(self->p + i * self->ps, i + 1, self->ps);
}

FIXTURE_TEARDOWN(vma_merge)
{
}

/*
 * The first page that does not show its number, or PAGES. Those of a file are looked up
 * again, at the place that their mapping says.
 */
static int first_wrong_page(FIXTURE_DATA(vma_merge) * self, int sharing)
{
	int i = 0;

	if (sharing == MAP_SHARED && madvise(self->p, self->len, MADV_DONTNEED))
		return -1;
	while (i < PAGES && peek(self->p + i * self->ps) == i + 1 &&
	       first_other(self->p + i * self->ps, self->ps, i + 1) == self->ps)
		i++;
	return i;
}

static int protect(FIXTURE_DATA(vma_merge) * self, int first, int count,
		   int prot)
{
	return mprotect(self->p + first * self->ps, count * self->ps, prot);
}

TEST_F(vma_merge, border_that_moves_up_leaves_each_page_its_place)
{
	ASSERT_EQ(0, protect(self, 4, 4, PROT_READ));
	ASSERT_EQ(2, count_vmas(self->p, self->len));

	ACT(mprotect);
	ASSERT_EQ(0, protect(self, 4, 2, PROT_RW));
	EXPECT_EQ(2, count_vmas(self->p, self->len));
	EXPECT_EQ(PAGES, first_wrong_page(self, variant->sharing));
	EXPECT_NO_FAULT(probe_write(self->p + 6 * self->ps - 1));
	EXPECT_EQ(SIGSEGV, probe_write(self->p + 6 * self->ps).signal);
}

TEST_F(vma_merge, border_that_moves_down_leaves_each_page_its_place)
{
	ASSERT_EQ(0, protect(self, 4, 4, PROT_READ));
	ASSERT_EQ(2, count_vmas(self->p, self->len));

	ACT(mprotect);
	ASSERT_EQ(0, protect(self, 2, 2, PROT_READ));
	EXPECT_EQ(2, count_vmas(self->p, self->len));
	EXPECT_EQ(PAGES, first_wrong_page(self, variant->sharing));
	EXPECT_NO_FAULT(probe_write(self->p + 2 * self->ps - 1));
	EXPECT_EQ(SIGSEGV, probe_write(self->p + 2 * self->ps).signal);
}

TEST_F(vma_merge, middle_that_becomes_alike_joins_both_sides)
{
	ASSERT_EQ(0, protect(self, 2, 3, PROT_READ));
	ASSERT_EQ(3, count_vmas(self->p, self->len));

	ACT(mprotect);
	ASSERT_EQ(0, protect(self, 2, 3, PROT_RW));
	EXPECT_EQ(1, count_vmas(self->p, self->len));
	EXPECT_EQ(PAGES, first_wrong_page(self, variant->sharing));
	EXPECT_NO_FAULT(probe_write(self->p + 3 * self->ps));
}

TEST_F(vma_merge, side_that_becomes_alike_joins_its_neighbour)
{
	ASSERT_EQ(0, protect(self, 0, 3, PROT_READ));
	ASSERT_EQ(0, protect(self, 3, 2, PROT_NONE));
	ASSERT_EQ(3, count_vmas(self->p, self->len));

	ACT(mprotect);
	ASSERT_EQ(0, protect(self, 3, 2, PROT_READ));
	EXPECT_EQ(2, count_vmas(self->p, self->len));
	ASSERT_EQ(0, protect(self, 0, 5, PROT_RW));
	EXPECT_EQ(1, count_vmas(self->p, self->len));
	EXPECT_EQ(PAGES, first_wrong_page(self, variant->sharing));
}

TEST_F(vma_merge, advice_splits_and_joins_too)
{
	ACT(madvise);
	ASSERT_EQ(0,
		  madvise(self->p + 2 * self->ps, 3 * self->ps, MADV_DONTDUMP));
	EXPECT_EQ(3, count_vmas(self->p, self->len));
	ASSERT_EQ(0,
		  madvise(self->p + 4 * self->ps, 2 * self->ps, MADV_DONTDUMP));
	EXPECT_EQ(3, count_vmas(self->p, self->len));
	EXPECT_EQ(PAGES, first_wrong_page(self, variant->sharing));
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_DODUMP));
	EXPECT_EQ(1, count_vmas(self->p, self->len));
	EXPECT_EQ(PAGES, first_wrong_page(self, variant->sharing));
}

static int store_in_all(void *fixture)
{
	FIXTURE_DATA(vma_merge) *self = fixture;

	memset(self->p, 0x77, self->len);
	return 7;
}

/* Who joins has had no pages so far, its neighbour has. */
TEST_F(vma_merge, empty_part_that_joins_is_copied_on_write_as_the_rest)
{
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_MAPPED(self->p, self->len);
	ASSERT_EQ(0, protect(self, 0, 4, PROT_READ));
	for (int i = 4; i < PAGES; i++)
		memset(self->p + i * self->ps, i + 1, self->ps);

	ACT(mprotect);
	ASSERT_EQ(0, protect(self, 0, 4, PROT_RW));
	ASSERT_EQ(1, count_vmas(self->p, self->len));
	for (int i = 0; i < 4; i++)
		memset(self->p + i * self->ps, i + 1, self->ps);
	EXPECT_EQ(7, in_child(store_in_all, self));
	EXPECT_EQ(PAGES, first_wrong_page(self, MAP_PRIVATE));
	EXPECT_EQ(0, madvise(self->p, self->len, MADV_PAGEOUT));
	EXPECT_EQ(PAGES, first_wrong_page(self, MAP_PRIVATE));
}

TEST_HARNESS_MAIN
