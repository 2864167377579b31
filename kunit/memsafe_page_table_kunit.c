// SPDX-License-Identifier: GPL-2.0
/*
 * The page tables that the CPU uses lead each kernel address to its page, with
 * the permissions of its kind at the leaf and over all levels: text is read-only,
 * data not executable, nothing both writable and executable (CONFIG_STRICT_*_RWX);
 * and they lead nowhere once the address is freed.
 */
#include <kunit/test.h>
#include <linux/ctype.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "memsafe_block.h"
#include "memsafe_probe.h"
#include "memsafe_walk.h"

KUNIT_DEFINE_ACTION_WRAPPER(vfree_action, vfree, const void *);
KUNIT_DEFINE_ACTION_WRAPPER(vunmap_action, vunmap, const void *);

/* An address, and where it must lead as others than the tables know. */
struct place {
	u8 *address;
	phys_addr_t phys;
};

static struct place logical_place(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);

	if (!block)
		return (struct place){};
	return (struct place){ page_address(block->page), page_to_phys(block->page) };
}

static struct place mapped_place(struct kunit *test, pgprot_t prot)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);
	void *start = block ? vmap(&block->page, 1, VM_MAP, prot) : NULL;

	if (!start || kunit_add_action_or_reset(test, vunmap_action, start))
		return (struct place){};
	return (struct place){ start, page_to_phys(block->page) };
}

static struct place vmap_place(struct kunit *test)
{
	return mapped_place(test, PAGE_KERNEL);
}

static struct place read_only_vmap_place(struct kunit *test)
{
	return mapped_place(test, PAGE_KERNEL_RO);
}

static struct place vmalloc_place(struct kunit *test)
{
	void *start = vmalloc(PAGE_SIZE);

	if (!start || kunit_add_action_or_reset(test, vfree_action, start))
		return (struct place){};
	return (struct place){ start, page_to_phys(vmalloc_to_page(start)) };
}

/* Of the kernel itself: pages at a constant offset. */
static struct place image_place(const void *address)
{
	return (struct place){ (u8 *)address, __pa_symbol(address) };
}

/* Of this suite, which may be built in. */
static struct place suite_place(const void *address)
{
#ifdef MODULE
	return (struct place){
		(u8 *)address,
		page_to_phys(vmalloc_to_page(address)) + offset_in_page(address),
	};
#else
	return image_place(address);
#endif
}

static const u8 suite_rodata[8] = "memsafe";
static u8 suite_data[8] = "memsafe";

static noinline void suite_text(void)
{
	barrier();
}

static struct place suite_text_place(struct kunit *test)
{
	return suite_place(PTR_ALIGN_DOWN((void *)suite_text, sizeof(u32)));
}

static struct place suite_rodata_place(struct kunit *test)
{
	return suite_place(suite_rodata);
}

static struct place suite_data_place(struct kunit *test)
{
	return suite_place(suite_data);
}

static struct place kernel_text_place(struct kunit *test)
{
	return image_place(PTR_ALIGN_DOWN((void *)vmalloc_to_page, sizeof(u32)));
}

static struct place kernel_rodata_place(struct kunit *test)
{
	return image_place(_ctype);
}

static struct place kernel_data_place(struct kunit *test)
{
	return image_place(&panic_timeout);
}

/* The kinds of mappings, what they allow, and at which level they must end. */
struct kind {
	const char *name;
	struct place (*get)(struct kunit *test);
	bool write;
	bool exec;
	int level;	/* 0: any */
};

static const struct kind kind[] = {
	{ "logical", logical_place, true, false },
	{ "vmalloc", vmalloc_place, true, false, PTE_LEVEL },
	{ "vmap", vmap_place, true, false, PTE_LEVEL },
	{ "read-only vmap", read_only_vmap_place, false, false, PTE_LEVEL },
	{ "text of the suite", suite_text_place, false, true },
	{ "rodata of the suite", suite_rodata_place, false, false },
	{ "data of the suite", suite_data_place, true, false },
	{ "kernel text", kernel_text_place, false, true },
	{ "kernel rodata", kernel_rodata_place, false, false },
	{ "kernel data", kernel_data_place, true, false },
};

static void describe_kind(const struct kind *kind, char *desc)
{
	strscpy(desc, kind->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(kind, kind, describe_kind);

static void walk_ends_at_the_physical_address(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct place place;
	struct walk walk;

	skip_without_walk(test);
	if (IS_ENABLED(CONFIG_UML) && !kind->level)
		kunit_skip(test, "needs a kernel in page tables (not UML)");
	place = kind->get(test);
	KUNIT_ASSERT_NOT_NULL(test, place.address);

	walk = walk_kernel(place.address);

	KUNIT_ASSERT_TRUE(test, walk.mapped);
	KUNIT_EXPECT_EQ(test, place.phys, walk.phys);
	if (kind->level)
		KUNIT_EXPECT_EQ(test, kind->level, walk.level);
}

/* What protects the kernel from itself, and where it does not. */
#define skip_without_kernel_permissions(test) do {				\
	skip_without_walk(test);						\
	if (IS_ENABLED(CONFIG_UML))						\
		kunit_skip(test, "needs a kernel in page tables (not UML)");	\
	if (!IS_ENABLED(CONFIG_STRICT_KERNEL_RWX))				\
		kunit_skip(test, "needs CONFIG_STRICT_KERNEL_RWX=y");		\
	if (!IS_ENABLED(CONFIG_STRICT_MODULE_RWX))				\
		kunit_skip(test, "needs CONFIG_STRICT_MODULE_RWX=y");		\
	if (((const struct kind *)test->param_value)->get == read_only_vmap_place) \
		skip_without_read_only(test);					\
} while (0)

static void leaf_allows_what_its_kind_does(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct permissions leaf;
	struct place place;

	skip_without_kernel_permissions(test);
	place = kind->get(test);
	KUNIT_ASSERT_NOT_NULL(test, place.address);

	leaf = walk_kernel(place.address).leaf;

	KUNIT_EXPECT_EQ(test, kind->write, leaf.write);
	KUNIT_EXPECT_EQ(test, kind->exec, leaf.exec);
}

static void all_levels_together_allow_what_its_kind_does(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct permissions all;
	struct place place;

	skip_without_kernel_permissions(test);
	place = kind->get(test);
	KUNIT_ASSERT_NOT_NULL(test, place.address);

	all = walk_kernel(place.address).all;

	KUNIT_EXPECT_EQ(test, kind->write, all.write);
	KUNIT_EXPECT_EQ(test, kind->exec, all.exec);
	KUNIT_EXPECT_FALSE(test, all.user);
}

/* The byte that is there is written: it changes nothing where it succeeds. */
static void write_ends_as_its_kind_says(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct place place;
	int byte;

	skip_without_kernel_permissions(test);
	skip_without_probe(test);
	place = kind->get(test);
	KUNIT_ASSERT_NOT_NULL(test, place.address);
	byte = probe_read(place.address);
	KUNIT_ASSERT_GE(test, byte, 0);

	KUNIT_EXPECT_EQ(test, kind->write ? 0 : -EFAULT, probe_write(place.address, byte));
}

/* A hole that is left in the tables by one page, by several, by a page table. */
static const unsigned long npages[] = { 1, 5, PTRS_PER_PTE + 3 };

static void describe_npages(const unsigned long *npages, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%lu pages", *npages);
}
KUNIT_ARRAY_PARAM(npages, npages, describe_npages);

/* Nobody is given the addresses before they are flushed: what is there is ours. */
static void vfree_leaves_no_entry(struct kunit *test)
{
	unsigned long i, nr = *(const unsigned long *)test->param_value;
	u8 *start;

	skip_without_walk(test);
	start = vmalloc(nr * PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_TRUE(test, walk_kernel(start + (nr - 1) * PAGE_SIZE).mapped);

	vfree(start);

	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_FALSE_MSG(test, walk_kernel(start + i * PAGE_SIZE).mapped,
				       "page %lu", i);
}

#define skip_without_huge_vmalloc(test) do {					\
	skip_without_walk(test);						\
	if (!IS_ENABLED(CONFIG_HAVE_ARCH_HUGE_VMALLOC))				\
		kunit_skip(test, "needs CONFIG_HAVE_ARCH_HUGE_VMALLOC=y");	\
} while (0)

/* Without a free block of this size small pages do: NULL then, as without memory. */
static u8 *alloc_huge_area(void)
{
	u8 *start;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		start = vmalloc_huge(2 * PMD_SIZE, GFP_KERNEL);
		if (!start || walk_kernel(start).level == PMD_LEVEL)
			return start;
		vfree(start);
	}
	return NULL;
}

static void huge_area_is_mapped_by_pmds(struct kunit *test)
{
	unsigned long offset;
	u8 *start;

	skip_without_huge_vmalloc(test);
	start = alloc_huge_area();
	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, vfree_action, start));

	for (offset = 0; offset < 2 * PMD_SIZE; offset += PMD_SIZE / 2) {
		struct walk walk = walk_kernel(start + offset);

		KUNIT_EXPECT_EQ_MSG(test, PMD_LEVEL, walk.level, "at %#lx", offset);
		KUNIT_EXPECT_EQ_MSG(test, page_to_phys(vmalloc_to_page(start + offset)), walk.phys,
				    "at %#lx", offset);
		KUNIT_EXPECT_TRUE_MSG(test, walk.all.write, "at %#lx", offset);
		KUNIT_EXPECT_FALSE_MSG(test, walk.all.exec, "at %#lx", offset);
	}
	KUNIT_EXPECT_FALSE(test, walk_kernel(start + 2 * PMD_SIZE).mapped);
}

static void huge_area_keeps_what_is_written(struct kunit *test)
{
	unsigned long i, nr = 2 * PMD_SIZE / PAGE_SIZE, step = PAGE_SIZE / sizeof(long);
	unsigned long *start;

	skip_without_huge_vmalloc(test);
	start = (unsigned long *)alloc_huge_area();
	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, vfree_action, start));

	for (i = 0; i < nr; i++)
		start[i * step] = ~i;

	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, ~i,
				    *(unsigned long *)page_address(vmalloc_to_page(start + i * step)),
				    "page %lu", i);
}

static void vfree_of_a_huge_area_leaves_no_entry(struct kunit *test)
{
	unsigned long offset;
	u8 *start;

	skip_without_huge_vmalloc(test);
	start = alloc_huge_area();
	KUNIT_ASSERT_NOT_NULL(test, start);

	vfree(start);

	for (offset = 0; offset < 2 * PMD_SIZE; offset += PAGE_SIZE)
		KUNIT_EXPECT_FALSE_MSG(test, walk_kernel(start + offset).mapped, "at %#lx", offset);
}

static void area_below_a_pmd_is_mapped_by_ptes(struct kunit *test)
{
	u8 *start;

	skip_without_huge_vmalloc(test);
	start = vmalloc_huge(PMD_SIZE - PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, vfree_action, start));

	KUNIT_EXPECT_EQ(test, PTE_LEVEL, walk_kernel(start).level);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(walk_ends_at_the_physical_address, kind_gen_params),
	KUNIT_CASE_PARAM(leaf_allows_what_its_kind_does, kind_gen_params),
	KUNIT_CASE_PARAM(all_levels_together_allow_what_its_kind_does, kind_gen_params),
	KUNIT_CASE_PARAM(write_ends_as_its_kind_says, kind_gen_params),
	KUNIT_CASE_PARAM(vfree_leaves_no_entry, npages_gen_params),
	KUNIT_CASE(huge_area_is_mapped_by_pmds),
	KUNIT_CASE(huge_area_keeps_what_is_written),
	KUNIT_CASE(vfree_of_a_huge_area_leaves_no_entry),
	KUNIT_CASE(area_below_a_pmd_is_mapped_by_ptes),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_page_table",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the kernel's page tables");
MODULE_LICENSE("GPL");
