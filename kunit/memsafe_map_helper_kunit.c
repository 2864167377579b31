// SPDX-License-Identifier: GPL-2.0
/*
 * What every function that maps memory into user space promises to the driver
 * that calls it: these pages at these addresses and nothing beside them, as the
 * VMA allows, with the references and VMA flags that its kernel-doc names, until
 * the VMA goes or ->mmap fails (mm/memory.c, mm/vmalloc.c).
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pfn_t.h>

#include "memsafe_mmap_file.h"

#define PFN_FLAGS (VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)
#define ALL_FLAGS (PFN_FLAGS | VM_MIXEDMAP)

struct helper {
	const char *name;
	/* Page `page` and those behind it, from `addr` on. */
	int (*map_range)(struct mmap_file *mf, struct vm_area_struct *vma,
			 unsigned long addr, unsigned long page, unsigned long npages);
	/* The whole VMA, as its vm_pgoff says. */
	int (*map_vma)(struct mmap_file *mf, struct vm_area_struct *vma);
	/* One page, in a fault handler. */
	vm_fault_t (*insert)(struct mmap_file *mf, struct vm_fault *vmf);
	unsigned long flags;	/* that it sets; `insert` finds them set */
	int refs;		/* that a mapping of a page holds */
	int gup;		/* what get_user_pages() of one page returns */
	bool ignores_pgoff;
	bool no_private;	/* a BUG if it is writable */
	bool vmalloc;
};

static int by_remap_pfn_range(struct mmap_file *mf, struct vm_area_struct *vma,
			      unsigned long addr, unsigned long page, unsigned long npages)
{
	return remap_pfn_range(vma, addr, page_to_pfn(mf->pages[page]), npages << PAGE_SHIFT,
			       vma->vm_page_prot);
}

static int by_io_remap_pfn_range(struct mmap_file *mf, struct vm_area_struct *vma,
				 unsigned long addr, unsigned long page, unsigned long npages)
{
	return io_remap_pfn_range(vma, addr, page_to_pfn(mf->pages[page]),
				  npages << PAGE_SHIFT, vma->vm_page_prot);
}

static int by_vm_iomap_memory(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return vm_iomap_memory(vma, page_to_phys(mf->pages[0]), NPAGES << PAGE_SHIFT);
}

static int by_vm_insert_page(struct mmap_file *mf, struct vm_area_struct *vma,
			     unsigned long addr, unsigned long page, unsigned long npages)
{
	unsigned long i;
	int err = 0;

	for (i = 0; i < npages && !err; i++)
		err = vm_insert_page(vma, addr + (i << PAGE_SHIFT), mf->pages[page + i]);
	return err;
}

static int by_vm_insert_pages(struct mmap_file *mf, struct vm_area_struct *vma,
			      unsigned long addr, unsigned long page, unsigned long npages)
{
	return vm_insert_pages(vma, addr, mf->pages + page, &npages);
}

static int by_vm_map_pages(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return vm_map_pages(vma, mf->pages, NPAGES);
}

static int by_vm_map_pages_zero(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return vm_map_pages_zero(vma, mf->pages, NPAGES);
}

static int by_remap_vmalloc_range(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return remap_vmalloc_range(vma, mf->vmalloc, vma->vm_pgoff);
}

static vm_fault_t by_vmf_insert_pfn(struct mmap_file *mf, struct vm_fault *vmf)
{
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(mf->pages[vmf->pgoff]));
}

static vm_fault_t by_vmf_insert_pfn_prot(struct mmap_file *mf, struct vm_fault *vmf)
{
	return vmf_insert_pfn_prot(vmf->vma, vmf->address, page_to_pfn(mf->pages[vmf->pgoff]),
				   vmf->vma->vm_page_prot);
}

static vm_fault_t by_vmf_insert_mixed(struct mmap_file *mf, struct vm_fault *vmf)
{
	return vmf_insert_mixed(vmf->vma, vmf->address,
				__pfn_to_pfn_t(page_to_pfn(mf->pages[vmf->pgoff]), PFN_DEV));
}

/* Without a bit for it in the PTE, what has a struct page is counted as one. */
#define MIXED_REFS (!IS_ENABLED(CONFIG_ARCH_HAS_PTE_SPECIAL))

static const struct helper helpers[] = {
	{ "remap_pfn_range", by_remap_pfn_range, .flags = PFN_FLAGS, .gup = -EFAULT },
	{ "io_remap_pfn_range", by_io_remap_pfn_range, .flags = PFN_FLAGS, .gup = -EFAULT },
	{ "vm_iomap_memory", .map_vma = by_vm_iomap_memory, .flags = PFN_FLAGS,
	  .gup = -EFAULT },
	{ "vm_insert_page", by_vm_insert_page, .flags = VM_MIXEDMAP, .refs = 1, .gup = 1 },
	{ "vm_insert_pages", by_vm_insert_pages, .flags = VM_MIXEDMAP, .refs = 1, .gup = 1 },
	{ "vm_map_pages", .map_vma = by_vm_map_pages, .flags = VM_MIXEDMAP, .refs = 1,
	  .gup = 1 },
	{ "vm_map_pages_zero", .map_vma = by_vm_map_pages_zero, .flags = VM_MIXEDMAP,
	  .refs = 1, .gup = 1, .ignores_pgoff = true },
	{ "remap_vmalloc_range", .map_vma = by_remap_vmalloc_range,
	  .flags = VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP, .refs = 1, .gup = 1,
	  .vmalloc = true },
	{ "vmf_insert_pfn", .insert = by_vmf_insert_pfn, .flags = VM_PFNMAP, .gup = -EFAULT,
	  .no_private = true },
	{ "vmf_insert_pfn_prot", .insert = by_vmf_insert_pfn_prot, .flags = VM_PFNMAP,
	  .gup = -EFAULT, .no_private = true },
	{ "vmf_insert_mixed", .insert = by_vmf_insert_mixed, .flags = VM_MIXEDMAP,
	  .refs = MIXED_REFS, .gup = MIXED_REFS ? 1 : -EEXIST },
};

/* The parameters of a case: the helpers for which its promise has a meaning. */
static const void *next_helper(const void *prev, char *desc,
			       bool (*wanted)(const struct helper *helper))
{
	const struct helper *helper = prev ? (const struct helper *)prev + 1 : helpers;

	for (; helper < helpers + ARRAY_SIZE(helpers); helper++) {
		if (!wanted(helper))
			continue;
		strscpy(desc, helper->name, KUNIT_PARAM_DESC_SIZE);
		return helper;
	}
	return NULL;
}

#define HELPER_PARAM(name, condition)						\
static bool is_##name(const struct helper *helper)				\
{										\
	return condition;							\
}										\
static const void *name##_gen_params(const void *prev, char *desc)		\
{										\
	return next_helper(prev, desc, is_##name);				\
}

HELPER_PARAM(helper, true)
HELPER_PARAM(range_helper, helper->map_range)
HELPER_PARAM(mmap_helper, !helper->insert)
HELPER_PARAM(private_helper, !helper->no_private)

static vm_fault_t insert_in_fault(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;
	const struct helper *helper = mf->arg;

	mf->faults++;
	return vmf->pgoff < NPAGES ? helper->insert(mf, vmf) : VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct fault_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_in_fault,
};

static int map_whole_vma(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct helper *helper = mf->arg;

	if (helper->map_range)
		return helper->map_range(mf, vma, vma->vm_start, vma->vm_pgoff,
					 vma_pages(vma));
	if (helper->map_vma)
		return helper->map_vma(mf, vma);
	vm_flags_set(vma, helper->flags);
	return 0;
}

/* All but one page at each end. */
static int map_inner_pages(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct helper *helper = mf->arg;

	return helper->map_range(mf, vma, vma->vm_start + PAGE_SIZE, vma->vm_pgoff + 1,
				 vma_pages(vma) - 2);
}

static int map_and_fail(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return map_whole_vma(mf, vma) ?: -EIO;
}

/* Macro, since it asserts. */
#define set_up_helper(test) ({							\
	const struct helper *__helper = (test)->param_value;			\
	struct mmap_file *__mf = __helper->vmalloc ? give_vmalloc(test) : give_pages(test); \
										\
	KUNIT_ASSERT_NOT_NULL(test, __mf);					\
	__mf->arg = __helper;							\
	__mf->mmap = map_whole_vma;						\
	if (__helper->insert)							\
		__mf->vm_ops = &fault_ops;					\
	__mf;									\
})

static void mapping_has_each_page_of_the_buffer(struct kunit *test)
{
	struct mmap_file *mf = set_up_helper(test);
	unsigned long addr, i;

	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	for (i = 0; i < NPAGES; i++)
		EXPECT_PAGE(test, mf, i, addr + i * PAGE_SIZE);
}

static void nothing_is_mapped_beside_the_mapping(struct kunit *test)
{
	unsigned long addr;

	set_up_helper(test);
	addr = map_file(test, 1, NPAGES - 2, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_LE(test, 0, user_peek(addr));
	KUNIT_EXPECT_LE(test, 0, user_peek(addr + (NPAGES - 3) * PAGE_SIZE));

	EXPECT_NO_PAGE(test, addr - PAGE_SIZE);
	EXPECT_NO_PAGE(test, addr + (NPAGES - 2) * PAGE_SIZE);
}

static void mapping_at_an_offset_starts_at_that_page(struct kunit *test)
{
	const struct helper *helper = test->param_value;
	const unsigned long first = helper->ignores_pgoff ? 0 : 3;
	struct mmap_file *mf = set_up_helper(test);
	unsigned long addr, i;

	addr = map_file(test, 3, NPAGES - 3, PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	for (i = 0; i < NPAGES - 3; i++)
		EXPECT_PAGE(test, mf, first + i, addr + i * PAGE_SIZE);
}

static void rest_of_a_vma_mapped_in_part_is_unmapped(struct kunit *test)
{
	struct mmap_file *mf = set_up_helper(test);
	unsigned long addr, i;

	mf->mmap = map_inner_pages;
	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);

	ASSERT_MAPPED(test, addr);
	EXPECT_NO_PAGE(test, addr);
	for (i = 1; i < NPAGES - 1; i++)
		EXPECT_PAGE(test, mf, i, addr + i * PAGE_SIZE);
	EXPECT_NO_PAGE(test, addr + i * PAGE_SIZE);
}

static void shared_write_reaches_its_page_only(struct kunit *test)
{
	struct mmap_file *mf = set_up_helper(test);
	unsigned long addr;

	addr = map_file(test, 0, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE, 'Z'));

	KUNIT_EXPECT_EQ(test, 'Z', page_peek(mf->pages[1], 0));
	KUNIT_EXPECT_EQ(test, page_byte(1), page_peek(mf->pages[1], 1));
	KUNIT_EXPECT_EQ(test, page_byte(0), page_peek(mf->pages[0], PAGE_SIZE - 1));
	KUNIT_EXPECT_EQ(test, page_byte(2), page_peek(mf->pages[2], 0));
}

static void write_to_a_read_only_mapping_is_efault(struct kunit *test)
{
	struct mmap_file *mf = set_up_helper(test);
	unsigned long addr;

	addr = map_file(test, 0, NPAGES, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);
	EXPECT_PAGE(test, mf, 0, addr);

	KUNIT_EXPECT_EQ(test, -EFAULT, user_poke(addr, 'Z'));

	KUNIT_EXPECT_FALSE(test, user_pte(addr).writable);
	KUNIT_EXPECT_EQ(test, page_byte(0), page_peek(mf->pages[0], 0));
}

static void private_write_goes_to_a_copy(struct kunit *test)
{
	const struct helper *helper = test->param_value;
	struct mmap_file *mf;
	unsigned long addr;

	if (helper->insert)
		skip_without_write_protection(test);
	mf = set_up_helper(test);
	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ASSERT_MAPPED(test, addr);
	EXPECT_PAGE(test, mf, 1, addr + PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, user_pte(addr + PAGE_SIZE).writable);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE, 'Z'));

	KUNIT_EXPECT_EQ(test, 'Z', user_peek(addr + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, page_byte(1), user_peek(addr + 2 * PAGE_SIZE - 1));
	KUNIT_EXPECT_NE(test, page_to_pfn(mf->pages[1]), user_pte(addr + PAGE_SIZE).pfn);
	KUNIT_EXPECT_EQ(test, page_byte(1), page_peek(mf->pages[1], 0));
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[1]));
	EXPECT_PAGE(test, mf, 2, addr + 2 * PAGE_SIZE);
}

static void two_mappings_are_of_the_same_pages(struct kunit *test)
{
	struct mmap_file *mf = set_up_helper(test);
	unsigned long first, second;

	first = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	second = map_file(test, 0, NPAGES, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, first);
	ASSERT_MAPPED(test, second);
	EXPECT_PAGE(test, mf, 2, second + 2 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, 0, user_poke(first + 2 * PAGE_SIZE, 'Z'));
	KUNIT_EXPECT_EQ(test, 'Z', user_peek(second + 2 * PAGE_SIZE));

	vm_munmap(first, NPAGES * PAGE_SIZE);
	EXPECT_NO_PAGE(test, first + 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 'Z', user_peek(second + 2 * PAGE_SIZE));
}

static void sets_the_vm_flags_of_its_kind(struct kunit *test)
{
	const struct helper *helper = test->param_value;
	struct vm_area_struct *vma;
	unsigned long addr;

	set_up_helper(test);
	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	mmap_read_lock(current->mm);
	vma = find_vma(current->mm, addr);
	KUNIT_EXPECT_EQ(test, helper->flags, vma->vm_flags & ALL_FLAGS);
	mmap_read_unlock(current->mm);
}

static void each_mapping_of_a_page_is_counted_until_munmap(struct kunit *test)
{
	const struct helper *helper = test->param_value;
	struct mmap_file *mf = set_up_helper(test);
	unsigned long first, second;

	first = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	second = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_MAPPED(test, first);
	ASSERT_MAPPED(test, second);
	KUNIT_EXPECT_EQ(test, 0, user_poke(first, 'Z'));
	KUNIT_EXPECT_EQ(test, 0, user_poke(second, 'Z'));
	KUNIT_EXPECT_EQ(test, 1 + 2 * helper->refs, page_count(mf->pages[0]));
	KUNIT_EXPECT_EQ(test, 2 * helper->refs, page_maps(mf->pages[0]));

	vm_munmap(first, NPAGES * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1 + helper->refs, page_count(mf->pages[0]));
	KUNIT_EXPECT_EQ(test, helper->refs, page_maps(mf->pages[0]));
	vm_munmap(second, NPAGES * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[0]));
	KUNIT_EXPECT_EQ(test, 0, page_maps(mf->pages[0]));
}

static void get_user_pages_gets_what_is_counted_only(struct kunit *test)
{
	const struct helper *helper = test->param_value;
	struct mmap_file *mf = set_up_helper(test);
	struct page *page = NULL;
	unsigned long addr;

	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_MAPPED(test, addr);
	EXPECT_PAGE(test, mf, 0, addr);

	KUNIT_EXPECT_EQ(test, helper->gup, get_user_pages_fast(addr, 1, 0, &page));

	KUNIT_EXPECT_PTR_EQ(test, helper->gup == 1 ? mf->pages[0] : NULL, page);
	if (page)
		put_page(page);
}

static void munmap_of_the_middle_leaves_both_ends(struct kunit *test)
{
	const struct helper *helper = test->param_value;
	struct mmap_file *mf = set_up_helper(test);
	unsigned long addr, i;

	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_MAPPED(test, addr);
	for (i = 0; i < NPAGES; i++)
		KUNIT_EXPECT_EQ(test, page_byte(i), user_peek(addr + i * PAGE_SIZE));

	KUNIT_EXPECT_EQ(test, 0, vm_munmap(addr + PAGE_SIZE, (NPAGES - 2) * PAGE_SIZE));

	EXPECT_PAGE(test, mf, 0, addr);
	EXPECT_NO_PAGE(test, addr + PAGE_SIZE);
	EXPECT_NO_PAGE(test, addr + (NPAGES - 2) * PAGE_SIZE);
	EXPECT_PAGE(test, mf, NPAGES - 1, addr + (NPAGES - 1) * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[1]));
	KUNIT_EXPECT_EQ(test, 1 + helper->refs, page_count(mf->pages[0]));
}

static void failed_mmap_leaves_nothing_mapped_or_counted(struct kunit *test)
{
	struct mmap_file *mf = set_up_helper(test);
	long pages = user_pages(MM_FILEPAGES);
	unsigned long addr, i;

	mf->mmap = map_and_fail;
	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);

	KUNIT_ASSERT_EQ(test, -EIO, (long)addr);
	KUNIT_EXPECT_EQ(test, NPAGES, mf->mapped);
	for (i = 0; i < NPAGES; i++) {
		EXPECT_NO_PAGE(test, mf->addr + i * PAGE_SIZE);
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(mf->pages[i]), "page %lu", i);
		KUNIT_EXPECT_EQ_MSG(test, 0, page_maps(mf->pages[i]), "page %lu", i);
	}
	KUNIT_EXPECT_EQ(test, pages, user_pages(MM_FILEPAGES));
	KUNIT_EXPECT_EQ(test, 1, file_count(mf->file));
	KUNIT_EXPECT_EQ(test, 0, mf->closes);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(mapping_has_each_page_of_the_buffer, helper_gen_params),
	KUNIT_CASE_PARAM(nothing_is_mapped_beside_the_mapping, helper_gen_params),
	KUNIT_CASE_PARAM(mapping_at_an_offset_starts_at_that_page, helper_gen_params),
	KUNIT_CASE_PARAM(rest_of_a_vma_mapped_in_part_is_unmapped, range_helper_gen_params),
	KUNIT_CASE_PARAM(shared_write_reaches_its_page_only, helper_gen_params),
	KUNIT_CASE_PARAM(write_to_a_read_only_mapping_is_efault, helper_gen_params),
	KUNIT_CASE_PARAM(private_write_goes_to_a_copy, private_helper_gen_params),
	KUNIT_CASE_PARAM(two_mappings_are_of_the_same_pages, helper_gen_params),
	KUNIT_CASE_PARAM(sets_the_vm_flags_of_its_kind, mmap_helper_gen_params),
	KUNIT_CASE_PARAM(each_mapping_of_a_page_is_counted_until_munmap, helper_gen_params),
	KUNIT_CASE_PARAM(get_user_pages_gets_what_is_counted_only, helper_gen_params),
	KUNIT_CASE_PARAM(munmap_of_the_middle_leaves_both_ends, helper_gen_params),
	KUNIT_CASE_PARAM(failed_mmap_leaves_nothing_mapped_or_counted, mmap_helper_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_map_helper",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what all functions promise that map memory to user space");
MODULE_LICENSE("GPL");
