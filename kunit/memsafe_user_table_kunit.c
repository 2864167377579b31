// SPDX-License-Identifier: GPL-2.0
/*
 * A page of user memory gets its entry when it is touched, with the permissions
 * of its mapping and for user mode at every level; munmap() takes it away.
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_user.h"
#include "memsafe_walk.h"

enum { NPAGES = 3 };

struct protection {
	const char *name;
	unsigned long value;
};

static const struct protection protection[] = {
	{ "r--", PROT_READ },
	{ "rw-", PROT_READ | PROT_WRITE },
	{ "r-x", PROT_READ | PROT_EXEC },
	{ "rwx", PROT_READ | PROT_WRITE | PROT_EXEC },
};

static void describe_protection(const struct protection *protection, char *desc)
{
	strscpy(desc, protection->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(protection, protection, describe_protection);

/* An address, or -errno as one; freed with the mm of the test. */
static unsigned long map_user_pages(struct kunit *test)
{
	const struct protection *protection = test->param_value;

	skip_without_walk(test);
	return user_map(test, NULL, NPAGES * PAGE_SIZE, protection->value,
			MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

/* Write where that is allowed, else read: 0 in any case. */
static int touch(struct kunit *test, unsigned long addr)
{
	const struct protection *protection = test->param_value;

	return protection->value & PROT_WRITE ? user_poke(addr, 0) : user_peek(addr);
}

static void page_is_mapped_when_it_is_touched(struct kunit *test)
{
	unsigned long addr = map_user_pages(test);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	KUNIT_EXPECT_FALSE(test, walk_user(addr + PAGE_SIZE).mapped);

	KUNIT_EXPECT_EQ(test, 0, touch(test, addr + PAGE_SIZE));

	KUNIT_EXPECT_FALSE(test, walk_user(addr).mapped);
	KUNIT_EXPECT_TRUE(test, walk_user(addr + PAGE_SIZE).mapped);
	KUNIT_EXPECT_FALSE(test, walk_user(addr + 2 * PAGE_SIZE).mapped);
}

static void walk_ends_at_the_page_of_the_process(struct kunit *test)
{
	unsigned long addr = map_user_pages(test);
	struct page *page = NULL;
	struct walk walk;

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	KUNIT_ASSERT_EQ(test, 0, touch(test, addr));

	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast(addr, 1, 0, &page));

	walk = walk_user(addr + 123);
	KUNIT_EXPECT_EQ(test, PTE_LEVEL, walk.level);
	KUNIT_EXPECT_EQ(test, page_to_phys(page) + 123, walk.phys);
	put_page(page);
}

/*
 * Page-table isolation forbids the kernel to execute user memory above the leaf,
 * in its own copy of the top level.
 */
static void entry_has_the_permissions_of_the_mapping(struct kunit *test)
{
	const struct protection *protection = test->param_value;
	unsigned long addr = map_user_pages(test);
	struct walk walk;

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	KUNIT_ASSERT_EQ(test, 0, touch(test, addr));

	walk = walk_user(addr);

	KUNIT_ASSERT_TRUE(test, walk.mapped);
	KUNIT_EXPECT_TRUE(test, walk.all.user);
	KUNIT_EXPECT_EQ(test, !!(protection->value & PROT_WRITE), walk.all.write);
	if (!IS_ENABLED(CONFIG_UML))
		KUNIT_EXPECT_EQ(test, !!(protection->value & PROT_EXEC), walk.leaf.exec);
}

static void munmap_leaves_nothing_mapped(struct kunit *test)
{
	unsigned long addr = map_user_pages(test);
	int i;

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	for (i = 0; i < NPAGES; i++)
		KUNIT_ASSERT_EQ(test, 0, touch(test, addr + i * PAGE_SIZE));

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr + PAGE_SIZE, 2 * PAGE_SIZE));

	KUNIT_EXPECT_TRUE(test, walk_user(addr).mapped);
	KUNIT_EXPECT_FALSE(test, walk_user(addr + PAGE_SIZE).mapped);
	KUNIT_EXPECT_FALSE(test, walk_user(addr + 2 * PAGE_SIZE).mapped);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(page_is_mapped_when_it_is_touched, protection_gen_params),
	KUNIT_CASE_PARAM(walk_ends_at_the_page_of_the_process, protection_gen_params),
	KUNIT_CASE_PARAM(entry_has_the_permissions_of_the_mapping, protection_gen_params),
	KUNIT_CASE_PARAM(munmap_leaves_nothing_mapped, protection_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_user_table",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the page tables of user memory");
MODULE_LICENSE("GPL");
