// SPDX-License-Identifier: GPL-2.0
/*
 * Bad accesses that no sanitizer has to see, because they end the task that makes
 * them: there is nothing mapped, or the kernel's own check of a page's count or
 * of a list fails.
 */
#include <kunit/test.h>
#include <linux/irqflags.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_kasan_oops"
#include "memsafe_detects.h"
#include "memsafe_guest.h"
#include "memsafe_oops.h"
#include "memsafe_report.h"

MEMSAFE_GUEST("oops");
MEMSAFE_DETECTS("the trap of a bad access");

/* The functions that a report must name: KASAN does not look before they leap. */
static noinline __no_sanitize_address void memsafe_read_unchecked(void *p)
{
	READ_ONCE(*(u8 *)p);
}

static noinline __no_sanitize_address void memsafe_write_unchecked(void *p)
{
	WRITE_ONCE(*(u8 *)p, 0);
}

static int case_init(struct kunit *test)
{
	skip_unless_oops_is_survived(test);
	skip_without_console(test);
	return 0;
}

static void survives(void *unused)
{
}

static void task_that_does_nothing_bad_survives(struct kunit *test)
{
	bool died = true;

	EXPECT_NO_REPORT(test, died = dies_of(survives, NULL));

	KUNIT_EXPECT_FALSE(test, died);
}

static void expect_fault(struct kunit *test, const char *kind, const char *access, void *p)
{
	bool is_write = !strcmp(access, "Write"), died = false;
	const struct memsafe_report fault = {
		.kind = kind, .access = access, .address = p,
		.function = is_write ? "memsafe_write_unchecked" : "memsafe_read_unchecked",
	};

	if (is_write)
		EXPECT_REPORT(test, &fault, died = dies_of(memsafe_write_unchecked, p));
	else
		EXPECT_REPORT(test, &fault, died = dies_of(memsafe_read_unchecked, p));

	KUNIT_EXPECT_TRUE(test, died);
}

static void access_past_a_vmalloc_area_faults(struct kunit *test)
{
	u8 *area = vmalloc(PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, area);

	expect_fault(test, "BUG: unable to handle kernel paging request", "Read",
		     area + PAGE_SIZE);
	expect_fault(test, "BUG: unable to handle kernel paging request", "Write",
		     area + PAGE_SIZE);

	vfree(area);
}

static void access_after_vfree_faults(struct kunit *test)
{
	u8 *area = vmalloc(PAGE_SIZE);

	KUNIT_ASSERT_NOT_NULL(test, area);
	vfree(area);
	vm_unmap_aliases();

	expect_fault(test, "BUG: unable to handle kernel paging request", "Read", area);
	expect_fault(test, "BUG: unable to handle kernel paging request", "Write", area);
}

/* The member of a structure that is not there. */
static void access_through_a_null_pointer_faults(struct kunit *test)
{
	enum { MEMBER = 0x10 };

	expect_fault(test, "BUG: unable to handle kernel NULL pointer dereference", "Read",
		     (void *)MEMBER);
	expect_fault(test, "BUG: unable to handle kernel NULL pointer dereference", "Write",
		     (void *)MEMBER);
}

static noinline __no_sanitize_address void memsafe_touch_guard(void *unused)
{
	WRITE_ONCE(*((u8 *)task_stack_page(current) - 1), 0);
}

/*
 * Not by running there: an overflow is found by the double fault of the next
 * push, which is no task's any more and a panic.
 */
static void access_to_the_guard_of_the_own_stack_is_named(struct kunit *test)
{
	static const struct memsafe_report guard = {
		.kind = "BUG: stack guard page was hit", .function = "memsafe_touch_guard",
	};
	bool died = false;

	if (!IS_ENABLED(CONFIG_X86_64))
		kunit_skip(test, "needs CONFIG_X86_64=y");
	if (!IS_ENABLED(CONFIG_VMAP_STACK))
		kunit_skip(test, "needs CONFIG_VMAP_STACK=y");

	EXPECT_REPORT(test, &guard, died = dies_of(memsafe_touch_guard, NULL));

	KUNIT_EXPECT_TRUE(test, died);
}

/* Interrupts stay off: the page waits on this CPU's list, and no one gets it. */
static void free_page_twice(void *page)
{
	local_irq_disable();
	__free_page(page);
	__free_page(page);
	local_irq_enable();
}

static void second_free_of_a_page_is_a_bug(struct kunit *test)
{
	static const struct memsafe_report bug = {
		.kind = "kernel BUG", .function = "__free_pages",
	};
	struct page *page;
	bool died = false;

	if (!IS_ENABLED(CONFIG_DEBUG_VM))
		kunit_skip(test, "needs CONFIG_DEBUG_VM=y");
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);

	EXPECT_REPORT(test, &bug, died = dies_of(free_page_twice, page));

	KUNIT_EXPECT_TRUE(test, died);
}

static noinline void memsafe_delete_torn(void *unused)
{
	struct list_head first, second;

	INIT_LIST_HEAD(&first);
	list_add(&second, &first);
	first.prev = &first;
	list_del(&second);
}

static void deletion_from_a_torn_list_is_a_bug(struct kunit *test)
{
	static const struct memsafe_report torn = {
		.kind = "BUG: corrupted list", .function = "memsafe_delete_torn",
	};
	bool died = false;

	if (!IS_ENABLED(CONFIG_DEBUG_LIST))
		kunit_skip(test, "needs CONFIG_DEBUG_LIST=y");
	if (!IS_ENABLED(CONFIG_BUG_ON_DATA_CORRUPTION))
		kunit_skip(test, "needs CONFIG_BUG_ON_DATA_CORRUPTION=y");

	EXPECT_REPORT(test, &torn, died = dies_of(memsafe_delete_torn, NULL));

	KUNIT_EXPECT_TRUE(test, died);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(task_that_does_nothing_bad_survives),
	KUNIT_CASE(access_past_a_vmalloc_area_faults),
	KUNIT_CASE(access_after_vfree_faults),
	KUNIT_CASE(access_through_a_null_pointer_faults),
	KUNIT_CASE(access_to_the_guard_of_the_own_stack_is_named),
	KUNIT_CASE(second_free_of_a_page_is_a_bug),
	KUNIT_CASE(deletion_from_a_torn_list_is_a_bug),
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

MODULE_DESCRIPTION("KUnit tests of accesses that end their task");
MODULE_LICENSE("GPL");
