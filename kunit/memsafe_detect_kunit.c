// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own checks are there, and what they say is seen: each is made to
 * report on purpose.  Those of KASAN and UBSAN, and what ends the task that does
 * it, have suites of their own.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_ref.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#define MEMSAFE_SUITE "memsafe_detect"
#include "memsafe_debugfs.h"
#include "memsafe_detects.h"
#include "memsafe_report.h"

MEMSAFE_DETECTS("the kernel's own checks");

static noinline void memsafe_warn(void)
{
	WARN_ON(1);
	/* Stay on the stack while a report is made: no tail call. */
	barrier();
}

static void warning_is_reported(struct kunit *test)
{
	static const struct memsafe_report warning = {
		.kind = "WARNING", .function = "memsafe_warn",
	};

	skip_without_console(test);

	EXPECT_REPORT(test, &warning, memsafe_warn());
}

static noinline void memsafe_sleep_atomically(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static void sleep_in_an_atomic_section_is_reported(struct kunit *test)
{
	static const struct memsafe_report asleep = {
		.kind = "BUG: sleeping function called from invalid context",
		.function = "memsafe_sleep_atomically",
	};

	if (!IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		kunit_skip(test, "needs CONFIG_DEBUG_ATOMIC_SLEEP=y");
	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test, "needs CONFIG_PREEMPT_COUNT=y");
	skip_without_console(test);
	/* Reported once a second at most, whoever it was. */
	ssleep(2);

	EXPECT_REPORT(test, &asleep, memsafe_sleep_atomically());
}

static noinline void memsafe_spoil(struct page *page)
{
	/* Aligned, since the low bits are flags.  Titles leave out names that speak of pages. */
	page->mapping = (struct address_space *)page;
	__free_page(page);
	barrier();
}

/* The bad page stays out of the allocator; made good it is freed after all. */
static void bad_page_is_reported_when_it_is_freed(struct kunit *test)
{
	static const struct memsafe_report bad = {
		.kind = "BUG: Bad page state", .function = "memsafe_spoil",
	};
	struct page *page;

	if (!IS_ENABLED(CONFIG_DEBUG_VM))
		kunit_skip(test, "needs CONFIG_DEBUG_VM=y");
	skip_without_console(test);
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);

	EXPECT_REPORT(test, &bad, memsafe_spoil(page));

	page->mapping = NULL;
	init_page_count(page);
	__free_page(page);
}

/*
 * Objects that nothing points to: kmemleak would take the inverse of an address
 * for no pointer.  Some address may be left on a stack, never those of all.  They
 * are zeroed because SLUB's list of free objects is kept in the objects
 * (set_freepointer(), mm/slub.c): each would still point to the next.
 */
#define LEAKED 16
#define TRIES 10
#define TEXT_SIZE (16 * PAGE_SIZE)

static noinline int leak_all(unsigned long inverse[])
{
	int i;

	for (i = 0; i < LEAKED; i++) {
		inverse[i] = ~(unsigned long)kzalloc(64, GFP_KERNEL);
		if (!~inverse[i])
			break;
	}
	return i;
}

static int leaks_found(const unsigned long inverse[], int nr, const char *text)
{
	char line[64];
	int i, found = 0;

	for (i = 0; i < nr; i++) {
		snprintf(line, sizeof(line), "unreferenced object 0x%08lx ", ~inverse[i]);
		found += !!strstr(text, line);
	}
	return found;
}

/*
 * kmemleak leaves out what is younger than 5 s (MSECS_MIN_AGE, mm/kmemleak.c), and a
 * scan takes seconds.
 */
static int scan_for(struct kunit *test, const unsigned long inverse[], int nr)
{
	char *text = kunit_kmalloc(test, TEXT_SIZE, GFP_KERNEL);
	int i, found = 0;

	KUNIT_ASSERT_NOT_NULL(test, text);
	ssleep(5);
	for (i = 0; i < TRIES && !found; i++) {
		KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "kmemleak", "scan"));
		KUNIT_ASSERT_LE(test, 0, read_debugfs(test, "kmemleak", text, TEXT_SIZE));
		found = leaks_found(inverse, nr, text);
	}
	return found;
}

static void lost_object_is_a_leak(struct kunit *test)
{
	unsigned long inverse[LEAKED];
	char byte[2];
	int i, nr;

	if (read_debugfs(test, "kmemleak", byte, sizeof(byte)) == -ENOENT)
		kunit_skip(test, "needs CONFIG_DEBUG_KMEMLEAK=y");
	nr = leak_all(inverse);

	KUNIT_EXPECT_GT(test, scan_for(test, inverse, nr), 0);

	for (i = 0; i < nr; i++)
		kfree((void *)~inverse[i]);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(warning_is_reported),
	KUNIT_CASE_SLOW(sleep_in_an_atomic_section_is_reported),
	KUNIT_CASE(bad_page_is_reported_when_it_is_freed),
	KUNIT_CASE_SLOW(lost_object_is_a_leak),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests that the kernel's own checks are seen");
MODULE_LICENSE("GPL");
