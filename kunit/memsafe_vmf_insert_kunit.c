// SPDX-License-Identifier: GPL-2.0
/*
 * What is particular to the functions that fault handlers map with: they refuse
 * what lies outside the VMA, leave a PTE alone that is taken, and the
 * protection may be the handler's own (vmf_insert_pfn_prot() and
 * vmf_insert_mixed() in mm/memory.c).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/pfn_t.h>

#include "memsafe_mmap_file.h"

struct function {
	const char *name;
	vm_fault_t (*insert)(struct vm_area_struct *vma, unsigned long addr, unsigned long pfn);
	unsigned long flags;	/* of the VMA */
};

static vm_fault_t insert_pfn_prot(struct vm_area_struct *vma, unsigned long addr,
				  unsigned long pfn)
{
	return vmf_insert_pfn_prot(vma, addr, pfn, vma->vm_page_prot);
}

static vm_fault_t insert_mixed(struct vm_area_struct *vma, unsigned long addr,
			       unsigned long pfn)
{
	return vmf_insert_mixed(vma, addr, __pfn_to_pfn_t(pfn, PFN_DEV));
}

static const struct function functions[] = {
	{ "vmf_insert_pfn", vmf_insert_pfn, VM_PFNMAP },
	{ "vmf_insert_pfn_prot", insert_pfn_prot, VM_PFNMAP },
	{ "vmf_insert_mixed", insert_mixed, VM_MIXEDMAP },
};

static void function_to_desc(const struct function *function, char *desc)
{
	strscpy(desc, function->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(function, functions, function_to_desc);

static int set_flags(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct function *function = mf->arg;

	vm_flags_set(vma, function->flags);
	return 0;
}

/* A mapping of two pages, whose faults are the handler's. */
static unsigned long map_for(struct kunit *test, const struct vm_operations_struct *vm_ops)
{
	struct mmap_file *mf = test->priv;

	mf->arg = test->param_value;
	mf->mmap = set_flags;
	mf->vm_ops = vm_ops;
	return map_file(test, 0, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static vm_fault_t insert_before_start(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;
	const struct function *function = mf->arg;

	mf->ret = function->insert(vmf->vma, vmf->vma->vm_start - PAGE_SIZE,
				   page_to_pfn(mf->pages[0]));
	return VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct before_start_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_before_start,
};

static vm_fault_t insert_at_end(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;
	const struct function *function = mf->arg;

	mf->ret = function->insert(vmf->vma, vmf->vma->vm_end, page_to_pfn(mf->pages[0]));
	return VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct at_end_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_at_end,
};

static void pfn_before_the_start_is_sigbus(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	addr = map_for(test, &before_start_ops);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr));

	KUNIT_EXPECT_EQ(test, VM_FAULT_SIGBUS, mf->ret);
	EXPECT_NO_PAGE(test, addr - PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[0]));
}

static void pfn_at_the_end_is_sigbus(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	addr = map_for(test, &at_end_ops);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr));

	KUNIT_EXPECT_EQ(test, VM_FAULT_SIGBUS, mf->ret);
	EXPECT_NO_PAGE(test, addr + 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[0]));
}

static vm_fault_t insert_two(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;
	const struct function *function = mf->arg;
	vm_fault_t ret = function->insert(vmf->vma, vmf->address, page_to_pfn(mf->pages[0]));

	mf->ret = function->insert(vmf->vma, vmf->address, page_to_pfn(mf->pages[1]));
	return ret;
}

static const struct vm_operations_struct two_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_two,
};

/* The thread that lost a race must not take the page from the one that won. */
static void second_pfn_at_an_address_leaves_the_first(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	addr = map_for(test, &two_ops);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, page_byte(0), user_peek(addr));

	KUNIT_EXPECT_EQ(test, VM_FAULT_NOPAGE, mf->ret);
	EXPECT_PAGE(test, mf, 0, addr);
	KUNIT_EXPECT_EQ(test, 1, page_count(mf->pages[1]));
}

static vm_fault_t insert_ahead(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;
	const struct function *function = mf->arg;

	mf->faults++;
	function->insert(vmf->vma, vmf->vma->vm_start + PAGE_SIZE, page_to_pfn(mf->pages[1]));
	return function->insert(vmf->vma, vmf->address, page_to_pfn(mf->pages[vmf->pgoff]));
}

static const struct vm_operations_struct ahead_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_ahead,
};

static void pfn_inserted_ahead_costs_no_fault(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	addr = map_for(test, &ahead_ops);
	ASSERT_MAPPED(test, addr);

	EXPECT_PAGE(test, mf, 0, addr);

	EXPECT_PAGE(test, mf, 1, addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, mf->faults);
}

static vm_fault_t insert_read_only(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;

	mf->faults++;
	return vmf_insert_pfn_prot(vmf->vma, vmf->address, page_to_pfn(mf->pages[vmf->pgoff]),
				   vm_get_page_prot(VM_READ | VM_SHARED));
}

static const struct vm_operations_struct read_only_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_read_only,
};

static vm_fault_t insert_as_the_vma(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;

	mf->faults++;
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(mf->pages[vmf->pgoff]));
}

static const struct vm_operations_struct as_the_vma_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_as_the_vma,
};

static int set_pfnmap(struct mmap_file *mf, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_PFNMAP);
	return 0;
}

static void protection_is_the_one_given_not_the_vmas(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long given, vmas;

	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->mmap = set_pfnmap;
	mf->vm_ops = &read_only_ops;
	given = map_file(test, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	mf->vm_ops = &as_the_vma_ops;
	vmas = map_file(test, 0, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	ASSERT_MAPPED(test, given);
	ASSERT_MAPPED(test, vmas);

	EXPECT_PAGE(test, mf, 0, given);
	EXPECT_PAGE(test, mf, 0, vmas);

	KUNIT_EXPECT_FALSE(test, user_pte(given).writable);
	KUNIT_EXPECT_TRUE(test, user_pte(vmas).writable);
}

static vm_fault_t insert_mixed_in_plain_vma(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;

	mf->ret = insert_mixed(vmf->vma, vmf->address, page_to_pfn(mf->pages[0]));
	return mf->ret;
}

static const struct vm_operations_struct mixed_in_plain_vma_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_mixed_in_plain_vma,
};

static void mixed_pfn_in_a_vma_that_is_not_mixed_is_sigbus(struct kunit *test)
{
	struct mmap_file *mf = give_pages(test);
	unsigned long addr;

	/* __vm_insert_mixed() had a BUG_ON() for it. */
	if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0))
		kunit_skip(test, "needs a refusal that is no BUG, v6.12");
	KUNIT_ASSERT_NOT_NULL(test, mf);
	mf->vm_ops = &mixed_in_plain_vma_ops;
	addr = map_file(test, 0, 1, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr));

	KUNIT_EXPECT_EQ(test, VM_FAULT_SIGBUS, mf->ret);
	KUNIT_EXPECT_FALSE(test, user_pte(addr).present);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(pfn_before_the_start_is_sigbus, function_gen_params),
	KUNIT_CASE_PARAM(pfn_at_the_end_is_sigbus, function_gen_params),
	KUNIT_CASE_PARAM(second_pfn_at_an_address_leaves_the_first, function_gen_params),
	KUNIT_CASE_PARAM(pfn_inserted_ahead_costs_no_fault, function_gen_params),
	KUNIT_CASE(protection_is_the_one_given_not_the_vmas),
	KUNIT_CASE(mixed_pfn_in_a_vma_that_is_not_mixed_is_sigbus),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_vmf_insert",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of vmf_insert_pfn() and vmf_insert_mixed()");
MODULE_LICENSE("GPL");
