// SPDX-License-Identifier: GPL-2.0
/*
 * The map count of a page says how many page table entries hold it, its flags
 * whose it is; with page_poison=1 a free page has lost its content
 * (include/linux/mm.h, Documentation/admin-guide/kernel-parameters.txt).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poison.h>
#include <linux/string.h>

#include "memsafe_dev_file.h"

enum { NPAGES = 2 };

struct kind {
	const char *name;
	u32 memory;
	u32 map;
};

static const struct kind counted[] = {
	{ "FAULT", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT },
	{ "FAULT of vmalloc", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_FAULT },
	{ "FAULT_INSERT", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_INSERT },
	{ "INSERT_PAGE", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_INSERT_PAGE },
	{ "INSERT_PAGES", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_INSERT_PAGES },
	{ "MAP_PAGES", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_MAP_PAGES },
	{ "REMAP_VMALLOC", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_REMAP_VMALLOC },
};

static const struct kind bare[] = {
	{ "FAULT_PFN", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_PFN },
	{ "FAULT_PFN of kmalloc", MEMSAFE_DEV_KMALLOC, MEMSAFE_DEV_FAULT_PFN },
	{ "REMAP_PFN", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_REMAP_PFN },
};

static void describe_kind(const struct kind *kind, char *desc)
{
	strscpy(desc, kind->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(counted, counted, describe_kind);
KUNIT_ARRAY_PARAM(bare, bare, describe_kind);

/* Page 1 of the buffer of the kind that the parameter says. */
static struct page *set_up_page(struct kunit *test)
{
	const struct kind *kind = test->param_value;

	set_up(test, kind->memory, kind->map, 0, NPAGES);
	return pfn_to_page(page_info(test, 1).pfn);
}

/* A mapping of the buffer with page 1 in its page table. */
static unsigned long map_and_touch(struct kunit *test)
{
	unsigned long addr = map_pages(test, 0, NPAGES, MAP_SHARED);

	KUNIT_ASSERT_EQ(test, 0, user_poke(addr + PAGE_SIZE, 'x'));
	return addr;
}

static void unmap(struct kunit *test, unsigned long addr)
{
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, NPAGES * PAGE_SIZE));
}

static void each_mapping_counts_once(struct kunit *test)
{
	struct page *page = set_up_page(test);
	unsigned long first, second;

	KUNIT_EXPECT_EQ(test, 0, page_maps(page));
	first = map_and_touch(test);
	KUNIT_EXPECT_EQ(test, 1, page_maps(page));
	second = map_and_touch(test);
	KUNIT_EXPECT_EQ(test, 2, page_maps(page));
	KUNIT_EXPECT_TRUE(test, page_mapped(page));

	unmap(test, first);
	KUNIT_EXPECT_EQ(test, 1, page_maps(page));
	KUNIT_EXPECT_EQ(test, 'x', user_peek(second + PAGE_SIZE));
	unmap(test, second);
	KUNIT_EXPECT_EQ(test, 0, page_maps(page));
	KUNIT_EXPECT_FALSE(test, page_mapped(page));
}

static void second_access_does_not_count(struct kunit *test)
{
	struct page *page = set_up_page(test);
	unsigned long addr = map_and_touch(test);

	KUNIT_EXPECT_EQ(test, 'x', user_peek(addr + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + 2 * PAGE_SIZE - 1, 'y'));

	KUNIT_EXPECT_EQ(test, 1, page_maps(page));
}

static void mapping_of_a_bare_pfn_does_not_count(struct kunit *test)
{
	struct page *page = set_up_page(test);
	unsigned long addr = map_and_touch(test);

	KUNIT_EXPECT_EQ(test, 'x', buffer_peek(test, PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, page_mapped(page));
	KUNIT_EXPECT_EQ(test, 1, page_info(test, 1).refs);
	unmap(test, addr);
}

/* An anonymous page, with a reference of ours; NULL if there is none. */
static struct page *get_anon_page(struct kunit *test, unsigned long *addr)
{
	struct page *page;

	*addr = user_map(test, NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(*addr) || user_poke(*addr, 'x'))
		return NULL;
	return get_user_pages_fast(*addr, 1, FOLL_WRITE, &page) == 1 ? page : NULL;
}

static void anonymous_page_says_so_while_it_is_mapped(struct kunit *test)
{
	unsigned long addr;
	struct page *page = get_anon_page(test, &addr);

	KUNIT_ASSERT_NOT_NULL(test, page);

	KUNIT_EXPECT_TRUE(test, PageAnon(page));
	KUNIT_EXPECT_TRUE(test, folio_test_swapbacked(page_folio(page)));
	KUNIT_EXPECT_TRUE(test, PageUptodate(page));
	KUNIT_EXPECT_EQ(test, 1, page_maps(page));

	KUNIT_EXPECT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, page_maps(page));
	put_page(page);
}

/* A reference keeps the page with its content, mapped or not. */
static void unmapped_page_lives_as_long_as_its_references(struct kunit *test)
{
	unsigned long addr;
	struct page *page = get_anon_page(test, &addr);
	u8 *bytes;

	KUNIT_ASSERT_NOT_NULL(test, page);

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));

	KUNIT_EXPECT_FALSE(test, page_mapped(page));
	KUNIT_EXPECT_GE(test, page_count(page), 1);
	bytes = kmap_local_page(page);
	KUNIT_EXPECT_EQ(test, 'x', bytes[0]);
	kunmap_local(bytes);
	put_page(page);
}

static const gfp_t zone_flags[] = { GFP_KERNEL, GFP_HIGHUSER };

static void describe_flags(const gfp_t *flags, char *desc)
{
	strscpy(desc, *flags & __GFP_HIGHMEM ? "GFP_HIGHUSER" : "GFP_KERNEL",
		KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(flags, zone_flags, describe_flags);

/* What is there, unseen by the sanitizer. */
static noinline __no_sanitize_address u8 peek(const u8 *p)
{
	return *(const volatile u8 *)p;
}

/* Interrupts stay off: a freed page waits on this CPU's list, no one else gets it. */
static void content_of_a_free_page_is_poisoned(struct kunit *test)
{
	const gfp_t gfp = *(const gfp_t *)test->param_value;
	const int offset[] = { 0, PAGE_SIZE / 2, PAGE_SIZE - 1 };
	u8 seen[ARRAY_SIZE(offset)];
	unsigned long flags;
	struct page *page;
	u8 *bytes;
	int i;

	if (!page_poisoning_enabled_static())
		kunit_skip(test, "needs page_poison=1");
	page = alloc_page(gfp);
	KUNIT_ASSERT_NOT_NULL(test, page);
	bytes = kmap_local_page(page);
	memset(bytes, 0x5a, PAGE_SIZE);

	local_irq_save(flags);
	__free_page(page);
	for (i = 0; i < ARRAY_SIZE(offset); i++)
		seen[i] = peek(bytes + offset[i]);
	local_irq_restore(flags);

	kunmap_local(bytes);
	for (i = 0; i < ARRAY_SIZE(offset); i++)
		KUNIT_EXPECT_EQ_MSG(test, PAGE_POISON, seen[i], "byte %d", offset[i]);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(each_mapping_counts_once, counted_gen_params),
	KUNIT_CASE_PARAM(second_access_does_not_count, counted_gen_params),
	KUNIT_CASE_PARAM(mapping_of_a_bare_pfn_does_not_count, bare_gen_params),
	KUNIT_CASE(anonymous_page_says_so_while_it_is_mapped),
	KUNIT_CASE(unmapped_page_lives_as_long_as_its_references),
	KUNIT_CASE_PARAM(content_of_a_free_page_is_poisoned, flags_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_page_map",
	.suite_init = mount_devices,
	.suite_exit = unmount_devices,
	.init = open_device,
	.exit = close_device,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of map counts and of free pages");
MODULE_LICENSE("GPL");
