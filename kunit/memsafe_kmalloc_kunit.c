// SPDX-License-Identifier: GPL-2.0
/*
 * kmalloc() gives as many bytes as asked, aligned as Documentation/core-api/
 * memory-allocation.rst says, to no one else; krealloc() keeps the content; and
 * sizes that are nothing, too much or overflow give no memory.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>

#define MEMSAFE_SUITE "memsafe_kmalloc"
#include "memsafe_report.h"

enum { MANY = 16 };

/* Each size class, and beyond the largest one. */
static const size_t size_class[] = {
	8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536,
};

static void describe_size(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}
KUNIT_ARRAY_PARAM(size_class, size_class, describe_size);

/* Objects of one size that a case holds. */
struct stock {
	u8 *object[MANY];
};

static void free_stock(void *ctx)
{
	struct stock *stock = ctx;
	int i;

	for (i = 0; i < MANY; i++)
		kfree(stock->object[i]);
}

static struct stock *fill_stock(struct kunit *test, size_t size)
{
	struct stock *stock = kunit_kzalloc(test, sizeof(*stock), GFP_KERNEL);
	int i;

	if (!stock || kunit_add_action_or_reset(test, free_stock, stock))
		return NULL;
	for (i = 0; i < MANY; i++) {
		stock->object[i] = kmalloc(size, GFP_KERNEL);
		if (!stock->object[i])
			return NULL;
	}
	return stock;
}

static void object_is_aligned_to_its_power_of_two(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	size_t align = is_power_of_2(size) ? max_t(size_t, size, ARCH_KMALLOC_MINALIGN) :
					     ARCH_KMALLOC_MINALIGN;
	struct stock *stock = fill_stock(test, size);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, stock);

	for (i = 0; i < MANY; i++)
		KUNIT_EXPECT_TRUE_MSG(test, IS_ALIGNED((unsigned long)stock->object[i], align),
				      "object %d at %px", i, stock->object[i]);
}

static void each_object_keeps_its_bytes(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	struct stock *stock = fill_stock(test, size);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, stock);
	for (i = 0; i < MANY; i++)
		memset(stock->object[i], 'a' + i, size);

	for (i = 0; i < MANY; i++)
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(stock->object[i], 'a' + i, size),
				      "object %d", i);
}

/* One byte less, or more than the class below: as large as asked, or larger. */
static void ksize_is_what_was_asked_or_more(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	void *whole = kmalloc(size, GFP_KERNEL), *less = kmalloc(size - 1, GFP_KERNEL);

	KUNIT_EXPECT_GE(test, ksize(whole), size);
	KUNIT_EXPECT_GE(test, ksize(less), size - 1);
	KUNIT_EXPECT_LE(test, ksize(less), ksize(whole));
	kfree(whole);
	kfree(less);
}

static void zeroed_object_is_zero_to_its_end(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	struct stock *dirty = fill_stock(test, size);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, dirty);
	for (i = 0; i < MANY; i++)
		memset(dirty->object[i], 0x5a, size);
	kunit_release_action(test, free_stock, dirty);

	for (i = 0; i < MANY; i++) {
		u8 *object = kzalloc(size, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, object);
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(object, 0, size), "object %d", i);
		kfree(object);
	}
}

/* What a resize goes from and to: within a class, across some, into whole pages. */
struct resize {
	size_t from, to;
};

static const struct resize resizes[] = {
	{ 24, 31 }, { 24, 33 }, { 100, 5000 }, { 5000, 100 }, { 33, 24 },
	{ 64, 4 * KMALLOC_MAX_CACHE_SIZE }, { 4 * KMALLOC_MAX_CACHE_SIZE, 64 },
};

static void describe_resize(const struct resize *resize, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu to %zu bytes", resize->from, resize->to);
}
KUNIT_ARRAY_PARAM(resize, resizes, describe_resize);

static void krealloc_keeps_the_content(struct kunit *test)
{
	const struct resize *resize = test->param_value;
	u8 *object = kmalloc(resize->from, GFP_KERNEL), *resized;
	size_t i, kept = min(resize->from, resize->to);

	KUNIT_ASSERT_NOT_NULL(test, object);
	for (i = 0; i < resize->from; i++)
		object[i] = i % 251;

	resized = krealloc(object, resize->to, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, resized);
	KUNIT_EXPECT_GE(test, ksize(resized), resize->to);
	for (i = 0; i < kept && resized[i] == i % 251; i++)
		;
	KUNIT_EXPECT_EQ(test, kept, i);
	memset(resized, 0, resize->to);
	kfree(resized);
}

static const size_t too_large[] = {
	(size_t)KMALLOC_MAX_SIZE + 1, SIZE_MAX / 2, SIZE_MAX - PAGE_SIZE, SIZE_MAX,
};
KUNIT_ARRAY_PARAM(too_large, too_large, describe_size);

static void failed_krealloc_leaves_the_object_alone(struct kunit *test)
{
	static const u8 text[] = "still here";
	u8 *object = kmemdup(text, sizeof(text), GFP_KERNEL), *resized;
	size_t size = *(const size_t *)test->param_value;

	KUNIT_ASSERT_NOT_NULL(test, object);

	resized = krealloc(object, size, GFP_KERNEL | __GFP_NOWARN);

	KUNIT_EXPECT_NULL(test, resized);
	KUNIT_EXPECT_EQ(test, 0, memcmp(text, object, sizeof(text)));
	kfree(object);
}

/* Linux 6.12: "if __GFP_ZERO logic is requested" in krealloc()'s own comment. */
static void zeroing_krealloc_gives_no_old_byte_back(struct kunit *test)
{
	u8 *object = kzalloc(64, GFP_KERNEL);

	if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)) {
		kfree(object);
		kunit_skip(test, "needs krealloc() of Linux 6.12");
	}
	KUNIT_ASSERT_NOT_NULL(test, object);
	memset(object, 0x5a, 64);

	object = krealloc(object, 16, GFP_KERNEL | __GFP_ZERO);
	object = krealloc(object, 64, GFP_KERNEL | __GFP_ZERO);

	KUNIT_EXPECT_NULL(test, memchr_inv(object, 0x5a, 16));
	KUNIT_EXPECT_NULL(test, memchr_inv(object + 16, 0, 64 - 16));
	kfree(object);
}

/* A pointer that is not NULL, and that nobody may look behind. */
static void nothing_is_the_zero_pointer(struct kunit *test)
{
	void *object = kmalloc(8, GFP_KERNEL), *nothing;

	KUNIT_ASSERT_NOT_NULL(test, object);

	/* gcc knows how kmalloc() aligns, and takes no other pointer for its. */
	nothing = kmalloc(0, GFP_KERNEL);
	OPTIMIZER_HIDE_VAR(nothing);
	KUNIT_EXPECT_PTR_EQ(test, ZERO_SIZE_PTR, nothing);
	nothing = krealloc(object, 0, GFP_KERNEL);
	OPTIMIZER_HIDE_VAR(nothing);
	KUNIT_EXPECT_PTR_EQ(test, ZERO_SIZE_PTR, nothing);
	KUNIT_EXPECT_EQ(test, 0, ksize(ZERO_SIZE_PTR));
}

static void free_of_nothing_is_silent(struct kunit *test)
{
	skip_without_console(test);

	EXPECT_NO_REPORT(test, kfree(NULL));
	EXPECT_NO_REPORT(test, kfree(ZERO_SIZE_PTR));
}

static void too_large_a_size_is_refused_silently_with_nowarn(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	void *object = ERR_PTR(-EINVAL);

	skip_without_console(test);

	EXPECT_NO_REPORT(test, object = kmalloc(size, GFP_KERNEL | __GFP_NOWARN));

	KUNIT_EXPECT_NULL(test, object);
}

/* Two factors whose product is 8 or 16 in a size_t. */
struct product {
	const char *name;
	size_t n, size;
};

static const struct product products[] = {
	{ "n overflows", SIZE_MAX / 8 + 2, 8 },
	{ "size overflows", 16, SIZE_MAX / 16 + 2 },
	{ "both halves", (size_t)1 << (BITS_PER_LONG / 2), ((size_t)1 << (BITS_PER_LONG / 2)) },
};

static void describe_product(const struct product *product, char *desc)
{
	strscpy(desc, product->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(product, products, describe_product);

static void overflowing_array_is_refused(struct kunit *test)
{
	const struct product *product = test->param_value;
	void *object = kmalloc(8, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, object);

	KUNIT_EXPECT_NULL(test, kmalloc_array(product->n, product->size, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, kcalloc(product->n, product->size, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, kvmalloc_array(product->n, product->size, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, krealloc_array(object, product->n, product->size, GFP_KERNEL));
	kfree(object);
}

static void overflowing_structure_is_refused(struct kunit *test)
{
	struct flexible {
		unsigned long head;
		u64 tail[];
	} *object = NULL;
	size_t nr = READ_ONCE(products[0].n), size = struct_size(object, tail, nr);

	KUNIT_EXPECT_EQ(test, SIZE_MAX, size);
	KUNIT_EXPECT_NULL(test, kmalloc(size, GFP_KERNEL | __GFP_NOWARN));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(object_is_aligned_to_its_power_of_two, size_class_gen_params),
	KUNIT_CASE_PARAM(each_object_keeps_its_bytes, size_class_gen_params),
	KUNIT_CASE_PARAM(ksize_is_what_was_asked_or_more, size_class_gen_params),
	KUNIT_CASE_PARAM(zeroed_object_is_zero_to_its_end, size_class_gen_params),
	KUNIT_CASE_PARAM(krealloc_keeps_the_content, resize_gen_params),
	KUNIT_CASE_PARAM(failed_krealloc_leaves_the_object_alone, too_large_gen_params),
	KUNIT_CASE(zeroing_krealloc_gives_no_old_byte_back),
	KUNIT_CASE(nothing_is_the_zero_pointer),
	KUNIT_CASE(free_of_nothing_is_silent),
	KUNIT_CASE_PARAM(too_large_a_size_is_refused_silently_with_nowarn, too_large_gen_params),
	KUNIT_CASE_PARAM(overflowing_array_is_refused, product_gen_params),
	KUNIT_CASE(overflowing_structure_is_refused),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of kmalloc and its relatives");
MODULE_LICENSE("GPL");
