// SPDX-License-Identifier: GPL-2.0
/*
 * What is particular to remap_pfn_range() and to the functions above it: the
 * caller's range and protection are taken as given, save that a private
 * writable mapping is made at once or not at all; a failure half way leaves
 * nothing; vm_iomap_memory() checks the VMA against the region
 * (mm/memory.c).
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>

#include "memsafe_debugfs.h"
#include "memsafe_mmap_file.h"

/* The driver's memory in the cases about bounds: the pages behind are not its. */
enum { REGION = NPAGES / 2 };

static int remap_pages(struct mmap_file *mf, struct vm_area_struct *vma,
		       unsigned long page, unsigned long npages, pgprot_t prot)
{
	return remap_pfn_range(vma, vma->vm_start + page * PAGE_SIZE,
			       page_to_pfn(mf->pages[page]), npages * PAGE_SIZE, prot);
}

static int remap_all(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return remap_pages(mf, vma, 0, vma_pages(vma), vma->vm_page_prot);
}

struct piece {
	const char *name;
	unsigned long page, npages;
};

static const struct piece pieces[] = {
	{ "all but the last page", 0, NPAGES - 1 },
	{ "all but the first page", 1, NPAGES - 1 },
	{ "a page in the middle", NPAGES / 2, 1 },
};

static void piece_to_desc(const struct piece *piece, char *desc)
{
	strscpy(desc, piece->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(piece, pieces, piece_to_desc);

/* A driver that goes on after the error. */
static int remap_piece(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct piece *piece = mf->arg;

	mf->err = remap_pages(mf, vma, piece->page, piece->npages, vma->vm_page_prot);
	return 0;
}

static void piece_of_a_private_mapping_is_refused(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr, i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->arg = test->param_value;
	mf->mmap = remap_piece;

	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, -EINVAL, mf->err);
	for (i = 0; i < NPAGES; i++)
		EXPECT_NO_PAGE(test, addr + i * PAGE_SIZE);
}

/* mprotect() may make it writable later. */
static void piece_of_a_private_read_only_mapping_is_refused(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->arg = test->param_value;
	mf->mmap = remap_piece;

	addr = map_file(test, 0, NPAGES, PROT_READ, MAP_PRIVATE);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, -EINVAL, mf->err);
	EXPECT_NO_PAGE(test, addr + NPAGES / 2 * PAGE_SIZE);
}

static void piece_of_a_shared_mapping_is_mapped(struct kunit *test)
{
	const struct piece *piece = test->param_value;
	struct mmap_file *mf = give_pages(test);
	unsigned long addr, i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->arg = piece;
	mf->mmap = remap_piece;

	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, 0, mf->err);
	for (i = 0; i < NPAGES; i++) {
		if (i >= piece->page && i < piece->page + piece->npages)
			EXPECT_PAGE(test, mf, i, addr + i * PAGE_SIZE);
		else
			EXPECT_NO_PAGE(test, addr + i * PAGE_SIZE);
	}
}

/* How vm_normal_page() tells its pages from the copies. */
static void private_mapping_has_its_pfn_for_an_offset(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = remap_all;

	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	ASSERT_MAPPED(test, addr);
	mmap_read_lock(current->mm);
	KUNIT_EXPECT_EQ(test, page_to_pfn(mf->pages[0]), find_vma(current->mm, addr)->vm_pgoff);
	mmap_read_unlock(current->mm);
}

/* Nobody checks for the driver: user space said how long the mapping is. */
static void what_lies_behind_the_region_is_mapped_unchecked(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = remap_all;

	addr = map_file(test, 0, REGION + 1, PROT_READ, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	EXPECT_PAGE(test, mf, REGION, addr + REGION * PAGE_SIZE);
}

static int remap_read_only(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return remap_pages(mf, vma, 0, vma_pages(vma), vm_get_page_prot(VM_READ | VM_SHARED));
}

static void protection_is_the_one_given_not_the_vmas(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long given, vmas;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = remap_all;
	vmas = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	mf->mmap = remap_read_only;
	given = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_MAPPED(test, vmas);
	ASSERT_MAPPED(test, given);
	KUNIT_EXPECT_TRUE(test, user_pte(vmas).writable);
	KUNIT_EXPECT_TRUE(test, user_pte(given).present);
	KUNIT_EXPECT_FALSE(test, user_pte(given).writable);
}

static int remap_a_byte(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return remap_pfn_range(vma, vma->vm_start, page_to_pfn(mf->pages[0]), 1,
			       vma->vm_page_prot);
}

static void size_is_rounded_up_to_a_page(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = remap_a_byte;

	addr = map_file(test, 0, 2, PROT_READ, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	EXPECT_PAGE(test, mf, 0, addr);
	EXPECT_NO_PAGE(test, addr + PAGE_SIZE);
}

struct bounds {
	const char *name;
	phys_addr_t start;	/* of the region, from the first page on */
	unsigned long len;	/* bytes */
	unsigned long pgoff, npages;
	int err;
	unsigned long page;	/* the first mapped, if there is no error */
};

static const struct bounds bounds[] = {
	{ "the whole region", 0, REGION * PAGE_SIZE, 0, REGION, 0, 0 },
	{ "its last page", 0, REGION * PAGE_SIZE, REGION - 1, 1, 0, REGION - 1 },
	{ "one page more", 0, REGION * PAGE_SIZE, 0, REGION + 1, -EINVAL },
	{ "one page more, at an offset", 0, REGION * PAGE_SIZE, 1, REGION, -EINVAL },
	{ "the page behind", 0, REGION * PAGE_SIZE, REGION, 1, -EINVAL },
	{ "an offset past the end", 0, REGION * PAGE_SIZE, REGION + 1, 1, -EINVAL },
	{ "an offset that wraps around", 0, REGION * PAGE_SIZE, -1UL, 1, -EINVAL },
	{ "one byte", 0, 1, 0, 1, 0, 0 },
	{ "two pages of one byte", 0, 1, 0, 2, -EINVAL },
	{ "a byte more than a page", 0, PAGE_SIZE + 1, 0, 2, 0, 0 },
	{ "three pages of little more than one", 0, PAGE_SIZE + 1, 0, 3, -EINVAL },
	{ "a page that lies in two", PAGE_SIZE / 2, PAGE_SIZE, 0, 2, 0, 0 },
	{ "three pages of one in two", PAGE_SIZE / 2, PAGE_SIZE, 0, 3, -EINVAL },
};

static void bounds_to_desc(const struct bounds *bounds, char *desc)
{
	strscpy(desc, bounds->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(bounds, bounds, bounds_to_desc);

/* The offset is set here: mmap() itself lets no wrapping one through. */
static int iomap_region(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct bounds *bounds = mf->arg;

	vma->vm_pgoff = bounds->pgoff;
	mf->err = vm_iomap_memory(vma, page_to_phys(mf->pages[0]) + bounds->start,
				  bounds->len);
	return mf->err;
}

static void vm_iomap_memory_stays_inside_the_region(struct kunit *test)
{
	const struct bounds *bounds = test->param_value;
	struct mmap_file *mf = give_pages(test);
	unsigned long addr, i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->arg = bounds;
	mf->mmap = iomap_region;

	addr = map_file(test, 0, bounds->npages, PROT_READ, MAP_SHARED);

	KUNIT_ASSERT_EQ(test, bounds->err, mf->err);
	for (i = 0; i < bounds->npages; i++) {
		if (bounds->err)
			EXPECT_NO_PAGE(test, mf->addr + i * PAGE_SIZE);
		else
			EXPECT_PAGE(test, mf, bounds->page + i, addr + i * PAGE_SIZE);
	}
}

/* From the last page of physical memory that an address can name on. */
static int iomap_around_the_end(struct mmap_file *mf, struct vm_area_struct *vma)
{
	mf->err = vm_iomap_memory(vma, -(phys_addr_t)PAGE_SIZE, 2 * PAGE_SIZE);
	return mf->err;
}

static void vm_iomap_memory_refuses_a_region_that_wraps_around(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	mf->mmap = iomap_around_the_end;

	addr = map_file(test, 0, 1, PROT_READ, MAP_SHARED);

	KUNIT_EXPECT_EQ(test, -EINVAL, mf->err);
	KUNIT_EXPECT_EQ(test, -EINVAL, (long)addr);
	EXPECT_NO_PAGE(test, mf->addr);
}

#ifdef CONFIG_FAIL_PAGE_ALLOC
struct shortage {
	unsigned int nth;	/* the allocation to fail, from 1 on */
	bool happened;
};

/* A driver that goes on after the error: what is mapped now stays. */
static int remap_and_run_out(struct mmap_file *mf, struct vm_area_struct *vma)
{
	struct shortage *shortage = (struct shortage *)mf->arg;

	current->fail_nth = shortage->nth;
	mf->err = remap_pages(mf, vma, 0, NPAGES, vma->vm_page_prot);
	shortage->happened = !current->fail_nth;
	current->fail_nth = 0;
	return 0;
}

/*
 * Half of the mapping on either side of a border between two page tables.  Only
 * the lower table exists: a neighbour has a page in it.
 *
 *	PROT_NONE ... | one page | mapping  :  mapping | ... PROT_NONE
 */
static unsigned long map_across_tables(struct kunit *test, unsigned long room)
{
	struct mmap_file *mf = test->priv;
	unsigned long addr = ALIGN(room, PMD_SIZE) + PMD_SIZE - NPAGES / 2 * PAGE_SIZE;
	unsigned long neighbour = user_map_at(test, addr - PAGE_SIZE, NULL, PAGE_SIZE,
					      PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(neighbour));
	KUNIT_ASSERT_EQ(test, 0, user_poke(neighbour, 'n'));
	return user_map_at(test, addr, mf->file, NPAGES * PAGE_SIZE, PROT_READ,
			   MAP_SHARED | MAP_FIXED, 0);
}

static void remap_that_fails_half_way_leaves_nothing_mapped(struct kunit *test)
{
	enum { MAX = 20, ROOM = 3 };
	struct mmap_file *mf = give_pages(test);
	struct shortage shortage = { .happened = true };
	unsigned int failed = 0;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "fail_page_alloc/ignore-gfp-wait", "N"));
	/* Page tables of arm lie there. */
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "fail_page_alloc/ignore-gfp-highmem", "N"));
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "fail_page_alloc/min-order", "0"));
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "fail_page_alloc/verbose", "0"));
	mf->arg = &shortage;
	mf->mmap = remap_and_run_out;

	while (shortage.happened && shortage.nth++ < MAX) {
		unsigned long room = user_map(test, NULL, ROOM * PMD_SIZE, PROT_NONE,
					      MAP_PRIVATE | MAP_ANONYMOUS, 0);
		unsigned long addr;

		ASSERT_MAPPED(test, room);
		addr = map_across_tables(test, room);
		ASSERT_MAPPED(test, addr);
		failed += !!mf->err;
		KUNIT_EXPECT_EQ_MSG(test, mf->err ? 0 : NPAGES, mf->mapped, "allocation %u",
				    shortage.nth);
		vm_munmap(room, ROOM * PMD_SIZE);
	}
	KUNIT_EXPECT_FALSE(test, shortage.happened);
	KUNIT_EXPECT_GT(test, failed, 0);
}
#else
static void remap_that_fails_half_way_leaves_nothing_mapped(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_FAIL_PAGE_ALLOC=y");
}
#endif

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(piece_of_a_private_mapping_is_refused, piece_gen_params),
	KUNIT_CASE_PARAM(piece_of_a_private_read_only_mapping_is_refused, piece_gen_params),
	KUNIT_CASE_PARAM(piece_of_a_shared_mapping_is_mapped, piece_gen_params),
	KUNIT_CASE(private_mapping_has_its_pfn_for_an_offset),
	KUNIT_CASE(what_lies_behind_the_region_is_mapped_unchecked),
	KUNIT_CASE(protection_is_the_one_given_not_the_vmas),
	KUNIT_CASE(size_is_rounded_up_to_a_page),
	KUNIT_CASE_PARAM(vm_iomap_memory_stays_inside_the_region, bounds_gen_params),
	KUNIT_CASE(vm_iomap_memory_refuses_a_region_that_wraps_around),
	KUNIT_CASE(remap_that_fails_half_way_leaves_nothing_mapped),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_remap",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of remap_pfn_range() and vm_iomap_memory()");
MODULE_LICENSE("GPL");
