// SPDX-License-Identifier: GPL-2.0
/*
 * What vmalloc() takes is counted while it is held and no longer: /proc/meminfo
 * in VmallocUsed, /proc/vmallocinfo with size, pages, use and caller of the area
 * (Documentation/filesystems/proc.rst).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "memsafe_block.h"
#include "memsafe_proc_file.h"

enum { NPAGES = 37 };

/* The ways to take NPAGES pages, and how an area of each is shown. */
struct way {
	const char *name;
	void *(*take)(void);
	const char *use;
};

/* The callers that /proc/vmallocinfo must name: no tail calls, no inlining. */
static noinline void *memsafe_take_vmalloc(void)
{
	void *area = vmalloc(NPAGES * PAGE_SIZE);

	barrier();
	return area;
}

static noinline void *memsafe_take_vzalloc(void)
{
	void *area = vzalloc(NPAGES * PAGE_SIZE - 1);

	barrier();
	return area;
}

static noinline void *memsafe_take_user(void)
{
	void *area = vmalloc_user(NPAGES * PAGE_SIZE);

	barrier();
	return area;
}

static const struct way way[] = {
	{ "memsafe_take_vmalloc", memsafe_take_vmalloc, "vmalloc" },
	{ "memsafe_take_vzalloc", memsafe_take_vzalloc, "vmalloc" },
	{ "memsafe_take_user", memsafe_take_user, "vmalloc user" },
};

static void describe_way(const struct way *way, char *desc)
{
	strscpy(desc, way->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(way, way, describe_way);

/* VmallocUsed in pages, or a negative error. */
static long pages_used(struct kunit *test)
{
	char *text = proc_text(test, "meminfo"), *line;
	long kib;

	line = text ? strstr(text, "VmallocUsed:") : NULL;
	if (!line || sscanf(line, "VmallocUsed: %ld kB", &kib) != 1)
		kib = -EINVAL;
	kunit_kfree(test, text);
	return kib < 0 ? kib : kib / (long)(PAGE_SIZE / SZ_1K);
}

/* Others allocate too: only two readings without them tell about us. */
static void used_rises_by_the_pages_of_the_area(struct kunit *test)
{
	const struct way *way = test->param_value;
	long delta = 0;
	int tries;

	skip_without_proc_file(test, "meminfo");
	for (tries = 0; tries < TRIES && delta != NPAGES; tries++) {
		long before = pages_used(test);
		void *area = way->take();

		KUNIT_ASSERT_NOT_NULL(test, area);
		delta = pages_used(test) - before;
		vfree(area);
		KUNIT_ASSERT_GE(test, before, 0);
	}
	KUNIT_EXPECT_EQ(test, NPAGES, delta);
}

static void used_falls_by_the_pages_of_the_area(struct kunit *test)
{
	const struct way *way = test->param_value;
	long delta = 0;
	int tries;

	skip_without_proc_file(test, "meminfo");
	for (tries = 0; tries < TRIES && delta != NPAGES; tries++) {
		void *area = way->take();
		long before = pages_used(test);

		KUNIT_ASSERT_NOT_NULL(test, area);
		vfree(area);
		delta = before - pages_used(test);
		KUNIT_ASSERT_GE(test, before, 0);
	}
	KUNIT_EXPECT_EQ(test, NPAGES, delta);
}

/* Pages that vmap() was only lent are no memory of vmalloc()'s. */
static void used_does_not_count_mapped_pages(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);
	struct page *pages[NPAGES];
	long delta = NPAGES;
	int i, tries;

	skip_without_proc_file(test, "meminfo");
	KUNIT_ASSERT_NOT_NULL(test, block);
	for (i = 0; i < NPAGES; i++)
		pages[i] = block->page;

	for (tries = 0; tries < TRIES && delta; tries++) {
		long before = pages_used(test);
		void *area = vmap(pages, NPAGES, VM_MAP, PAGE_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, area);
		delta = pages_used(test) - before;
		vunmap(area);
	}
	KUNIT_EXPECT_EQ(test, 0, delta);
}

/* The line of the area that this function has taken, or NULL; cuts it out of @text. */
static char *find_area(char *text, const char *caller)
{
	char *line;

	while (text && (line = strsep(&text, "\n"))) {
		char *at = strstr(line, caller);

		if (at && at[-1] == ' ' && at[strlen(caller)] == '+')
			return line;
	}
	return NULL;
}

static void held_area_is_listed_with_its_caller(struct kunit *test)
{
	const struct way *way = test->param_value;
	char expected[48], *text, *line;
	long bytes = 0;
	void *area;

	skip_without_proc_file(test, "vmallocinfo");
	area = way->take();
	KUNIT_ASSERT_NOT_NULL(test, area);
	text = proc_text(test, "vmallocinfo");
	vfree(area);
	KUNIT_ASSERT_NOT_NULL(test, text);

	line = find_area(text, way->name);

	KUNIT_ASSERT_NOT_NULL(test, line);
	snprintf(expected, sizeof(expected), "pages=%d %s", NPAGES, way->use);
	KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(line, expected), "no \"%s\" in: %s", expected, line);
	/* The guard page belongs to the area. */
	KUNIT_EXPECT_EQ(test, 1, sscanf(line, "%*s %ld", &bytes));
	KUNIT_EXPECT_EQ(test, (NPAGES + 1) * PAGE_SIZE, bytes);
}

static void freed_area_is_no_longer_listed(struct kunit *test)
{
	const struct way *way = test->param_value;
	char *text;
	void *area;

	skip_without_proc_file(test, "vmallocinfo");
	area = way->take();
	KUNIT_ASSERT_NOT_NULL(test, area);

	vfree(area);

	text = proc_text(test, "vmallocinfo");
	KUNIT_ASSERT_NOT_NULL(test, text);
	KUNIT_EXPECT_NULL(test, find_area(text, way->name));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(used_rises_by_the_pages_of_the_area, way_gen_params),
	KUNIT_CASE_PARAM(used_falls_by_the_pages_of_the_area, way_gen_params),
	KUNIT_CASE(used_does_not_count_mapped_pages),
	KUNIT_CASE_PARAM(held_area_is_listed_with_its_caller, way_gen_params),
	KUNIT_CASE_PARAM(freed_area_is_no_longer_listed, way_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_vmalloc_info",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what the kernel says of vmalloc areas");
MODULE_LICENSE("GPL");
