// SPDX-License-Identifier: GPL-2.0
/*
 * What a fault handler returns (vm_fault_reason in include/linux/mm_types.h)
 * decides what the accessing code sees: EFAULT from the uaccess functions, the
 * matching errno from get_user_pages(), a repeated fault, a counted one.  The
 * next access after the error finds everything as it was.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>

#include "memsafe_dev_file.h"

enum { NPAGES = 2 };

struct code {
	const char *name;
	u32 action;
	int gup_errno;	/* vm_fault_to_errno() in include/linux/mm.h */
};

static const struct code codes[] = {
	{ "SIGBUS", MEMSAFE_DEV_RETURN_SIGBUS, -EFAULT },
	{ "SIGSEGV", MEMSAFE_DEV_RETURN_SIGSEGV, -EFAULT },
	{ "OOM", MEMSAFE_DEV_RETURN_OOM, -ENOMEM },
	{ "HWPOISON", MEMSAFE_DEV_RETURN_HWPOISON, -EFAULT },
};

static void code_to_desc(const struct code *code, char *desc)
{
	strscpy(desc, code->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(code, codes, code_to_desc);

/*
 * A mapping of which page 0 is present, and page 1 is the one to fault.  On
 * UML the page table has to exist before an error for it can be survived.
 */
static unsigned long map_half_present(struct kunit *test)
{
	unsigned long addr;

	set_up(test, MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT, 0, NPAGES);
	buffer_poke(test, PAGE_SIZE, 'b');
	addr = map_pages(test, 0, NPAGES, MAP_SHARED);
	KUNIT_ASSERT_EQ(test, 0, user_peek(addr));
	return addr;
}

static void error_of_a_read_is_efault_until_it_ends(struct kunit *test)
{
	const struct code *code = test->param_value;
	unsigned long page = map_half_present(test) + PAGE_SIZE;

	inject(test, MEMSAFE_DEV_ON_FAULT, code->action, 1, 2);

	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(page));
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(page));
	KUNIT_EXPECT_EQ(test, 1, page_info(test, 1).refs);
	KUNIT_EXPECT_EQ(test, 'b', user_peek(page));
	KUNIT_EXPECT_EQ(test, 2, page_info(test, 1).refs);
}

static void error_of_a_write_leaves_the_buffer_alone(struct kunit *test)
{
	const struct code *code = test->param_value;
	unsigned long page = map_half_present(test) + PAGE_SIZE;

	inject(test, MEMSAFE_DEV_ON_FAULT, code->action, 1, 1);

	KUNIT_EXPECT_EQ(test, -EFAULT, user_poke(page, 'z'));
	KUNIT_EXPECT_EQ(test, 'b', buffer_peek(test, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, counters(test).page_mkwrites);
	KUNIT_EXPECT_EQ(test, 0, user_poke(page, 'z'));
	KUNIT_EXPECT_EQ(test, 'z', buffer_peek(test, PAGE_SIZE));
}

static void error_of_mkwrite_fails_the_write_only(struct kunit *test)
{
	const struct code *code = test->param_value;
	unsigned long page = map_half_present(test) + PAGE_SIZE;

	inject(test, MEMSAFE_DEV_ON_MKWRITE, code->action, 1, 1);

	KUNIT_EXPECT_EQ(test, -EFAULT, user_poke(page, 'z'));
	KUNIT_EXPECT_EQ(test, 'b', user_peek(page));
	KUNIT_EXPECT_EQ(test, 1, counters(test).page_mkwrites);
	KUNIT_EXPECT_EQ(test, 0, user_poke(page, 'z'));
	KUNIT_EXPECT_EQ(test, 'z', buffer_peek(test, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 2, page_info(test, 1).refs);
}

static void error_of_get_user_pages_is_that_of_the_handler(struct kunit *test)
{
	const struct code *code = test->param_value;
	unsigned long addr = map_half_present(test);
	struct page *pages[NPAGES];

	inject(test, MEMSAFE_DEV_ON_FAULT, code->action, 1, 1);

	KUNIT_EXPECT_EQ(test, code->gup_errno,
			get_user_pages_fast(addr + PAGE_SIZE, 1, 0, pages));
	KUNIT_EXPECT_EQ(test, 1, page_info(test, 1).refs);
}

/* The pages before the error are got, and are the caller's to put. */
static void get_user_pages_is_short_before_an_error(struct kunit *test)
{
	const struct code *code = test->param_value;
	unsigned long addr = map_half_present(test);
	struct page *pages[NPAGES] = {};

	inject(test, MEMSAFE_DEV_ON_FAULT, code->action, 1, 1);

	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast(addr, NPAGES, 0, pages));
	KUNIT_EXPECT_EQ(test, page_info(test, 0).pfn, page_to_pfn(pages[0]));
	KUNIT_EXPECT_EQ(test, 3, page_info(test, 0).refs);
	put_page(pages[0]);
	KUNIT_EXPECT_EQ(test, 1, page_info(test, 1).refs);
}

static void error_of_one_page_is_not_that_of_its_neighbour(struct kunit *test)
{
	unsigned long addr = map_half_present(test);

	inject(test, MEMSAFE_DEV_ON_FAULT, MEMSAFE_DEV_RETURN_SIGBUS, 1, 1);

	KUNIT_EXPECT_EQ(test, 0, user_peek(addr));
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr + PAGE_SIZE));
}

static void nopage_repeats_the_fault(struct kunit *test)
{
	enum { TIMES = 3 };
	unsigned long page = map_half_present(test) + PAGE_SIZE;
	u64 before = counters(test).faults;

	inject(test, MEMSAFE_DEV_ON_FAULT, MEMSAFE_DEV_RETURN_NOPAGE, 1, TIMES);

	KUNIT_EXPECT_EQ(test, 'b', user_peek(page));
	KUNIT_EXPECT_EQ(test, TIMES + 1, counters(test).faults - before);
	KUNIT_EXPECT_EQ(test, 2, page_info(test, 1).refs);
}

static void nopage_of_mkwrite_repeats_the_write(struct kunit *test)
{
	enum { TIMES = 3 };
	unsigned long page;

	skip_without_write_protection(test);
	page = map_half_present(test) + PAGE_SIZE;
	KUNIT_ASSERT_EQ(test, 'b', user_peek(page));
	inject(test, MEMSAFE_DEV_ON_MKWRITE, MEMSAFE_DEV_RETURN_NOPAGE, 1, TIMES);

	KUNIT_EXPECT_EQ(test, 0, user_poke(page, 'z'));
	KUNIT_EXPECT_EQ(test, TIMES + 1, counters(test).page_mkwrites);
	KUNIT_EXPECT_EQ(test, 'z', buffer_peek(test, PAGE_SIZE));
}

/* Once only: the second call has FAULT_FLAG_TRIED and may not ask again. */
static void retry_repeats_the_fault_as_tried(struct kunit *test)
{
	unsigned long page = map_half_present(test) + PAGE_SIZE;
	u64 before = counters(test).faults;

	inject(test, MEMSAFE_DEV_ON_FAULT, MEMSAFE_DEV_RETURN_RETRY, 1, 1);

	KUNIT_EXPECT_EQ(test, 'b', user_peek(page));
	KUNIT_EXPECT_EQ(test, 2, counters(test).faults - before);
	KUNIT_EXPECT_TRUE(test, counters(test).fault.flags & MEMSAFE_DEV_SEEN_TRIED);
}

/* The handler has dropped the lock: a writer of it gets in. */
static void retry_leaves_the_mmap_lock_free(struct kunit *test)
{
	unsigned long page = map_half_present(test) + PAGE_SIZE;

	inject(test, MEMSAFE_DEV_ON_FAULT, MEMSAFE_DEV_RETURN_RETRY, 1, 1);
	KUNIT_ASSERT_EQ(test, 'b', user_peek(page));

	KUNIT_ASSERT_TRUE(test, down_write_trylock(&current->mm->mmap_lock));
	up_write(&current->mm->mmap_lock);
}

static void page_given_locked_comes_back_unlocked(struct kunit *test)
{
	unsigned long addr = map_half_present(test);
	struct page *page;

	inject(test, MEMSAFE_DEV_ON_FAULT, MEMSAFE_DEV_RETURN_LOCKED, 1, 1);

	KUNIT_EXPECT_EQ(test, 'b', user_peek(addr + PAGE_SIZE));
	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast(addr + PAGE_SIZE, 1, 0, &page));
	KUNIT_EXPECT_FALSE(test, PageLocked(page));
	put_page(page);
}

static void written_page_comes_back_unlocked_and_dirty(struct kunit *test)
{
	unsigned long addr = map_half_present(test);
	struct page *page;

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE, 'z'));

	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast(addr + PAGE_SIZE, 1, 0, &page));
	KUNIT_EXPECT_FALSE(test, PageLocked(page));
	KUNIT_EXPECT_TRUE(test, PageDirty(page));
	put_page(page);
}

static void fault_is_counted_as_minor(struct kunit *test)
{
	unsigned long page = map_half_present(test) + PAGE_SIZE;
	unsigned long minor = current->min_flt, major = current->maj_flt;

	KUNIT_EXPECT_EQ(test, 'b', user_peek(page));

	KUNIT_EXPECT_EQ(test, 1, current->min_flt - minor);
	KUNIT_EXPECT_EQ(test, 0, current->maj_flt - major);
}

static void major_fault_is_counted_as_major(struct kunit *test)
{
	unsigned long page = map_half_present(test) + PAGE_SIZE;
	unsigned long minor, major;

	inject(test, MEMSAFE_DEV_ON_FAULT, MEMSAFE_DEV_RETURN_MAJOR, 1, 1);
	minor = current->min_flt;
	major = current->maj_flt;

	KUNIT_EXPECT_EQ(test, 'b', user_peek(page));

	KUNIT_EXPECT_EQ(test, 0, current->min_flt - minor);
	KUNIT_EXPECT_EQ(test, 1, current->maj_flt - major);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(error_of_a_read_is_efault_until_it_ends, code_gen_params),
	KUNIT_CASE_PARAM(error_of_a_write_leaves_the_buffer_alone, code_gen_params),
	KUNIT_CASE_PARAM(error_of_mkwrite_fails_the_write_only, code_gen_params),
	KUNIT_CASE_PARAM(error_of_get_user_pages_is_that_of_the_handler, code_gen_params),
	KUNIT_CASE_PARAM(get_user_pages_is_short_before_an_error, code_gen_params),
	KUNIT_CASE(error_of_one_page_is_not_that_of_its_neighbour),
	KUNIT_CASE(nopage_repeats_the_fault),
	KUNIT_CASE(nopage_of_mkwrite_repeats_the_write),
	KUNIT_CASE(retry_repeats_the_fault_as_tried),
	KUNIT_CASE(retry_leaves_the_mmap_lock_free),
	KUNIT_CASE(page_given_locked_comes_back_unlocked),
	KUNIT_CASE(written_page_comes_back_unlocked_and_dirty),
	KUNIT_CASE(fault_is_counted_as_minor),
	KUNIT_CASE(major_fault_is_counted_as_major),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_fault_code",
	.suite_init = mount_devices,
	.suite_exit = unmount_devices,
	.init = open_device,
	.exit = close_device,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what fault handlers return");
MODULE_LICENSE("GPL");
