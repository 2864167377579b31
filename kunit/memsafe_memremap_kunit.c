// SPDX-License-Identifier: GPL-2.0
/*
 * memremap() gives RAM under its logical address when it may be cached, and not
 * at all when it may not; other memory is mapped as asked (kernel/iomem.c).
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#define MEMSAFE_SUITE "memsafe_memremap"
#include "memsafe_report.h"
#include "memsafe_block.h"
#include "memsafe_debugfs.h"
#include "memsafe_iomem.h"
#include "memsafe_walk.h"

struct flags {
	const char *name;
	unsigned long value;
};

static const struct flags cached[] = {
	{ "WB", MEMREMAP_WB },
	{ "WB or WT", MEMREMAP_WB | MEMREMAP_WT },
	{ "WB or WC", MEMREMAP_WB | MEMREMAP_WC },
};

static const struct flags uncached[] = {
	{ "WT", MEMREMAP_WT },
	{ "WC", MEMREMAP_WC },
	{ "WT or WC", MEMREMAP_WT | MEMREMAP_WC },
};

static const struct flags any[] = {
	{ "WB", MEMREMAP_WB },
	{ "WT", MEMREMAP_WT },
	{ "WC", MEMREMAP_WC },
};

static void describe_flags(const struct flags *flags, char *desc)
{
	strscpy(desc, flags->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(cached, cached, describe_flags);
KUNIT_ARRAY_PARAM(uncached, uncached, describe_flags);
KUNIT_ARRAY_PARAM(any, any, describe_flags);

static int memremap_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_HAS_IOMEM) || IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs physical addresses of devices (not UML)");
	return 0;
}

/* memunmap() must not take away what was no mapping of its own. */
static void cached_ram_is_and_stays_its_logical_address(struct kunit *test)
{
	const struct flags *flags = test->param_value;
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_ZERO, 0);
	u8 *byte, *start;

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, block);
	byte = page_address(block->page) + 123;

	start = memremap(page_to_phys(block->page) + 123, 8, flags->value);

	KUNIT_ASSERT_PTR_EQ(test, byte, start);
	EXPECT_NO_REPORT(test, memunmap(start));
	EXPECT_NO_REPORT(test, WRITE_ONCE(*byte, 0x5a));
	KUNIT_EXPECT_EQ(test, 0x5a, READ_ONCE(*byte));
}

static void uncached_ram_is_refused(struct kunit *test)
{
	const struct flags *flags = test->param_value;
	const struct memsafe_report refused = { .kind = "WARNING", .function = "memremap" };
	struct block *block = alloc_block(test, GFP_KERNEL, 0);
	void *start = ERR_PTR(-EINVAL);

	skip_without_console(test);
	if (write_debugfs(test, "clear_warn_once", "1") == -ENOENT)
		kunit_skip(test, "needs CONFIG_DEBUG_FS=y");
	KUNIT_ASSERT_NOT_NULL(test, block);

	EXPECT_REPORT(test, &refused,
		      start = memremap(page_to_phys(block->page), PAGE_SIZE, flags->value));

	KUNIT_EXPECT_NULL(test, start);
}

/* RAM and a hole are RAM to memremap(); RAM and the BIOS are neither. */
static void range_of_ram_and_other_memory_is_refused(struct kunit *test)
{
	const struct flags *flags = test->param_value;
	const struct memsafe_report refused = { .kind = "WARNING", .function = "memremap" };
	void *start = ERR_PTR(-EINVAL);

	if (!IS_ENABLED(CONFIG_X86))
		kunit_skip(test, "needs other memory next to RAM (x86)");
	skip_without_console(test);
	if (write_debugfs(test, "clear_warn_once", "1") == -ENOENT)
		kunit_skip(test, "needs CONFIG_DEBUG_FS=y");

	EXPECT_REPORT(test, &refused,
		      start = memremap(SZ_1M - PAGE_SIZE, 2 * PAGE_SIZE, flags->value));

	KUNIT_EXPECT_NULL(test, start);
}

static void no_type_is_null(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);
	void *start = ERR_PTR(-EINVAL);

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, block);

	EXPECT_NO_REPORT(test, start = memremap(page_to_phys(block->page), PAGE_SIZE, 0));

	KUNIT_EXPECT_NULL(test, start);
}

static void other_memory_is_mapped_until_memunmap(struct kunit *test)
{
	const struct flags *flags = test->param_value;
	phys_addr_t hole;
	struct walk walk;
	void *start;

	skip_without_walk(test);
	hole = claim_hole(test, PAGE_SIZE);
	KUNIT_ASSERT_NE(test, hole, 0);

	start = memremap(hole + 8, PAGE_SIZE - 8, flags->value);
	KUNIT_ASSERT_NOT_NULL(test, start);
	walk = walk_kernel(start);
	memunmap(start);

	KUNIT_EXPECT_TRUE(test, walk.mapped);
	KUNIT_EXPECT_EQ(test, hole + 8, walk.phys);
	KUNIT_EXPECT_FALSE(test, walk.all.exec);
	KUNIT_EXPECT_FALSE(test, walk_kernel(start).mapped);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cached_ram_is_and_stays_its_logical_address, cached_gen_params),
	KUNIT_CASE_PARAM(uncached_ram_is_refused, uncached_gen_params),
	KUNIT_CASE_PARAM(range_of_ram_and_other_memory_is_refused, any_gen_params),
	KUNIT_CASE_PARAM(other_memory_is_mapped_until_memunmap, any_gen_params),
	KUNIT_CASE(no_type_is_null),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.init = memremap_init,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of memremap");
MODULE_LICENSE("GPL");
