// SPDX-License-Identifier: GPL-2.0
/*
 * vmalloc() gives page-aligned memory of its own, whole pages of it, with an
 * unmapped page behind; its variants give what they add to that; vfree() takes
 * everything back, from any context but NMI; and what can't be given is NULL
 * (mm/vmalloc.c, Documentation/core-api/memory-allocation.rst).
 */
#include <kunit/test.h>
#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include <asm/shmparam.h>

#define MEMSAFE_SUITE "memsafe_vmalloc"
#include "memsafe_report.h"
#include "memsafe_block.h"
#include "memsafe_debugfs.h"
#include "memsafe_probe.h"

KUNIT_DEFINE_ACTION_WRAPPER(vfree_action, vfree, const void *);

/* Freed when the case ends; NULL if there is none. */
static void *keep_area(struct kunit *test, void *area)
{
	if (!area || kunit_add_action_or_reset(test, vfree_action, area))
		return NULL;
	return area;
}

static const size_t size[] = {
	1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 5 * PAGE_SIZE, 130 * PAGE_SIZE + 7,
};

static void describe_size(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}
KUNIT_ARRAY_PARAM(size, size, describe_size);

static size_t param_size(struct kunit *test)
{
	return *(const size_t *)test->param_value;
}

static void area_starts_on_a_page(struct kunit *test)
{
	void *area = keep_area(test, vmalloc(param_size(test)));

	KUNIT_ASSERT_NOT_NULL(test, area);

	KUNIT_EXPECT_EQ(test, 0, offset_in_page(area));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(area));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr(area + param_size(test) - 1));
}

static void last_byte_is_the_callers(struct kunit *test)
{
	u8 *area = keep_area(test, vmalloc(param_size(test)));

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, area);

	EXPECT_NO_REPORT(test, area[param_size(test) - 1] = 0xa5);

	KUNIT_EXPECT_EQ(test, 0xa5, area[param_size(test) - 1]);
}

static void page_behind_the_area_faults(struct kunit *test)
{
	size_t len = PAGE_ALIGN(param_size(test));
	u8 *area;

	skip_without_probe(test);
	area = keep_area(test, vmalloc(param_size(test)));
	KUNIT_ASSERT_NOT_NULL(test, area);

	KUNIT_EXPECT_GE(test, probe_read(area + len - 1), 0);
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_read(area + len));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_read(area + len + PAGE_SIZE - 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_write(area + len, 0));
}

static void page_behind_the_area_has_no_page(struct kunit *test)
{
	size_t len = PAGE_ALIGN(param_size(test));
	u8 *area = keep_area(test, vmalloc(param_size(test)));

	KUNIT_ASSERT_NOT_NULL(test, area);

	KUNIT_EXPECT_NOT_NULL(test, vmalloc_to_page(area + len - 1));
	KUNIT_EXPECT_NULL(test, vmalloc_to_page(area + len));
}

/* Every page stamped through the area, and read through the page itself. */
static void pages_of_an_area_are_distinct(struct kunit *test)
{
	enum { NPAGES = 64 };
	unsigned long *area = keep_area(test, vmalloc(NPAGES * PAGE_SIZE));
	unsigned long i, step = PAGE_SIZE / sizeof(*area);

	KUNIT_ASSERT_NOT_NULL(test, area);
	for (i = 0; i < NPAGES; i++)
		area[i * step] = ~i;

	for (i = 0; i < NPAGES; i++) {
		unsigned long *page = kmap_local_page(vmalloc_to_page(area + i * step));

		KUNIT_EXPECT_EQ_MSG(test, ~i, *page, "page %lu", i);
		kunmap_local(page);
	}
}

static void live_areas_never_overlap(struct kunit *test)
{
	enum { AREAS = 32 };
	u8 *area[AREAS];
	int i;

	for (i = 0; i < AREAS; i++) {
		area[i] = keep_area(test, vmalloc((1 + i % 3) * PAGE_SIZE));
		KUNIT_ASSERT_NOT_NULL(test, area[i]);
		memset(area[i], i, (1 + i % 3) * PAGE_SIZE);
	}

	for (i = 0; i < AREAS; i++)
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(area[i], i, (1 + i % 3) * PAGE_SIZE),
				      "area %d", i);
}

/* The variants that promise zeroes. */
struct zeroed {
	const char *name;
	void *(*alloc)(size_t size);
};

static void *alloc_vzalloc(size_t size)
{
	return vzalloc(size);
}

static void *alloc_vmalloc_user(size_t size)
{
	return vmalloc_user(size);
}

static void *alloc_vmalloc_32_user(size_t size)
{
	return vmalloc_32_user(size);
}

static void *alloc_vcalloc(size_t size)
{
	return vcalloc(size, 1);
}

static void *alloc_with_zero_flag(size_t size)
{
	return __vmalloc(size, GFP_KERNEL | __GFP_ZERO);
}

static const struct zeroed zeroed[] = {
	{ "vzalloc", alloc_vzalloc },
	{ "vmalloc_user", alloc_vmalloc_user },
	{ "vmalloc_32_user", alloc_vmalloc_32_user },
	{ "vcalloc", alloc_vcalloc },
	{ "__vmalloc with __GFP_ZERO", alloc_with_zero_flag },
};

static void describe_zeroed(const struct zeroed *zeroed, char *desc)
{
	strscpy(desc, zeroed->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(zeroed, zeroed, describe_zeroed);

enum { SECRET = 0x5a, USED_PAGES = 32 };

/* Give back pages that are full of a secret, low ones or any, and tell which. */
static bool free_secret_pages(unsigned long pfn[USED_PAGES], bool low)
{
	u8 *area = low ? vmalloc_32(USED_PAGES * PAGE_SIZE) : vmalloc(USED_PAGES * PAGE_SIZE);
	int i;

	if (!area)
		return false;
	memset(area, SECRET, USED_PAGES * PAGE_SIZE);
	for (i = 0; i < USED_PAGES; i++)
		pfn[i] = vmalloc_to_pfn(area + i * PAGE_SIZE);
	vfree(area);
	return true;
}

/* How many pages of the area are among these. */
static int count_reused(u8 *area, const unsigned long pfn[USED_PAGES])
{
	int i, j, nr = 0;

	for (i = 0; i < USED_PAGES; i++)
		for (j = 0; j < USED_PAGES; j++)
			nr += vmalloc_to_pfn(area + i * PAGE_SIZE) == pfn[j];
	return nr;
}

/* How many whole pages are zero, also behind the last byte that was asked for. */
static int count_zero_pages(u8 *area)
{
	int i, nr = 0;

	for (i = 0; i < USED_PAGES; i++) {
		void *page = kmap_local_page(vmalloc_to_page(area + i * PAGE_SIZE));

		nr += !memchr_inv(page, 0, PAGE_SIZE);
		kunmap_local(page);
	}
	return nr;
}

static void memory_is_zero_to_the_end_of_its_last_page(struct kunit *test)
{
	const struct zeroed *zeroed = test->param_value;
	unsigned long *pfn = kunit_kcalloc(test, USED_PAGES, sizeof(*pfn), GFP_KERNEL);
	int tries, reused = 0;

	KUNIT_ASSERT_NOT_NULL(test, pfn);
	for (tries = 0; tries < TRIES && !reused; tries++) {
		u8 *area;

		KUNIT_ASSERT_TRUE(test, free_secret_pages(pfn, tries & 1));
		area = zeroed->alloc(USED_PAGES * PAGE_SIZE - 5);
		KUNIT_ASSERT_NOT_NULL(test, area);
		reused = count_reused(area, pfn);
		KUNIT_EXPECT_EQ(test, USED_PAGES, count_zero_pages(area));
		vfree(area);
	}
	KUNIT_EXPECT_GT_MSG(test, reused, 0, "never got a used page back");
}

/* User space maps it where caches don't alias. */
static void vmalloc_user_is_aligned_for_user_space(struct kunit *test)
{
	int i;

	if (SHMLBA == PAGE_SIZE)
		kunit_skip(test, "needs SHMLBA > PAGE_SIZE");
	for (i = 0; i < 8; i++) {
		unsigned long area = (unsigned long)keep_area(test, vmalloc_user(PAGE_SIZE));

		KUNIT_EXPECT_NE(test, 0UL, area);
		KUNIT_EXPECT_TRUE_MSG(test, IS_ALIGNED(area, SHMLBA), "area %d: %#lx", i, area);
	}
}

static void vmalloc_32_pages_are_below_4_gib(struct kunit *test)
{
	enum { NPAGES = 64 };
	u64 end = (u64)pgdat_end_pfn(NODE_DATA(first_online_node)) << PAGE_SHIFT;
	u8 *area;
	int i;

	if (end <= BIT_ULL(32))
		kunit_skip(test, "needs memory above 4 GiB");
	area = keep_area(test, vmalloc_32(NPAGES * PAGE_SIZE));
	KUNIT_ASSERT_NOT_NULL(test, area);

	for (i = 0; i < NPAGES; i++)
		KUNIT_EXPECT_LT_MSG(test, vmalloc_to_pfn(area + i * PAGE_SIZE),
				    BIT_ULL(32) >> PAGE_SHIFT, "page %d", i);
}

static noinline void *memsafe_take_nothing(void)
{
	void *area = vmalloc(0);

	/* Stay on the stack while a report is made: no tail call. */
	barrier();
	return area;
}

/* Judges have a title of its own for this warning; its first line is like any other. */
static void area_of_no_bytes_is_null_and_warns_once(struct kunit *test)
{
	const struct memsafe_report refused = {
		.kind = "WARNING: zero-size vmalloc", .function = "memsafe_take_nothing",
	};
	void *first = ERR_PTR(-EINVAL), *second = first;

	skip_without_console(test);
	if (write_debugfs(test, "clear_warn_once", "1") == -ENOENT)
		kunit_skip(test, "needs CONFIG_DEBUG_FS=y");

	memsafe_announce(test, &refused);
	memsafe_report_watch(test, NULL);
	first = memsafe_take_nothing();
	KUNIT_EXPECT_TRUE(test, strstarts(memsafe_report_seen(), "WARNING in __vmalloc_node"));
	EXPECT_NO_REPORT(test, second = memsafe_take_nothing());

	KUNIT_EXPECT_NULL(test, first);
	KUNIT_EXPECT_NULL(test, second);
}

/* More than there is: of memory, of addresses, of numbers. */
struct too_much {
	const char *name;
	size_t (*size)(void);
};

static size_t more_than_memory(void)
{
	return min_t(u64, ((u64)totalram_pages() + 1) << PAGE_SHIFT, SIZE_MAX);
}

static size_t all_addresses(void)
{
	return VMALLOC_END - VMALLOC_START;
}

static size_t largest_size(void)
{
	return SIZE_MAX;
}

static const struct too_much too_much[] = {
	{ "one page more than memory", more_than_memory },
	{ "the whole vmalloc area", all_addresses },
	{ "SIZE_MAX", largest_size },
};

static void describe_too_much(const struct too_much *too_much, char *desc)
{
	strscpy(desc, too_much->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(too_much, too_much, describe_too_much);

static void too_large_area_is_null_and_silent_with_nowarn(struct kunit *test)
{
	const struct too_much *too_much = test->param_value;
	void *area = ERR_PTR(-EINVAL);

	skip_without_console(test);

	EXPECT_NO_REPORT(test, area = __vmalloc(too_much->size(), GFP_KERNEL | __GFP_NOWARN));

	KUNIT_EXPECT_NULL(test, area);
	if (area)
		vfree(area);
}

static void vfree_of_null_does_nothing(struct kunit *test)
{
	skip_without_console(test);

	EXPECT_NO_REPORT(test, vfree(NULL));
}

/*
 * Someone else may be given the address at once, after vm_unmap_aliases(): only
 * where no page is mapped there before and after, the answer is about our area.
 */
static void freed_area_faults_after_the_aliases_are_gone(struct kunit *test)
{
	int tries, seen = 0;

	skip_without_probe(test);
	for (tries = 0; tries < TRIES && seen != -EFAULT; tries++) {
		u8 *area = vmalloc(PAGE_SIZE);

		KUNIT_ASSERT_NOT_NULL(test, area);
		WRITE_ONCE(*area, 1);

		vfree(area);
		vm_unmap_aliases();

		seen = probe_read(area);
		if (!vmalloc_to_page(area))
			KUNIT_EXPECT_EQ_MSG(test, -EFAULT, seen, "try %d", tries);
	}
	KUNIT_EXPECT_EQ(test, -EFAULT, seen);
}

/* Contexts that may not sleep: the area goes as soon as a worker runs. */
struct atomic_free {
	const char *name;
	void (*free)(void *area);
};

struct free_work {
	struct irq_work work;
	void *area;
};

static void free_in_irq_work(struct irq_work *work)
{
	vfree(container_of(work, struct free_work, work)->area);
}

static void free_in_interrupt(void *area)
{
	struct free_work free = {
		.work = IRQ_WORK_INIT_HARD(free_in_irq_work), .area = area,
	};

	irq_work_queue(&free.work);
	irq_work_sync(&free.work);
}

static void free_with_bh_disabled(void *area)
{
	local_bh_disable();
	vfree(area);
	local_bh_enable();
}

static const struct atomic_free atomic_free[] = {
	{ "interrupt", free_in_interrupt },
	{ "bottom halves disabled", free_with_bh_disabled },
};

static void describe_atomic_free(const struct atomic_free *atomic_free, char *desc)
{
	strscpy(desc, atomic_free->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(atomic_free, atomic_free, describe_atomic_free);

static void vfree_in_atomic_context_frees_later_and_silently(struct kunit *test)
{
	const struct atomic_free *atomic_free = test->param_value;
	unsigned long deadline = jiffies + 10 * HZ;
	void *area = vmalloc(3 * PAGE_SIZE);

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, area);

	EXPECT_NO_REPORT(test, atomic_free->free(area));

	while (vmalloc_to_page(area) && time_before(jiffies, deadline))
		msleep(1);
	KUNIT_EXPECT_NULL(test, vmalloc_to_page(area));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(area_starts_on_a_page, size_gen_params),
	KUNIT_CASE_PARAM(last_byte_is_the_callers, size_gen_params),
	KUNIT_CASE_PARAM(page_behind_the_area_faults, size_gen_params),
	KUNIT_CASE_PARAM(page_behind_the_area_has_no_page, size_gen_params),
	KUNIT_CASE(pages_of_an_area_are_distinct),
	KUNIT_CASE(live_areas_never_overlap),
	KUNIT_CASE_PARAM(memory_is_zero_to_the_end_of_its_last_page, zeroed_gen_params),
	KUNIT_CASE(vmalloc_user_is_aligned_for_user_space),
	KUNIT_CASE(vmalloc_32_pages_are_below_4_gib),
	KUNIT_CASE(area_of_no_bytes_is_null_and_warns_once),
	KUNIT_CASE_PARAM(too_large_area_is_null_and_silent_with_nowarn, too_much_gen_params),
	KUNIT_CASE(vfree_of_null_does_nothing),
	KUNIT_CASE(freed_area_faults_after_the_aliases_are_gone),
	KUNIT_CASE_PARAM(vfree_in_atomic_context_frees_later_and_silently,
			 atomic_free_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of vmalloc and its variants");
MODULE_LICENSE("GPL");
