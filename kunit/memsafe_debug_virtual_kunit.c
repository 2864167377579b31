// SPDX-License-Identifier: GPL-2.0
/*
 * With CONFIG_DEBUG_VIRTUAL, virt_to_phys() and virt_to_page() catch addresses
 * that are not logical ones: a BUG() on x86, a warning on arm (__phys_addr() in
 * arch/x86/mm/physaddr.c, __virt_to_phys() in arch/arm/mm/physaddr.c).
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_debug_virtual"
#include "memsafe_block.h"
#include "memsafe_guest.h"
#include "memsafe_oops.h"
#include "memsafe_report.h"

MEMSAFE_GUEST("oops");

KUNIT_DEFINE_ACTION_WRAPPER(vfree_action, vfree, const void *);
KUNIT_DEFINE_ACTION_WRAPPER(vunmap_action, vunmap, const void *);

static void *get_vmalloc(struct kunit *test)
{
	void *start = vmalloc(PAGE_SIZE);

	return kunit_add_action_or_reset(test, vfree_action, start) ? NULL : start;
}

static void *get_vmap(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);
	void *start = block ? vmap(&block->page, 1, VM_MAP, PAGE_KERNEL) : NULL;

	return kunit_add_action_or_reset(test, vunmap_action, start) ? NULL : start;
}

static void *get_first_page(struct kunit *test)
{
	return (void *)(PAGE_SIZE - 1);
}

/* Kinds of addresses that have no fixed distance from a physical one. */
struct wrong {
	const char *name;
	void *(*get)(struct kunit *test);
};

static const struct wrong wrongs[] = {
	{ "vmalloc", get_vmalloc },
	{ "vmap", get_vmap },
	{ "first page", get_first_page },
};

static void describe_wrong(const struct wrong *wrong, char *desc)
{
	strscpy(desc, wrong->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(wrong, wrongs, describe_wrong);

static phys_addr_t converted;

static noinline void convert_to_phys(void *address)
{
	WRITE_ONCE(converted, virt_to_phys(address));
}

static noinline void convert_to_page(void *address)
{
	WRITE_ONCE(converted, page_to_phys(virt_to_page(address)));
}

/* On x86 whoever converts dies of it. */
static void expect_caught(struct kunit *test, void (*convert)(void *))
{
	const struct memsafe_report bug = { .kind = "kernel BUG", .function = "__phys_addr" };
	const struct memsafe_report warning = { .kind = "WARNING", .function = "__virt_to_phys" };
	const struct wrong *wrong = test->param_value;
	void *address = wrong->get(test);
	bool died = false;

	KUNIT_ASSERT_NOT_NULL(test, address);
	if (IS_ENABLED(CONFIG_X86)) {
		EXPECT_REPORT(test, &bug, died = dies_of(convert, address));
		KUNIT_EXPECT_TRUE(test, died);
	} else {
		EXPECT_REPORT(test, &warning, convert(address));
	}
}

static void virt_to_phys_catches_an_address_that_is_not_logical(struct kunit *test)
{
	expect_caught(test, convert_to_phys);
}

/* Arm computes the page from the address itself. */
static void virt_to_page_catches_an_address_that_is_not_logical(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_ARM))
		kunit_skip(test, "needs virt_to_page() by way of virt_to_phys() (not arm)");
	expect_caught(test, convert_to_page);
}

static void logical_address_is_converted_silently(struct kunit *test)
{
	void *address = kunit_kmalloc(test, 8, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, address);

	EXPECT_NO_REPORT(test, convert_to_phys(address));
	KUNIT_EXPECT_PTR_EQ(test, address, phys_to_virt(converted));
	EXPECT_NO_REPORT(test, convert_to_page(address));
	KUNIT_EXPECT_PTR_EQ(test, (void *)((unsigned long)address & PAGE_MASK),
			    phys_to_virt(converted));
}

static int case_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_DEBUG_VIRTUAL))
		kunit_skip(test, "needs CONFIG_DEBUG_VIRTUAL=y");
	skip_without_console(test);
	if (IS_ENABLED(CONFIG_X86))
		skip_unless_oops_is_survived(test);
	return 0;
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(virt_to_phys_catches_an_address_that_is_not_logical, wrong_gen_params),
	KUNIT_CASE_PARAM(virt_to_page_catches_an_address_that_is_not_logical, wrong_gen_params),
	KUNIT_CASE(logical_address_is_converted_silently),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.init = case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of CONFIG_DEBUG_VIRTUAL");
MODULE_LICENSE("GPL");
