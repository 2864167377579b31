// SPDX-License-Identifier: GPL-2.0
/*
 * A driver's fault handlers are called for the page that was accessed, once,
 * with flags that say how; each value they may return has its documented
 * effect; and an access from kernel mode that they refuse ends in EFAULT, not
 * in a splat (include/linux/mm.h and mm_types.h: vm_operations_struct,
 * vm_fault_reason).
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/string.h>

#include "memsafe_dev_file.h"

enum { NPAGES = 4 };

/* A byte inside a page: handlers are told the address of the access too. */
enum { INSIDE = 123 };

struct kind {
	const char *name;
	u32 memory;
	u32 map;
};

static const struct kind kinds[] = {
	{ "page given to the core", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT },
	{ "vmalloc page given to the core", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_FAULT },
	{ "page inserted", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_INSERT },
	{ "vmalloc page inserted", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_FAULT_INSERT },
	{ "pfn of a page inserted", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_PFN },
	{ "pfn of kmalloc memory inserted", MEMSAFE_DEV_KMALLOC, MEMSAFE_DEV_FAULT_PFN },
};

static void kind_to_desc(const struct kind *kind, char *desc)
{
	strscpy(desc, kind->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(kind, kinds, kind_to_desc);

static bool has_references(const struct kind *kind)
{
	return kind->map != MEMSAFE_DEV_FAULT_PFN;
}

/* Page i holds the byte 'a' + i at INSIDE. */
static void set_up_kind(struct kunit *test, u32 flags)
{
	const struct kind *kind = test->param_value;
	int i;

	set_up(test, kind->memory, kind->map, flags, NPAGES);
	for (i = 0; i < NPAGES; i++)
		buffer_poke(test, i * PAGE_SIZE + INSIDE, 'a' + i);
}

static u64 mkwrites(struct kunit *test)
{
	struct memsafe_dev_counters now = counters(test);

	return now.page_mkwrites + now.pfn_mkwrites;
}

static void each_page_faults_once(struct kunit *test)
{
	unsigned long addr;
	int i;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);
	KUNIT_EXPECT_EQ(test, 0, counters(test).faults);

	for (i = 0; i < NPAGES; i++) {
		user_peek(addr + i * PAGE_SIZE);
		KUNIT_EXPECT_EQ_MSG(test, i + 1, counters(test).faults, "page %d", i);
	}
	for (i = 0; i < NPAGES; i++)
		user_peek(addr + i * PAGE_SIZE + INSIDE);
	KUNIT_EXPECT_EQ(test, NPAGES, counters(test).faults);
}

static void each_page_of_the_mapping_is_that_page_of_the_buffer(struct kunit *test)
{
	unsigned long addr;
	int i;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);

	/* Backwards: a handler that counts instead of looking would pass. */
	for (i = NPAGES - 1; i >= 0; i--)
		KUNIT_EXPECT_EQ_MSG(test, 'a' + i,
				    user_peek(addr + i * PAGE_SIZE + INSIDE), "page %d", i);
}

/* The buffer starts at page 0, the mapping at page 1, the access at page 3. */
static void fault_at_an_offset_gets_the_pgoff_of_the_buffer(struct kunit *test)
{
	struct memsafe_dev_seen seen;
	unsigned long addr, byte;

	set_up_kind(test, 0);
	addr = map_pages(test, 1, NPAGES - 1, MAP_SHARED);
	byte = addr + 2 * PAGE_SIZE + INSIDE;

	KUNIT_EXPECT_EQ(test, 'a' + 3, user_peek(byte));

	seen = counters(test).fault;
	KUNIT_EXPECT_EQ(test, 3, seen.pgoff);
	KUNIT_EXPECT_EQ(test, byte & PAGE_MASK, seen.address);
	/* arm passes on the page only: do_page_fault() in arch/arm/mm/fault.c. */
	KUNIT_EXPECT_EQ(test, IS_ENABLED(CONFIG_ARM) ? byte & PAGE_MASK : byte, seen.real_address);
}

static void read_fault_is_no_write_and_may_be_retried(struct kunit *test)
{
	unsigned long addr;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);

	KUNIT_EXPECT_EQ(test, 0, user_peek(addr));

	/* UML walks the tables itself and says so as a user. */
	KUNIT_EXPECT_EQ(test, MEMSAFE_DEV_SEEN_ALLOW_RETRY,
			counters(test).fault.flags & ~(IS_ENABLED(CONFIG_UML) ?
						       MEMSAFE_DEV_SEEN_USER : 0));
	KUNIT_EXPECT_EQ(test, 0, mkwrites(test));
}

static void write_fault_is_a_write_and_reaches_the_buffer(struct kunit *test)
{
	unsigned long addr;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE + INSIDE, 'z'));

	KUNIT_EXPECT_EQ(test, 1, counters(test).fault.pgoff);
	KUNIT_EXPECT_TRUE(test, counters(test).fault.flags & MEMSAFE_DEV_SEEN_WRITE);
	KUNIT_EXPECT_EQ(test, 'z', buffer_peek(test, PAGE_SIZE + INSIDE));
	KUNIT_EXPECT_EQ(test, 'a', buffer_peek(test, INSIDE));
}

static void first_write_to_a_page_calls_mkwrite_once(struct kunit *test)
{
	struct memsafe_dev_seen seen;
	unsigned long addr;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);

	user_poke(addr + 2 * PAGE_SIZE, 'x');
	KUNIT_EXPECT_EQ(test, 1, mkwrites(test));
	user_poke(addr + 2 * PAGE_SIZE, 'y');
	KUNIT_EXPECT_EQ(test, 1, mkwrites(test));

	seen = counters(test).mkwrite;
	KUNIT_EXPECT_EQ(test, 2, seen.pgoff);
	KUNIT_EXPECT_EQ(test, addr + 2 * PAGE_SIZE, seen.address);
	KUNIT_EXPECT_TRUE(test, seen.flags & MEMSAFE_DEV_SEEN_MKWRITE);
}

static void write_to_a_page_that_was_read_needs_no_second_fault(struct kunit *test)
{
	unsigned long addr;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);
	user_peek(addr);
	KUNIT_ASSERT_EQ(test, 1, counters(test).faults);
	KUNIT_ASSERT_EQ(test, 0, mkwrites(test));

	user_poke(addr, 'x');

	KUNIT_EXPECT_EQ(test, 1, counters(test).faults);
	KUNIT_EXPECT_EQ(test, 1, mkwrites(test));
	KUNIT_EXPECT_EQ(test, 'x', buffer_peek(test, 0));
}

/* A bare PFN can't be copied on a fault: the driver refuses such a mapping. */
static void private_write_goes_to_a_copy_or_is_refused(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	struct dev_file *dev = test->priv;
	unsigned long addr;

	if (kind->map == MEMSAFE_DEV_FAULT_INSERT)
		skip_without_write_protection(test);
	set_up_kind(test, 0);
	if (!has_references(test->param_value)) {
		addr = user_map(test, dev->file, PAGE_SIZE, PROT_READ, MAP_PRIVATE, 0);
		KUNIT_EXPECT_EQ(test, -EINVAL, (long)addr);
		return;
	}
	addr = map_pages(test, 0, NPAGES, MAP_PRIVATE);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + INSIDE, 'z'));

	KUNIT_EXPECT_EQ(test, 'z', user_peek(addr + INSIDE));
	KUNIT_EXPECT_EQ(test, 'a', buffer_peek(test, INSIDE));
	KUNIT_EXPECT_EQ(test, 0, mkwrites(test));
	KUNIT_EXPECT_EQ(test, 1, page_info(test, 0).refs);
}

static void page_past_the_end_of_the_buffer_is_efault(struct kunit *test)
{
	unsigned long addr, end;

	set_up_kind(test, MEMSAFE_DEV_OPEN_END);
	addr = map_pages(test, 0, NPAGES + 2, MAP_SHARED);
	end = addr + NPAGES * PAGE_SIZE;

	KUNIT_EXPECT_EQ(test, 0, user_peek(end - 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(end));
	KUNIT_EXPECT_EQ(test, NPAGES, counters(test).fault.pgoff);
	KUNIT_EXPECT_EQ(test, -EFAULT, user_poke(end, 'x'));
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(end + PAGE_SIZE));
}

/* copy_from_user(): what could not be copied is counted, and zeroed. */
static void copy_across_the_end_is_short_and_zero_filled(struct kunit *test)
{
	enum { HALF = 64 };
	u8 bytes[2 * HALF];
	unsigned long addr, end, left;

	set_up_kind(test, MEMSAFE_DEV_OPEN_END);
	addr = map_pages(test, 0, NPAGES + 1, MAP_SHARED);
	end = addr + NPAGES * PAGE_SIZE;
	buffer_poke(test, NPAGES * PAGE_SIZE - HALF, 'x');
	memset(bytes, 0xff, sizeof(bytes));

	left = copy_from_user(bytes, (void __user *)(end - HALF), sizeof(bytes));

	KUNIT_EXPECT_GE(test, left, HALF);
	KUNIT_EXPECT_LE(test, left, sizeof(bytes));
	KUNIT_EXPECT_EQ(test, left < sizeof(bytes) ? 'x' : 0, bytes[0]);
	KUNIT_EXPECT_NULL(test, memchr_inv(bytes + HALF, 0, HALF));
}

static void unmapped_page_is_efault_without_a_call(struct kunit *test)
{
	unsigned long addr;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);
	KUNIT_ASSERT_EQ(test, 'a', user_peek(addr + INSIDE));

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, NPAGES * PAGE_SIZE));

	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr + INSIDE));
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 1, counters(test).faults);
}

static void nofault_copy_calls_no_handler(struct kunit *test)
{
	unsigned long addr;
	u8 byte = 0;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED) + INSIDE;

	KUNIT_EXPECT_EQ(test, -EFAULT,
			copy_from_user_nofault(&byte, (void __user *)addr, 1));
	KUNIT_EXPECT_EQ(test, 0, counters(test).faults);

	KUNIT_ASSERT_EQ(test, 'a', user_peek(addr));
	KUNIT_EXPECT_EQ(test, 0, copy_from_user_nofault(&byte, (void __user *)addr, 1));
	KUNIT_EXPECT_EQ(test, 'a', byte);
}

static void each_mapping_of_a_page_holds_one_reference(struct kunit *test)
{
	const int held = has_references(test->param_value);
	unsigned long first, second;

	set_up_kind(test, 0);
	first = map_pages(test, 0, NPAGES, MAP_SHARED);
	second = map_pages(test, 1, 1, MAP_SHARED);
	KUNIT_ASSERT_EQ(test, 1, page_info(test, 1).refs);

	user_poke(first + PAGE_SIZE + INSIDE, 'z');
	KUNIT_EXPECT_EQ(test, 1 + held, page_info(test, 1).refs);
	KUNIT_EXPECT_EQ(test, 'z', user_peek(second + INSIDE));
	KUNIT_EXPECT_EQ(test, 1 + 2 * held, page_info(test, 1).refs);

	vm_munmap(first, NPAGES * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1 + held, page_info(test, 1).refs);
	vm_munmap(second, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, page_info(test, 1).refs);
}

/* A reference of get_user_pages() is one more, and outlives the mapping. */
static void gup_gets_the_page_itself_or_nothing_of_a_pfn(struct kunit *test)
{
	unsigned long addr;
	struct page *page;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);

	if (!has_references(test->param_value)) {
		KUNIT_EXPECT_EQ(test, -EFAULT, get_user_pages_fast(addr, 1, 0, &page));
		return;
	}
	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast(addr + PAGE_SIZE, 1, 0, &page));
	KUNIT_EXPECT_EQ(test, page_info(test, 1).pfn, page_to_pfn(page));
	KUNIT_EXPECT_EQ(test, 3, page_info(test, 1).refs);
	vm_munmap(addr, NPAGES * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 2, page_info(test, 1).refs);
	put_page(page);
	KUNIT_EXPECT_EQ(test, 1, page_info(test, 1).refs);
}

static void vma_is_counted_by_open_and_close(struct kunit *test)
{
	struct memsafe_dev_counters now;
	unsigned long addr;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);
	now = counters(test);
	KUNIT_EXPECT_EQ(test, 1, now.mmaps + now.opens - now.closes);

	/* A hole in the middle leaves two VMAs. */
	vm_munmap(addr + PAGE_SIZE, PAGE_SIZE);
	now = counters(test);
	KUNIT_EXPECT_EQ(test, 1, now.mmaps);
	KUNIT_EXPECT_EQ(test, 2, now.mmaps + now.opens - now.closes);

	vm_munmap(addr, NPAGES * PAGE_SIZE);
	now = counters(test);
	KUNIT_EXPECT_EQ(test, 0, now.mmaps + now.opens - now.closes);
}

/* The upper part of a split VMA keeps its place in the buffer. */
static void fault_after_a_split_gets_the_same_pgoff(struct kunit *test)
{
	unsigned long addr;

	set_up_kind(test, 0);
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);

	vm_munmap(addr, 2 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, 'a' + 3, user_peek(addr + 3 * PAGE_SIZE + INSIDE));
	KUNIT_EXPECT_EQ(test, 3, counters(test).fault.pgoff);
}

static void failed_mmap_leaves_nothing_counted(struct kunit *test)
{
	struct dev_file *dev = test->priv;
	struct memsafe_dev_counters now;
	unsigned long addr;

	set_up_kind(test, 0);

	addr = user_map(test, dev->file, (NPAGES + 1) * PAGE_SIZE, PROT_READ, MAP_SHARED, 0);

	KUNIT_EXPECT_EQ(test, -EINVAL, (long)addr);
	now = counters(test);
	KUNIT_EXPECT_EQ(test, 0, now.mmaps);
	KUNIT_EXPECT_EQ(test, 0, now.opens);
	KUNIT_EXPECT_EQ(test, 0, now.closes);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(each_page_faults_once, kind_gen_params),
	KUNIT_CASE_PARAM(each_page_of_the_mapping_is_that_page_of_the_buffer, kind_gen_params),
	KUNIT_CASE_PARAM(fault_at_an_offset_gets_the_pgoff_of_the_buffer, kind_gen_params),
	KUNIT_CASE_PARAM(read_fault_is_no_write_and_may_be_retried, kind_gen_params),
	KUNIT_CASE_PARAM(write_fault_is_a_write_and_reaches_the_buffer, kind_gen_params),
	KUNIT_CASE_PARAM(first_write_to_a_page_calls_mkwrite_once, kind_gen_params),
	KUNIT_CASE_PARAM(write_to_a_page_that_was_read_needs_no_second_fault, kind_gen_params),
	KUNIT_CASE_PARAM(private_write_goes_to_a_copy_or_is_refused, kind_gen_params),
	KUNIT_CASE_PARAM(page_past_the_end_of_the_buffer_is_efault, kind_gen_params),
	KUNIT_CASE_PARAM(copy_across_the_end_is_short_and_zero_filled, kind_gen_params),
	KUNIT_CASE_PARAM(unmapped_page_is_efault_without_a_call, kind_gen_params),
	KUNIT_CASE_PARAM(nofault_copy_calls_no_handler, kind_gen_params),
	KUNIT_CASE_PARAM(each_mapping_of_a_page_holds_one_reference, kind_gen_params),
	KUNIT_CASE_PARAM(gup_gets_the_page_itself_or_nothing_of_a_pfn, kind_gen_params),
	KUNIT_CASE_PARAM(vma_is_counted_by_open_and_close, kind_gen_params),
	KUNIT_CASE_PARAM(fault_after_a_split_gets_the_same_pgoff, kind_gen_params),
	KUNIT_CASE_PARAM(failed_mmap_leaves_nothing_counted, kind_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_vma_fault",
	.suite_init = mount_devices,
	.suite_exit = unmount_devices,
	.init = open_device,
	.exit = close_device,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of drivers' fault handlers");
MODULE_LICENSE("GPL");
