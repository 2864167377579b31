// SPDX-License-Identifier: GPL-2.0
/*
 * What the functions that map memory into user space take for a bug of the
 * driver that nothing can repair: an empty range, a VMA of the wrong kind, a
 * call without the lock (the BUG_ON()s of mm/memory.c).  The caller dies before
 * anything is mapped.
 */
#include <kunit/test.h>
#include <linux/mm.h>

#define MEMSAFE_SUITE "memsafe_remap_bug"
#include "memsafe_guest.h"
#include "memsafe_mmap_file.h"
#include "memsafe_oops.h"
#include "memsafe_report.h"

MEMSAFE_GUEST("oops");

/* The VMA that a driver maps into, and what it does wrong. */
struct mistake {
	const char *name;
	unsigned long vm_flags, sharing;
	void (*make)(struct mmap_file *mf, struct vm_area_struct *vma);
	const char *function;	/* that has the BUG_ON() */
};

static void insert_page(struct mmap_file *mf, struct vm_area_struct *vma)
{
	mf->err = vm_insert_page(vma, vma->vm_start, mf->pages[0]);
}

static void insert_pages(struct mmap_file *mf, struct vm_area_struct *vma)
{
	unsigned long num = 1;

	mf->err = vm_insert_pages(vma, vma->vm_start, mf->pages, &num);
}

static void insert_pfn(struct mmap_file *mf, struct vm_area_struct *vma)
{
	mf->ret = vmf_insert_pfn(vma, vma->vm_start, page_to_pfn(mf->pages[0]));
}

static const struct mistake mistakes[] = {
	{ "vm_insert_page into VM_PFNMAP", VM_PFNMAP, MAP_SHARED, insert_page,
	  "vm_insert_page" },
	{ "vm_insert_pages into VM_PFNMAP", VM_PFNMAP, MAP_SHARED, insert_pages,
	  "vm_insert_pages" },
	{ "vmf_insert_pfn into a plain VMA", 0, MAP_SHARED, insert_pfn,
	  "vmf_insert_pfn_prot" },
	{ "vmf_insert_pfn into VM_PFNMAP and VM_MIXEDMAP", VM_PFNMAP | VM_MIXEDMAP,
	  MAP_SHARED, insert_pfn, "vmf_insert_pfn_prot" },
	{ "vmf_insert_pfn into a private VMA", VM_PFNMAP, MAP_PRIVATE, insert_pfn,
	  "vmf_insert_pfn_prot" },
	{ "vmf_insert_pfn of a page into VM_MIXEDMAP", VM_MIXEDMAP, MAP_SHARED, insert_pfn,
	  "vmf_insert_pfn_prot" },
};

static void mistake_to_desc(const struct mistake *mistake, char *desc)
{
	strscpy(desc, mistake->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(mistake, mistakes, mistake_to_desc);

static int set_flags(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct mistake *mistake = mf->arg;

	vm_flags_set(vma, mistake->vm_flags);
	return 0;
}

struct attempt {
	struct mmap_file *mf;
	struct vm_area_struct *vma;
};

static void make_mistake(void *ctx)
{
	struct attempt *attempt = ctx;
	const struct mistake *mistake = attempt->mf->arg;

	mistake->make(attempt->mf, attempt->vma);
}

static void mistake_of_a_driver_is_a_bug(struct kunit *test)
{
	const struct mistake *mistake = test->param_value;
	const struct memsafe_report report = {
		.kind = "kernel BUG", .function = mistake->function,
	};
	struct attempt attempt = { .mf = give_pages(test) };
	bool died = false;
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, attempt.mf);
	attempt.mf->arg = mistake;
	attempt.mf->mmap = set_flags;
	addr = map_file(test, 0, 1, PROT_READ | PROT_WRITE, mistake->sharing);
	ASSERT_MAPPED(test, addr);

	/* Held here, so that the dead does not keep it. */
	mmap_write_lock(current->mm);
	attempt.vma = find_vma(current->mm, addr);
	EXPECT_REPORT(test, &report, died = dies_of(make_mistake, &attempt));
	mmap_write_unlock(current->mm);

	KUNIT_EXPECT_TRUE(test, died);
	KUNIT_EXPECT_FALSE(test, user_pte(addr).present);
	KUNIT_EXPECT_EQ(test, 1, page_count(attempt.mf->pages[0]));
}

/* VM_MIXEDMAP is missing, and only a writer may set it. */
static void insertion_without_the_mmap_lock_is_a_bug(struct kunit *test)
{
	static const struct mistake unlocked = { .make = insert_page };
	static const struct memsafe_report report = {
		.kind = "kernel BUG", .function = "vm_insert_page",
	};
	struct attempt attempt = { .mf = give_pages(test) };
	bool died = false;
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, attempt.mf);
	attempt.mf->arg = &unlocked;
	addr = map_file(test, 0, 1, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);
	mmap_read_lock(current->mm);
	attempt.vma = find_vma(current->mm, addr);
	mmap_read_unlock(current->mm);

	EXPECT_REPORT(test, &report, died = dies_of(make_mistake, &attempt));

	/* The dead has found out by taking it for reading. */
	if (died)
		mmap_read_unlock(current->mm);
	KUNIT_EXPECT_TRUE(test, died);
	KUNIT_EXPECT_FALSE(test, user_pte(addr).present);
}

static int open_to_die(struct kunit *test)
{
	skip_unless_oops_is_survived(test);
	skip_without_console(test);
	return open_mmap_file(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(mistake_of_a_driver_is_a_bug, mistake_gen_params),
	KUNIT_CASE(insertion_without_the_mmap_lock_is_a_bug),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.init = open_to_die,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what is a BUG in mapping memory");
MODULE_LICENSE("GPL");
