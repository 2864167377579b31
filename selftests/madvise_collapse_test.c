// SPDX-License-Identifier: GPL-2.0
/*
 * Small pages that become a huge one on demand hold what they held, whoever else has
 * them (madvise(2) on MADV_COLLAPSE).
 */
#include "memsafe.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* As much as a huge page, in small ones, each with its own content. */
FIXTURE(madvise_collapse)
{
	size_t ps;
	size_t len;
	unsigned char *p;
};

FIXTURE_VARIANT(madvise_collapse)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(madvise_collapse, anon){
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};
FIXTURE_VARIANT_ADD(madvise_collapse, shmem){
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};

/* Different for any two pages that are less than 251 apart. */
static unsigned char content(size_t page)
{
	return page % 251 + 1;
}

static void number_pages(unsigned char *p, size_t len)
{
	size_t ps = page_size();

	for (size_t at = 0; at < len; at += ps)
		memset(p + at, content(at / ps), ps);
}

/* The first byte that is not what number_pages() wrote, or @len. */
static size_t first_wrong(const unsigned char *p, size_t len)
{
	size_t ps = page_size();

	for (size_t at = 0; at < len; at += ps) {
		size_t right = first_other(p + at, ps, content(at / ps));

		if (right < ps)
			return at + right;
	}
	return len;
}

FIXTURE_SETUP(madvise_collapse)
{
	int fd = -1;

	self->ps = page_size();
	self->len = thp_size();
	if (!map_thp())
		SKIP(return, "needs a transparent huge page");
	if (has_file(variant->backing)) {
		fd = backing_open(variant->backing, self->len);
		ASSERT_LE(0, fd);
	}
	self->p = free_range(self->len, self->len);
	ASSERT_EQ(self->p, mmap(self->p, self->len, PROT_RW,
				variant->sharing | MAP_FIXED_NOREPLACE |
					(fd < 0 ? MAP_ANONYMOUS : 0),
				fd, 0));
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_NOHUGEPAGE));
	number_pages(self->p, self->len);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_HUGEPAGE));
}

FIXTURE_TEARDOWN(madvise_collapse)
{
}

/* Of a huge page all are in one block of memory. */
static bool is_huge(const unsigned char *p, size_t len)
{
	uint64_t first = pagemap_entry(p) & PAGEMAP_PFN_MASK;
	uint64_t last = pagemap_entry(p + len - 1) & PAGEMAP_PFN_MASK;

	return first && last - first == len / page_size() - 1 &&
	       !(first % (len / page_size()));
}

TEST_F(madvise_collapse, huge_page_has_what_the_small_ones_had)
{
	ASSERT_FALSE(is_huge(self->p, self->len));

	ACT(madvise);
	ASSERT_ERRNO(0, madvise(self->p, self->len, MADV_COLLAPSE));
	EXPECT_EQ(self->len, first_wrong(self->p, self->len));
	EXPECT_TRUE(is_huge(self->p, self->len));
	EXPECT_TRUE(poke(self->p + self->len - 1, 1));
	EXPECT_EQ(1, peek(self->p + self->len - 1));
}

/* In the memory that the next huge page is likely to get. */
static bool leave_secret(size_t len)
{
	unsigned char *thp = map_thp();

	if (!thp)
		return false;
	memset(thp, 0xa5, len);
	return !munmap(thp, len);
}

/* What was never touched is zero there as well. */
TEST_F(madvise_collapse, hole_becomes_zero)
{
	unsigned char *hole = self->p + 3 * self->ps;
	int drop = variant->sharing == MAP_SHARED ? MADV_REMOVE : MADV_DONTNEED;

	ASSERT_EQ(0, madvise(hole, self->ps, drop));
	ASSERT_TRUE(leave_secret(self->len));

	ACT(madvise);
	ASSERT_ERRNO(0, madvise(self->p, self->len, MADV_COLLAPSE));
	EXPECT_EQ(self->ps, first_nonzero(hole, self->ps));
	EXPECT_EQ(hole - self->p, first_wrong(self->p, self->len));
	EXPECT_TRUE(is_huge(self->p, self->len));
}

/* Before v6.18 anonymous pages of which none may be written are left as they are. */
TEST_F(madvise_collapse, protection_stays)
{
	int err;

	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	ACT(madvise);
	err = errno_of(madvise(self->p, self->len, MADV_COLLAPSE));
	if (variant->sharing == MAP_SHARED || err != EINVAL)
		ASSERT_EQ(0, err);
	EXPECT_EQ(!err, is_huge(self->p, self->len));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_write(self->p));
	EXPECT_EQ(self->len, first_wrong(self->p, self->len));
}

static int collapse_and_write(void *fixture)
{
	FIXTURE_DATA(madvise_collapse) *self = fixture;

	if (!poke(self->p, 99) || madvise(self->p, self->len, MADV_COLLAPSE))
		return 255;
	return !is_huge(self->p, self->len) || peek(self->p) != 99 ||
	       first_other(self->p + self->ps, self->ps, content(1)) !=
		       self->ps;
}

/* A child's copy is its own, a shared page is everybody's. */
TEST_F(madvise_collapse, who_else_has_the_pages_sees_no_change)
{
	ACT(clone);
	EXPECT_EQ(0, in_child(collapse_and_write, self));
	EXPECT_EQ(variant->sharing == MAP_SHARED ? 99 : content(0),
		  peek(self->p));
	ASSERT_TRUE(poke(self->p, content(0)));
	EXPECT_EQ(self->len, first_wrong(self->p, self->len));
}

TEST_F(madvise_collapse, less_than_a_huge_page_is_not_collapsed)
{
	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p + 1, self->len, MADV_COLLAPSE));
	ASSERT_ERRNO(0, madvise(self->p, self->len, MADV_COLLAPSE));
	EXPECT_EQ(self->len, first_wrong(self->p, self->len));
}

TEST_HARNESS_MAIN
