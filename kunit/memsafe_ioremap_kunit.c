// SPDX-License-Identifier: GPL-2.0
/*
 * ioremap() and its variants map exactly the physical range that they are given,
 * with the memory type of their name, for data only, and never RAM; iounmap()
 * leaves nothing behind (Documentation/driver-api/device-io.rst).
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/string.h>

#define MEMSAFE_SUITE "memsafe_ioremap"
#include "memsafe_report.h"
#include "memsafe_block.h"
#include "memsafe_debugfs.h"
#include "memsafe_iomem.h"
#include "memsafe_probe.h"
#include "memsafe_proc_file.h"
#include "memsafe_walk.h"

/* Who warns that RAM is to be mapped. */
#ifdef CONFIG_ARM
#define REFUSES_RAM "__arm_ioremap_pfn_caller"
#else
#define REFUSES_RAM "__ioremap_caller"
#endif

static void iounmap_action(void *start)
{
	iounmap((void __iomem *)start);
}

/* Unmapped when the case ends; NULL if there is none. */
static u8 *keep_mapping(struct kunit *test, void __iomem *start)
{
	void *memory = (__force void *)start;

	if (!start || kunit_add_action_or_reset(test, iounmap_action, memory))
		return NULL;
	return memory;
}

static int ioremap_init(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs physical addresses of devices (not UML)");
	return 0;
}

/* Without rearming it only the first range of a boot would be reported. */
static void expect_refusal(struct kunit *test, const char *function,
			   void __iomem *(*map)(resource_size_t start, unsigned long size),
			   resource_size_t start, unsigned long size)
{
	const struct memsafe_report refused = { .kind = "WARNING", .function = function };
	void __iomem *mapping = NULL;

	skip_without_console(test);
	if (write_debugfs(test, "clear_warn_once", "1") == -ENOENT)
		kunit_skip(test, "needs CONFIG_DEBUG_FS=y");

	EXPECT_REPORT(test, &refused, mapping = map(start, size));

	KUNIT_EXPECT_NULL(test, mapping);
	if (mapping)
		iounmap(mapping);
}

/* The variants, and how the last entry says the memory type that they promise. */
struct variant {
	const char *name;
	void __iomem *(*map)(resource_size_t start, unsigned long size);
	u64 (*type)(void);
};

static void __iomem *map_plain(resource_size_t start, unsigned long size)
{
	return ioremap(start, size);
}

static void __iomem *map_wc(resource_size_t start, unsigned long size)
{
	return ioremap_wc(start, size);
}

#if defined(CONFIG_X86) && !defined(CONFIG_UML)

#include <asm/memtype.h>

#define TYPE_MASK ((u64)(_PAGE_PCD | _PAGE_PWT | _PAGE_PAT))

static void __iomem *map_uc(resource_size_t start, unsigned long size)
{
	return ioremap_uc(start, size);
}

/* Uncached unless an MTRR says write-combining, UC- in Intel's words. */
static u64 type_plain(void)
{
	return _PAGE_PCD;
}

static u64 type_uc(void)
{
	return _PAGE_PCD | _PAGE_PWT;
}

static u64 type_wc(void)
{
	return pat_enabled() ? _PAGE_PWT : _PAGE_PCD;
}

#elif defined(CONFIG_ARM_LPAE)

#define TYPE_MASK ((u64)L_PTE_MT_MASK)

static u64 type_plain(void)
{
	return L_PTE_MT_DEV_SHARED;
}

static u64 type_wc(void)
{
	return L_PTE_MT_DEV_WC;
}

#else

#define TYPE_MASK 0ULL

static u64 type_plain(void)
{
	return 0;
}

static u64 type_wc(void)
{
	return 0;
}

#endif

static const struct variant variant[] = {
	{ "ioremap", map_plain, type_plain },
	{ "ioremap_wc", map_wc, type_wc },
#if defined(CONFIG_X86) && !defined(CONFIG_UML)
	{ "ioremap_uc", map_uc, type_uc },
#endif
};

static void describe_variant(const struct variant *variant, char *desc)
{
	strscpy(desc, variant->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(variant, variant, describe_variant);

static void ram_is_refused(struct kunit *test)
{
	const struct variant *variant = test->param_value;
	struct block *block = alloc_block(test, GFP_KERNEL, 0);

	KUNIT_ASSERT_NOT_NULL(test, block);

	expect_refusal(test, REFUSES_RAM, variant->map, page_to_phys(block->page), PAGE_SIZE);
}

/* x86 minds only RAM that the page allocator hands out. */
static void range_that_begins_in_ram_is_refused(struct kunit *test)
{
	const struct variant *variant = test->param_value;
	phys_addr_t end = ram_end(), start;

	KUNIT_ASSERT_NE(test, end, 0);
	start = last_managed_page(end);

	expect_refusal(test, REFUSES_RAM, variant->map, start, end - start + PAGE_SIZE);
}

/* The BIOS is no RAM, what follows is.  arm looks at the first page only. */
static void range_that_ends_in_ram_is_refused(struct kunit *test)
{
	const struct variant *variant = test->param_value;

	if (!IS_ENABLED(CONFIG_X86))
		kunit_skip(test, "needs an architecture that checks the whole range (x86)");

	expect_refusal(test, REFUSES_RAM, variant->map, SZ_1M - PAGE_SIZE, 2 * PAGE_SIZE);
}

static void address_beyond_the_physical_limit_is_refused(struct kunit *test)
{
	const struct variant *variant = test->param_value;

	if (!IS_ENABLED(CONFIG_X86) || sizeof(resource_size_t) == sizeof(u32))
		kunit_skip(test, "needs an architecture that checks the limit (x86)");

	expect_refusal(test, "__ioremap_caller", variant->map, (resource_size_t)BIT_ULL(60),
		       PAGE_SIZE);
}

static void mapping_leads_to_every_page_of_the_range(struct kunit *test)
{
	enum { NPAGES = 4 };
	const struct variant *variant = test->param_value;
	phys_addr_t hole;
	u8 *start;
	int i;

	skip_without_walk(test);
	hole = claim_hole(test, NPAGES * PAGE_SIZE);
	KUNIT_ASSERT_NE(test, hole, 0);

	start = keep_mapping(test, variant->map(hole, NPAGES * PAGE_SIZE));

	KUNIT_ASSERT_NOT_NULL(test, start);
	for (i = 0; i < NPAGES; i++) {
		struct walk walk = walk_kernel(start + i * PAGE_SIZE);

		KUNIT_EXPECT_TRUE_MSG(test, walk.mapped, "page %d", i);
		KUNIT_EXPECT_EQ_MSG(test, hole + i * PAGE_SIZE, walk.phys, "page %d", i);
	}
	KUNIT_EXPECT_FALSE(test, walk_kernel(start + NPAGES * PAGE_SIZE).mapped);
}

static void mapping_has_the_memory_type_of_its_name(struct kunit *test)
{
	const struct variant *variant = test->param_value;
	phys_addr_t hole;
	u8 *start;

	skip_without_walk(test);
	hole = claim_hole(test, PAGE_SIZE);
	KUNIT_ASSERT_NE(test, hole, 0);

	start = keep_mapping(test, variant->map(hole, PAGE_SIZE));

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_EQ(test, variant->type(), walk_kernel(start).entry & TYPE_MASK);
}

static void mapping_is_for_kernel_data_only(struct kunit *test)
{
	const struct variant *variant = test->param_value;
	struct permissions all;
	phys_addr_t hole;
	u8 *start;

	skip_without_walk(test);
	hole = claim_hole(test, PAGE_SIZE);
	KUNIT_ASSERT_NE(test, hole, 0);

	start = keep_mapping(test, variant->map(hole, PAGE_SIZE));

	KUNIT_ASSERT_NOT_NULL(test, start);
	all = walk_kernel(start).all;
	KUNIT_EXPECT_TRUE(test, all.write);
	KUNIT_EXPECT_FALSE(test, all.exec);
	KUNIT_EXPECT_FALSE(test, all.user);
}

/* Two bytes on either side of the boundary of two pages. */
static void unaligned_range_keeps_its_offset(struct kunit *test)
{
	const struct variant *variant = test->param_value;
	phys_addr_t hole;
	u8 *start;

	skip_without_walk(test);
	hole = claim_hole(test, 4 * PAGE_SIZE);
	KUNIT_ASSERT_NE(test, hole, 0);

	start = keep_mapping(test, variant->map(hole + PAGE_SIZE - 2, 4));

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_EQ(test, PAGE_SIZE - 2, offset_in_page(start));
	KUNIT_EXPECT_EQ(test, hole + PAGE_SIZE - 2, walk_kernel(start).phys);
	KUNIT_EXPECT_EQ(test, hole + PAGE_SIZE + 1, walk_kernel(start + 3).phys);
	KUNIT_EXPECT_FALSE(test, walk_kernel(start + 2 + PAGE_SIZE).mapped);
}

static void page_behind_the_mapping_faults(struct kunit *test)
{
	phys_addr_t hole = claim_hole(test, PAGE_SIZE);
	u8 *start;

	KUNIT_ASSERT_NE(test, hole, 0);

	start = keep_mapping(test, ioremap(hole, PAGE_SIZE));

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(start));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_read(start + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_write(start + PAGE_SIZE, 0));
}

static void iounmap_leaves_nothing_mapped(struct kunit *test)
{
	enum { NPAGES = 4 };
	const struct variant *variant = test->param_value;
	void __iomem *start;
	phys_addr_t hole;
	int i;

	skip_without_walk(test);
	hole = claim_hole(test, NPAGES * PAGE_SIZE);
	KUNIT_ASSERT_NE(test, hole, 0);
	start = variant->map(hole + 5, NPAGES * PAGE_SIZE - 5);
	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_TRUE(test, walk_kernel((__force void *)start).mapped);

	iounmap(start);

	for (i = 0; i < NPAGES; i++)
		KUNIT_EXPECT_FALSE_MSG(test, walk_kernel((__force u8 *)start + i * PAGE_SIZE).mapped,
				       "page %d", i);
}

/* Ranges that are none. */
struct no_range {
	const char *name;
	resource_size_t start;
	unsigned long size;
};

static const struct no_range no_range[] = {
	{ "no bytes", SZ_1G, 0 },
	{ "no bytes at 0", 0, 0 },
	{ "past the last address", -(resource_size_t)PAGE_SIZE, PAGE_SIZE + 1 },
	{ "around all addresses", (resource_size_t)-1, ULONG_MAX },
};

static void describe_no_range(const struct no_range *no_range, char *desc)
{
	strscpy(desc, no_range->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(no_range, no_range, describe_no_range);

static void range_that_is_none_is_null(struct kunit *test)
{
	const struct no_range *no_range = test->param_value;
	void __iomem *start = (void __iomem *)1;

	skip_without_console(test);

	EXPECT_NO_REPORT(test, start = ioremap(no_range->start, no_range->size));

	KUNIT_EXPECT_NULL(test, start);
}

static void region_of_a_pmd_is_one_huge_mapping(struct kunit *test)
{
	struct walk first, last;
	phys_addr_t hole;
	u8 *start;

	if (!IS_ENABLED(CONFIG_HAVE_ARCH_HUGE_VMAP))
		kunit_skip(test, "needs CONFIG_HAVE_ARCH_HUGE_VMAP=y");
	/* pmd_free_pte_page(): a page table that was there before stays. */
	if (IS_ENABLED(CONFIG_X86_PAE))
		kunit_skip(test, "needs page tables that ioremap() replaces (not PAE)");
	skip_without_walk(test);
	hole = claim_hole(test, PMD_SIZE);
	KUNIT_ASSERT_NE(test, hole, 0);

	start = keep_mapping(test, ioremap(hole, PMD_SIZE));

	KUNIT_ASSERT_NOT_NULL(test, start);
	first = walk_kernel(start);
	last = walk_kernel(start + PMD_SIZE - 1);
	KUNIT_EXPECT_EQ(test, PMD_LEVEL, first.level);
	KUNIT_EXPECT_EQ(test, hole, first.phys);
	KUNIT_EXPECT_EQ(test, PMD_LEVEL, last.level);
	KUNIT_EXPECT_EQ(test, hole + PMD_SIZE - 1, last.phys);
	KUNIT_EXPECT_FALSE(test, walk_kernel(start + PMD_SIZE).mapped);
}

/* The line of this physical address, or NULL; cuts it out of @text. */
static char *find_phys(char *text, phys_addr_t phys)
{
	char expected[40], *line;

	snprintf(expected, sizeof(expected), " phys=%pa ioremap", &phys);
	while (text && (line = strsep(&text, "\n")))
		if (strstr(line, expected))
			return line;
	return NULL;
}

static void mapping_is_listed_until_it_is_unmapped(struct kunit *test)
{
	phys_addr_t hole = claim_hole(test, PAGE_SIZE);
	char *before, *mapped, *after;
	void __iomem *start;

	skip_without_proc_file(test, "vmallocinfo");
	KUNIT_ASSERT_NE(test, hole, 0);

	before = proc_text(test, "vmallocinfo");
	start = ioremap(hole, PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, start);
	mapped = proc_text(test, "vmallocinfo");
	iounmap(start);
	after = proc_text(test, "vmallocinfo");

	KUNIT_ASSERT_TRUE(test, before && mapped && after);
	KUNIT_EXPECT_NULL(test, find_phys(before, hole));
	KUNIT_EXPECT_NOT_NULL(test, find_phys(mapped, hole));
	KUNIT_EXPECT_NULL(test, find_phys(after, hole));
}

/* "virt" in a register that every virtio-mmio device has (virtio 1.0, 4.2.2). */
static void register_of_a_device_is_read(struct kunit *test)
{
	struct resource *device = find_resource(iomem_resource.child, "virtio");
	u32 magic = 0;
	u8 *start;

	if (!device)
		kunit_skip(test, "needs a virtio-mmio device");

	start = keep_mapping(test, ioremap(device->start, resource_size(device)));

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_EQ(test, offset_in_page(device->start), offset_in_page(start));
	magic = readl((__force void __iomem *)start);
	KUNIT_EXPECT_EQ(test, 0x74726976, magic);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(ram_is_refused, variant_gen_params),
	KUNIT_CASE_PARAM(range_that_begins_in_ram_is_refused, variant_gen_params),
	KUNIT_CASE_PARAM(range_that_ends_in_ram_is_refused, variant_gen_params),
	KUNIT_CASE_PARAM(address_beyond_the_physical_limit_is_refused, variant_gen_params),
	KUNIT_CASE_PARAM(range_that_is_none_is_null, no_range_gen_params),
	KUNIT_CASE_PARAM(mapping_leads_to_every_page_of_the_range, variant_gen_params),
	KUNIT_CASE_PARAM(mapping_has_the_memory_type_of_its_name, variant_gen_params),
	KUNIT_CASE_PARAM(mapping_is_for_kernel_data_only, variant_gen_params),
	KUNIT_CASE_PARAM(unaligned_range_keeps_its_offset, variant_gen_params),
	KUNIT_CASE(page_behind_the_mapping_faults),
	KUNIT_CASE_PARAM(iounmap_leaves_nothing_mapped, variant_gen_params),
	KUNIT_CASE(region_of_a_pmd_is_one_huge_mapping),
	KUNIT_CASE(mapping_is_listed_until_it_is_unmapped),
	KUNIT_CASE(register_of_a_device_is_read),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.init = ioremap_init,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of ioremap");
MODULE_LICENSE("GPL");
