// SPDX-License-Identifier: GPL-2.0
/*
 * What is particular to the functions that insert pages and pfns one by one:
 * which pages they refuse, that they touch nothing outside the VMA and no PTE
 * that is taken, and how vm_map_pages() checks the VMA against the array
 * (mm/memory.c).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/pfn_t.h>
#include <linux/slab.h>

#include "memsafe_block.h"
#include "memsafe_mmap_file.h"

struct refused {
	const char *name;
	struct page *(*get)(struct kunit *test);	/* NULL if there is no memory */
};

static struct page *slab_page(struct kunit *test)
{
	void *object = kunit_kmalloc(test, 64, GFP_KERNEL);

	return object ? virt_to_page(object) : NULL;
}

static void put_page_action(void *page)
{
	put_page(page);
}

static struct page *anon_page(struct kunit *test)
{
	unsigned long addr = user_map(test, NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);
	struct page *page;

	if (IS_ERR_VALUE(addr) || get_user_pages_fast(addr, 1, FOLL_WRITE, &page) != 1)
		return NULL;
	return kunit_add_action_or_reset(test, put_page_action, page) ? NULL : page;
}

/* Only the head of such a block is counted. */
static struct page *tail_page(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 1);

	return block ? nth_page(block->page, 1) : NULL;
}

static const struct refused refused[] = {
	{ "slab", slab_page },
	{ "anonymous", anon_page },
	{ "without a reference", tail_page },
};

static void refused_to_desc(const struct refused *refused, char *desc)
{
	strscpy(desc, refused->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(refused, refused, refused_to_desc);

static int insert_one(struct mmap_file *mf, struct vm_area_struct *vma)
{
	mf->err = vm_insert_page(vma, vma->vm_start, (struct page *)mf->arg);
	return 0;
}

static int insert_one_of_many(struct mmap_file *mf, struct vm_area_struct *vma)
{
	struct page *page = (struct page *)mf->arg;
	unsigned long num = 1;

	mf->err = vm_insert_pages(vma, vma->vm_start, &page, &num);
	return 0;
}

static void page_that_is_not_the_drivers_is_refused(struct kunit *test)
{
	const struct refused *refused = test->param_value;
	struct mmap_file *mf = test->priv;
	struct page *page = refused->get(test);
	int refs = page ? page_count(page) : 0;

	KUNIT_ASSERT_NOT_NULL(test, page);
	mf->arg = page;

	mf->mmap = insert_one;
	ASSERT_MAPPED(test, map_file(test, 0, 1, PROT_READ, MAP_SHARED));
	KUNIT_EXPECT_EQ(test, -EINVAL, mf->err);
	KUNIT_EXPECT_EQ(test, 0, mf->mapped);

	mf->mmap = insert_one_of_many;
	ASSERT_MAPPED(test, map_file(test, 0, 1, PROT_READ, MAP_SHARED));
	KUNIT_EXPECT_EQ(test, -EINVAL, mf->err);
	KUNIT_EXPECT_EQ(test, 0, mf->mapped);
	/* A batch for the LRU lists may have let go of the anonymous one. */
	KUNIT_EXPECT_LE(test, page_count(page), refs);
}

/* Everybody's zeroes: a write must never reach them. */
static void zero_page_is_refused_where_it_could_be_written(struct kunit *test)
{
	struct mmap_file *mf = test->priv;

	/* Before that it went in as if it were the driver's. */
	if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0))
		kunit_skip(test, "needs a check for the zero page, v6.11");
	mf->arg = ZERO_PAGE(0);
	mf->mmap = insert_one;

	ASSERT_MAPPED(test, map_file(test, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED));

	KUNIT_EXPECT_EQ(test, -EINVAL, mf->err);
	KUNIT_EXPECT_EQ(test, 0, mf->mapped);
}

static void tail_of_a_compound_page_counts_at_its_head(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_COMP, 2);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, block);
	mf->arg = nth_page(block->page, 3);
	mf->mmap = insert_one;

	addr = map_file(test, 0, 1, PROT_READ, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, 0, mf->err);
	KUNIT_EXPECT_EQ(test, block_pfn(block) + 3, user_pte(addr).pfn);
	KUNIT_EXPECT_EQ(test, 2, page_count(block->page));
	vm_munmap(addr, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, page_count(block->page));
}

static int insert_all(struct mmap_file *mf, struct vm_area_struct *vma)
{
	unsigned long num = vma_pages(vma);

	mf->err = vm_insert_pages(vma, vma->vm_start, mf->pages, &num);
	return mf->err;
}

static void inserted_pages_are_counted_as_file_pages(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	long before = user_pages(MM_FILEPAGES);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = insert_all;

	addr = map_file(test, 0, NPAGES, PROT_READ, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, before + NPAGES, user_pages(MM_FILEPAGES));
	vm_munmap(addr, NPAGES * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, before, user_pages(MM_FILEPAGES));
}

/* The VMA may hold as many pages as are inserted, but not there. */
static int insert_page_before(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return vm_insert_page(vma, vma->vm_start - PAGE_SIZE, mf->pages[0]);
}

static int insert_page_behind(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return vm_insert_page(vma, vma->vm_end, mf->pages[0]);
}

static int insert_pages_before(struct mmap_file *mf, struct vm_area_struct *vma)
{
	unsigned long num = vma_pages(vma);

	return vm_insert_pages(vma, vma->vm_start - PAGE_SIZE, mf->pages, &num);
}

static int insert_pages_behind(struct mmap_file *mf, struct vm_area_struct *vma)
{
	unsigned long num = vma_pages(vma);

	return vm_insert_pages(vma, vma->vm_start + PAGE_SIZE, mf->pages, &num);
}

struct outside {
	const char *name;
	int (*insert)(struct mmap_file *mf, struct vm_area_struct *vma);
};

static const struct outside outsides[] = {
	{ "vm_insert_page before the start", insert_page_before },
	{ "vm_insert_page at the end", insert_page_behind },
	{ "vm_insert_pages from before the start", insert_pages_before },
	{ "vm_insert_pages across the end", insert_pages_behind },
};

static void outside_to_desc(const struct outside *outside, char *desc)
{
	strscpy(desc, outside->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(outside, outsides, outside_to_desc);

static int insert_outside(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct outside *outside = mf->arg;

	mf->err = outside->insert(mf, vma);
	return 0;
}

static void page_outside_the_vma_is_efault(struct kunit *test)
{
	enum { LEN = 2 };
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->arg = test->param_value;
	mf->mmap = insert_outside;

	addr = map_file(test, 0, LEN, PROT_READ, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, -EFAULT, mf->err);
	for (i = -1; i <= LEN; i++)
		EXPECT_NO_PAGE(test, addr + i * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[0]));
}

static int insert_twice(struct mmap_file *mf, struct vm_area_struct *vma)
{
	int err = vm_insert_page(vma, vma->vm_start, mf->pages[0]);

	mf->err = vm_insert_page(vma, vma->vm_start, mf->pages[1]);
	return err;
}

static void second_page_at_an_address_is_ebusy(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = insert_twice;

	addr = map_file(test, 0, 1, PROT_READ, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, -EBUSY, mf->err);
	EXPECT_PAGE(test, mf, 0, addr);
	KUNIT_EXPECT_EQ(test, 2, page_count(mf->pages[0]));
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[1]));
}

enum { TAKEN = 3 };

/* The pages that were not mapped, instead of an error. */
static int insert_around_a_taken_page(struct mmap_file *mf, struct vm_area_struct *vma)
{
	unsigned long num = NPAGES;
	int err = vm_insert_page(vma, vma->vm_start + TAKEN * PAGE_SIZE, mf->pages[0]);

	if (err || vm_insert_pages(vma, vma->vm_start, mf->pages, &num) != -EBUSY)
		return -EIO;
	mf->err = num;
	return mf->arg ? -EBUSY : 0;
}

static void vm_insert_pages_says_how_many_are_missing(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr, i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = insert_around_a_taken_page;

	addr = map_file(test, 0, NPAGES, PROT_READ, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, NPAGES - TAKEN, mf->err);
	for (i = 0; i < TAKEN; i++)
		EXPECT_PAGE(test, mf, i, addr + i * PAGE_SIZE);
	EXPECT_PAGE(test, mf, 0, addr + TAKEN * PAGE_SIZE);
	EXPECT_NO_PAGE(test, addr + (TAKEN + 1) * PAGE_SIZE);
}

static void half_of_the_pages_goes_when_mmap_fails(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	long before = user_pages(MM_FILEPAGES);
	unsigned long addr, i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = insert_around_a_taken_page;
	mf->arg = mf;

	addr = map_file(test, 0, NPAGES, PROT_READ, MAP_SHARED);

	KUNIT_ASSERT_EQ(test, -EBUSY, (long)addr);
	KUNIT_EXPECT_EQ(test, TAKEN + 1, mf->mapped);
	for (i = 0; i < NPAGES; i++) {
		EXPECT_NO_PAGE(test, mf->addr + i * PAGE_SIZE);
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(mf->pages[i]), "page %lu", i);
	}
	KUNIT_EXPECT_EQ(test, before, user_pages(MM_FILEPAGES));
}

/* An array of half of the pages: those behind are somebody else's. */
enum { ARRAY = NPAGES / 2 };

struct bounds {
	const char *name;
	int (*map)(struct vm_area_struct *vma, struct page **pages, unsigned long num);
	unsigned long pgoff, npages;
	int err;
	unsigned long page;	/* the first mapped, if there is no error */
};

static const struct bounds bounds[] = {
	{ "the whole array", vm_map_pages, 0, ARRAY, 0, 0 },
	{ "its last page", vm_map_pages, ARRAY - 1, 1, 0, ARRAY - 1 },
	{ "one page more", vm_map_pages, 0, ARRAY + 1, -ENXIO },
	{ "one page more, at an offset", vm_map_pages, 1, ARRAY, -ENXIO },
	{ "the page behind", vm_map_pages, ARRAY, 1, -ENXIO },
	{ "an offset past the end", vm_map_pages, ARRAY + 1, 1, -ENXIO },
	{ "an offset that wraps around", vm_map_pages, -1UL, 2, -ENXIO },
	{ "_zero, the whole array", vm_map_pages_zero, 0, ARRAY, 0, 0 },
	{ "_zero, at an offset", vm_map_pages_zero, ARRAY, ARRAY, 0, 0 },
	{ "_zero, one page more", vm_map_pages_zero, 0, ARRAY + 1, -ENXIO },
};

static void bounds_to_desc(const struct bounds *bounds, char *desc)
{
	strscpy(desc, bounds->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(bounds, bounds, bounds_to_desc);

/* The offset is set here: mmap() itself lets no wrapping one through. */
static int map_array(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct bounds *bounds = mf->arg;

	vma->vm_pgoff = bounds->pgoff;
	mf->err = bounds->map(vma, mf->pages, ARRAY);
	return mf->err;
}

static void vm_map_pages_stays_inside_the_array(struct kunit *test)
{
	const struct bounds *bounds = test->param_value;
	struct mmap_file *mf = give_pages(test);
	unsigned long addr, i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->arg = bounds;
	mf->mmap = map_array;

	addr = map_file(test, 0, bounds->npages, PROT_READ, MAP_SHARED);

	KUNIT_ASSERT_EQ(test, bounds->err, mf->err);
	KUNIT_EXPECT_EQ(test, bounds->err ? 0 : bounds->npages, mf->mapped);
	for (i = 0; i < bounds->npages; i++) {
		if (bounds->err)
			EXPECT_NO_PAGE(test, mf->addr + i * PAGE_SIZE);
		else
			EXPECT_PAGE(test, mf, bounds->page + i, addr + i * PAGE_SIZE);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(page_that_is_not_the_drivers_is_refused, refused_gen_params),
	KUNIT_CASE(zero_page_is_refused_where_it_could_be_written),
	KUNIT_CASE(tail_of_a_compound_page_counts_at_its_head),
	KUNIT_CASE(inserted_pages_are_counted_as_file_pages),
	KUNIT_CASE_PARAM(page_outside_the_vma_is_efault, outside_gen_params),
	KUNIT_CASE(second_page_at_an_address_is_ebusy),
	KUNIT_CASE(vm_insert_pages_says_how_many_are_missing),
	KUNIT_CASE(half_of_the_pages_goes_when_mmap_fails),
	KUNIT_CASE_PARAM(vm_map_pages_stays_inside_the_array, bounds_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_insert",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of vm_insert_page() and vm_map_pages()");
MODULE_LICENSE("GPL");
