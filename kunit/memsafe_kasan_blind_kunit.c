// SPDX-License-Identifier: GPL-2.0
/*
 * Bad uses of memory that KASAN does not see, each for its own reason: there is
 * no redzone, no shadow, or the use is legal for a while.  Where the memory is not
 * mapped the access faults instead; vfree() knows its areas by itself.
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_kasan_blind"
#include "memsafe_report.h"
#include "memsafe_access.h"
#include "memsafe_probe.h"

/* Two pages side by side, each of its own; the neighbour is ours to look at. */
static void page_has_no_redzone(struct kunit *test)
{
	struct page *pages;
	u8 *first, *second;

	kasan_case_init(test);
	pages = alloc_pages(GFP_KERNEL, 1);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	split_page(pages, 1);
	first = page_address(pages);
	second = first + PAGE_SIZE;

	EXPECT_NO_REPORT(test, memsafe_read_byte(first + PAGE_SIZE));
	EXPECT_NO_REPORT(test, memsafe_write_byte(first + PAGE_SIZE));
	EXPECT_NO_REPORT(test, memsafe_read_byte(second - 1));
	EXPECT_NO_REPORT(test, memsafe_write_byte(second - 1));

	__free_page(pages);
	__free_page(pages + 1);
}

/* The allocator rounds up, so that what lies behind is nobody's. */
static void percpu_object_has_no_redzone(struct kunit *test)
{
	enum { BYTES = 45 };
	u8 __percpu *object;
	u8 *copy;

	kasan_case_init(test);
	object = __alloc_percpu(BYTES, 8);
	KUNIT_ASSERT_NOT_NULL(test, object);
	copy = per_cpu_ptr(object, 0);

	EXPECT_NO_REPORT(test, memsafe_read_byte(copy + BYTES));
	EXPECT_NO_REPORT(test, memsafe_write_byte(copy + BYTES));

	free_percpu(object);
}

/*
 * KASAN poisons freed pages by their logical address, which high memory lacks.
 * Interrupts stay off, so that the page waits on this CPU's list.
 */
static void read_freed_through_kmap(struct page *page)
{
	unsigned long flags;
	u8 *mapping;

	local_irq_save(flags);
	mapping = kmap_local_page(page);
	__free_page(page);
	memsafe_read_byte(mapping);
	kunmap_local(mapping);
	local_irq_restore(flags);
}

static void freed_page_is_seen_in_low_memory_only(struct kunit *test)
{
	struct page *high, *low;
	const struct memsafe_report freed = {
		.kind = "KASAN: use-after-free", .access = "Read", .size = 1,
		.function = "memsafe_read_byte",
	};

	kasan_case_init(test);
	if (!IS_ENABLED(CONFIG_HIGHMEM))
		kunit_skip(test, "needs CONFIG_HIGHMEM=y");
	high = alloc_page(GFP_HIGHUSER);
	low = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, high);
	KUNIT_ASSERT_NOT_NULL(test, low);
	KUNIT_ASSERT_TRUE(test, PageHighMem(high));

	EXPECT_NO_REPORT(test, read_freed_through_kmap(high));
	EXPECT_REPORT(test, &freed, read_freed_through_kmap(low));
}

static int read_byte_nofault(const u8 *p)
{
	u8 byte;

	return copy_from_kernel_nofault(&byte, p, 1);
}

/* What lies around a mapping is no mapping: with interrupts off nobody adds one. */
static void nothing_is_mapped_beside_a_kmapped_page(struct kunit *test)
{
	struct page *page;
	int before, inside, behind;
	unsigned long flags;
	u8 *mapping;

	if (!IS_ENABLED(CONFIG_HIGHMEM))
		kunit_skip(test, "needs CONFIG_HIGHMEM=y");
	page = alloc_page(GFP_HIGHUSER);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_TRUE(test, PageHighMem(page));

	local_irq_save(flags);
	mapping = kmap_local_page(page);
	before = read_byte_nofault(mapping - 1);
	inside = read_byte_nofault(mapping) ?: read_byte_nofault(mapping + PAGE_SIZE - 1);
	behind = read_byte_nofault(mapping + PAGE_SIZE);
	kunmap_local(mapping);
	local_irq_restore(flags);
	__free_page(page);

	KUNIT_EXPECT_EQ(test, -EFAULT, before);
	KUNIT_EXPECT_EQ(test, 0, inside);
	KUNIT_EXPECT_EQ(test, -EFAULT, behind);
}

enum { AREA_BYTES = 2 * PAGE_SIZE };

static void nothing_is_mapped_beside_a_vmalloc_area(struct kunit *test)
{
	u8 *area;

	skip_without_probe(test);
	area = vmalloc(AREA_BYTES);
	KUNIT_ASSERT_NOT_NULL(test, area);

	KUNIT_EXPECT_EQ(test, -EFAULT, read_byte_nofault(area - 1));
	KUNIT_EXPECT_EQ(test, 0, read_byte_nofault(area));
	KUNIT_EXPECT_EQ(test, 0, read_byte_nofault(area + AREA_BYTES - 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, read_byte_nofault(area + AREA_BYTES));

	vfree(area);
}

/* Pages go at once, their addresses when the lazy areas are flushed. */
static void nothing_is_mapped_where_a_vmalloc_area_was(struct kunit *test)
{
	u8 *area;

	skip_without_probe(test);
	area = vmalloc(AREA_BYTES);
	KUNIT_ASSERT_NOT_NULL(test, area);
	KUNIT_ASSERT_EQ(test, 0, read_byte_nofault(area));

	vfree(area);
	vm_unmap_aliases();

	KUNIT_EXPECT_EQ(test, -EFAULT, read_byte_nofault(area));
	KUNIT_EXPECT_EQ(test, -EFAULT, read_byte_nofault(area + AREA_BYTES - 1));
}

static noinline void memsafe_free(const void *area)
{
	vfree(area);
	/* Stay on the stack while the report is made: no tail call. */
	barrier();
}

static void second_vfree_is_reported(struct kunit *test)
{
	static const struct memsafe_report nonexistent = {
		.kind = "WARNING", .function = "memsafe_free",
	};
	u8 *area = vmalloc(AREA_BYTES);

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, area);

	EXPECT_NO_REPORT(test, memsafe_free(area));
	EXPECT_REPORT(test, &nonexistent, memsafe_free(area));
}

/* A bad address is none of an area either: both are said, by v6.1 only the first. */
static void vfree_of_no_page_is_reported_and_frees_nothing(struct kunit *test)
{
	static const struct memsafe_report nonexistent = {
		.kind = "WARNING", .function = "memsafe_free",
	}, bad = {
		.kind = "WARNING", .function = "remove_vm_area", .then = &nonexistent,
	}, *expected = LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0) ? &nonexistent : &bad;
	u8 *area = vmalloc(AREA_BYTES);

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, area);

	EXPECT_REPORT(test, expected, memsafe_free(area + 1));

	KUNIT_EXPECT_EQ(test, 0, read_byte_nofault(area));
	KUNIT_EXPECT_EQ(test, 0, read_byte_nofault(area + AREA_BYTES - 1));
	EXPECT_NO_REPORT(test, memsafe_free(area));
}

static noinline u8 *address_of_a_local(void)
{
	volatile u8 local[64];
	u8 *p = (u8 *)local;

	local[0] = 1;
	OPTIMIZER_HIDE_VAR(p);
	return p;
}

/* The frame of a function that has returned is free for the next, redzones and all. */
static void local_of_a_returned_function_has_no_redzone(struct kunit *test)
{
	u8 *local;

	kasan_case_init(test);
	local = address_of_a_local();

	EXPECT_NO_REPORT(test, memsafe_read_byte(local));
}

struct box {
	u8 bytes[64];
};

/* Readers may look at an object that was freed until their grace period ends. */
static void read_freed_in_rcu_reader(struct kmem_cache *cache, struct box *box)
{
	rcu_read_lock();
	kmem_cache_free(cache, box);
	memsafe_read_byte(box->bytes);
	rcu_read_unlock();
}

static void freed_object_of_a_typesafe_cache_can_be_read(struct kunit *test)
{
	struct kmem_cache *cache;
	struct box *box;

	kasan_case_init(test);
	cache = KMEM_CACHE(box, SLAB_TYPESAFE_BY_RCU);
	KUNIT_ASSERT_NOT_NULL(test, cache);
	box = kmem_cache_alloc(cache, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, box);

	if (box)
		EXPECT_NO_REPORT(test, read_freed_in_rcu_reader(cache, box));

	kmem_cache_destroy(cache);
}

static void freed_object_of_an_ordinary_cache_can_not(struct kunit *test)
{
	struct kmem_cache *cache;
	struct box *box;

	kasan_case_init(test);
	cache = KMEM_CACHE(box, SLAB_NO_MERGE);
	KUNIT_ASSERT_NOT_NULL(test, cache);
	box = kmem_cache_alloc(cache, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, box);

	if (box) {
		const struct memsafe_report freed = {
			.kind = SLAB_USE_AFTER_FREE, .access = "Read", .size = 1,
			.address = box->bytes, .function = "memsafe_read_byte",
		};

		EXPECT_REPORT(test, &freed, read_freed_in_rcu_reader(cache, box));
	}

	kmem_cache_destroy(cache);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(page_has_no_redzone),
	KUNIT_CASE(percpu_object_has_no_redzone),
	KUNIT_CASE(freed_page_is_seen_in_low_memory_only),
	KUNIT_CASE(nothing_is_mapped_beside_a_kmapped_page),
	KUNIT_CASE(nothing_is_mapped_beside_a_vmalloc_area),
	KUNIT_CASE(nothing_is_mapped_where_a_vmalloc_area_was),
	KUNIT_CASE(second_vfree_is_reported),
	KUNIT_CASE(vfree_of_no_page_is_reported_and_frees_nothing),
	KUNIT_CASE(local_of_a_returned_function_has_no_redzone),
	KUNIT_CASE(freed_object_of_a_typesafe_cache_can_be_read),
	KUNIT_CASE(freed_object_of_an_ordinary_cache_can_not),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what KASAN can't see");
MODULE_LICENSE("GPL");
