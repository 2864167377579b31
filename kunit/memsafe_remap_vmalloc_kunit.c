// SPDX-License-Identifier: GPL-2.0
/*
 * remap_vmalloc_range() maps a vmalloc area that was made for user space, and
 * nothing else: no other memory, no other area, no page past its end.  Such an
 * area starts as zeroes, and what is mapped of it outlives it
 * (mm/vmalloc.c).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "memsafe_mmap_file.h"

struct bounds {
	const char *name;
	unsigned long pgoff, npages;
	int err;
};

static const struct bounds bounds[] = {
	{ "the whole area", 0, NPAGES, 0 },
	{ "its last page", NPAGES - 1, 1, 0 },
	{ "one page more", 0, NPAGES + 1, -EINVAL },
	{ "one page more, at an offset", 1, NPAGES, -EINVAL },
	{ "the page behind", NPAGES, 1, -EINVAL },
	{ "an offset far behind", NPAGES + 1000, 1, -EINVAL },
	{ "an offset that wraps around with the size", -1UL >> PAGE_SHIFT, 2, -EINVAL },
	{ "an offset that wraps around to the whole area", 1UL << (BITS_PER_LONG - PAGE_SHIFT),
	  NPAGES, -EINVAL },
	{ "the largest offset", -1UL, 1, -EINVAL },
};

static void bounds_to_desc(const struct bounds *bounds, char *desc)
{
	strscpy(desc, bounds->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(bounds, bounds, bounds_to_desc);

static int map_area(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct bounds *bounds = mf->arg;

	mf->err = remap_vmalloc_range(vma, mf->vmalloc, bounds->pgoff);
	return mf->err;
}

static void mapping_stays_inside_the_area(struct kunit *test)
{
	const struct bounds *bounds = test->param_value;
	struct mmap_file *mf = give_vmalloc(test);
	unsigned long addr, i;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->arg = bounds;
	mf->mmap = map_area;

	addr = map_file(test, 0, bounds->npages, PROT_READ, MAP_SHARED);

	KUNIT_ASSERT_EQ(test, bounds->err, mf->err);
	KUNIT_EXPECT_EQ(test, bounds->err ? 0 : bounds->npages, mf->mapped);
	for (i = 0; i < bounds->npages; i++) {
		if (bounds->err)
			EXPECT_NO_PAGE(test, mf->addr + i * PAGE_SIZE);
		else
			EXPECT_PAGE(test, mf, bounds->pgoff + i, addr + i * PAGE_SIZE);
	}
}

/* Where memory for the cases comes from, and how it goes. */
struct memory {
	const char *name;
	void *(*alloc)(unsigned long size);
	void (*free)(const void *memory);
	unsigned long offset;
};

static void *alloc_slab(unsigned long size)
{
	return kmalloc(size, GFP_KERNEL);
}

static void *alloc_plain(unsigned long size)
{
	return vmalloc(size);
}

static void *alloc_user(unsigned long size)
{
	return vmalloc_user(size);
}

static void *alloc_user_32(unsigned long size)
{
	return vmalloc_32_user(size);
}

static const struct memory wrong_memory[] = {
	{ "kmalloc", alloc_slab, kfree },
	{ "vmalloc without VM_USERMAP", alloc_plain, vfree },
	{ "an address inside a page", alloc_user, vfree, 1 },
};

static const struct memory user_memory[] = {
	{ "vmalloc_user", alloc_user, vfree },
	{ "vmalloc_32_user", alloc_user_32, vfree },
};

static void memory_to_desc(const struct memory *memory, char *desc)
{
	strscpy(desc, memory->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(wrong_memory, wrong_memory, memory_to_desc);
KUNIT_ARRAY_PARAM(user_memory, user_memory, memory_to_desc);

static int map_memory(struct mmap_file *mf, struct vm_area_struct *vma)
{
	mf->err = remap_vmalloc_range(vma, (void *)mf->arg, 0);
	return mf->err;
}

static void memory_not_made_for_user_space_is_refused(struct kunit *test)
{
	const struct memory *memory = test->param_value;
	struct mmap_file *mf = test->priv;
	void *p = memory->alloc(2 * PAGE_SIZE);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, p);
	mf->arg = p + memory->offset;
	mf->mmap = map_memory;

	addr = map_file(test, 0, 1, PROT_READ, MAP_SHARED);
	memory->free(p);

	KUNIT_EXPECT_EQ(test, -EINVAL, mf->err);
	KUNIT_EXPECT_EQ(test, -EINVAL, (long)addr);
	KUNIT_EXPECT_EQ(test, 0, mf->mapped);
}

/* The last used pages are the first given out again. */
static void memory_for_user_space_holds_no_secret(struct kunit *test)
{
	enum { SIZE = 64 * PAGE_SIZE, SECRET = 0x5e };
	const struct memory *memory = test->param_value;
	u8 *p = vmalloc(SIZE);
	u8 *left;

	KUNIT_ASSERT_NOT_NULL(test, p);
	memset(p, SECRET, SIZE);
	vfree(p);

	p = memory->alloc(SIZE);
	KUNIT_ASSERT_NOT_NULL(test, p);
	left = memchr_inv(p, 0, SIZE);

	KUNIT_EXPECT_NULL(test, left);
	memory->free(p);
}

/* The reference that the mapping holds is all that the page needs. */
static void mapped_page_outlives_its_area(struct kunit *test)
{
	const struct memory *memory = test->param_value;
	struct mmap_file *mf = test->priv;
	u8 *p = memory->alloc(PAGE_SIZE);
	struct page *page;
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, p);
	p[0] = 'a';
	page = vmalloc_to_page(p);
	mf->arg = p;
	mf->mmap = map_memory;
	addr = map_file(test, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED);

	vfree(p);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, 1, page_count(page));
	KUNIT_EXPECT_EQ(test, 'a', user_peek(addr));
	KUNIT_EXPECT_EQ(test, 0, user_poke(addr, 'b'));
	KUNIT_EXPECT_EQ(test, 'b', page_peek(page, 0));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(mapping_stays_inside_the_area, bounds_gen_params),
	KUNIT_CASE_PARAM(memory_not_made_for_user_space_is_refused, wrong_memory_gen_params),
	KUNIT_CASE_PARAM(memory_for_user_space_holds_no_secret, user_memory_gen_params),
	KUNIT_CASE_PARAM(mapped_page_outlives_its_area, user_memory_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_remap_vmalloc",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of remap_vmalloc_range()");
MODULE_LICENSE("GPL");
