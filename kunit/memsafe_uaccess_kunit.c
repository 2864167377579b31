// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel reads and writes user memory up to the byte that can't be, says how many
 * bytes are left, and touches nothing else; an address of its own is no user's
 * (include/linux/uaccess.h, lib/usercopy.c, lib/strncpy_from_user.c, mm/maccess.c).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "memsafe_user.h"

enum { INSIDE = 100, AROUND = 0xee };

struct memory {
	unsigned long user;	/* two pages; nothing is mapped behind them */
	u8 *kernel;		/* two pages of AROUND */
};

static void free_kernel(void *kernel)
{
	vfree(kernel);
}

static int case_init(struct kunit *test)
{
	struct memory *memory = kunit_kzalloc(test, sizeof(*memory), GFP_KERNEL);
	unsigned long at;

	if (!memory)
		return -ENOMEM;
	at = user_map(test, NULL, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(at))
		return (long)at;
	if (vm_munmap(at + 2 * PAGE_SIZE, PAGE_SIZE))
		return -EINVAL;
	memory->user = at;
	memory->kernel = vmalloc(2 * PAGE_SIZE);
	if (!memory->kernel)
		return -ENOMEM;
	if (kunit_add_action_or_reset(test, free_kernel, memory->kernel))
		return -ENOMEM;
	memset(memory->kernel, AROUND, 2 * PAGE_SIZE);
	test->priv = memory;
	return 0;
}

/* A byte that could be copied may be left when its word could not. */
static void copy_to_user_ends_at_the_end(struct kunit *test)
{
	struct memory *memory = test->priv;
	unsigned long end = memory->user + 2 * PAGE_SIZE;
	unsigned long left, at;

	left = copy_to_user((void __user *)(end - INSIDE), memory->kernel, INSIDE + 50);

	KUNIT_EXPECT_GE(test, left, 50);
	KUNIT_EXPECT_LT(test, left, 50 + 8);
	KUNIT_EXPECT_EQ(test, 0, user_peek(end - INSIDE - 1));
	for (at = end - INSIDE; at < end + 50 - left; at++)
		KUNIT_EXPECT_EQ(test, AROUND, user_peek(at));
}

static void copy_from_user_ends_at_the_end(struct kunit *test)
{
	struct memory *memory = test->priv;
	unsigned long end = memory->user + 2 * PAGE_SIZE;
	unsigned long left;

	left = copy_from_user(memory->kernel, (void __user *)(end - INSIDE), INSIDE + 50);

	KUNIT_EXPECT_GE(test, left, 50);
	KUNIT_EXPECT_LT(test, left, 50 + 8);
	/* What could not be read is zero, so that no old byte is taken for a new one. */
	KUNIT_EXPECT_NULL(test, memchr_inv(memory->kernel, 0, INSIDE + 50));
	KUNIT_EXPECT_NULL(test, memchr_inv(memory->kernel + INSIDE + 50, AROUND, PAGE_SIZE));
}

/* memdup_user() gives all or nothing. */
static void copy_of_what_is_not_all_there_is_efault(struct kunit *test)
{
	struct memory *memory = test->priv;
	unsigned long end = memory->user + 2 * PAGE_SIZE;
	void *copy;

	copy = memdup_user((void __user *)(end - INSIDE), INSIDE + 1);
	KUNIT_EXPECT_EQ(test, -EFAULT, PTR_ERR_OR_ZERO(copy));
	if (!IS_ERR(copy))
		kfree(copy);

	copy = memdup_user((void __user *)(end - INSIDE), INSIDE);
	KUNIT_ASSERT_FALSE(test, IS_ERR(copy));
	KUNIT_EXPECT_NULL(test, memchr_inv(copy, 0, INSIDE));
	kfree(copy);
}

static void clear_user_clears_its_range_only(struct kunit *test)
{
	struct memory *memory = test->priv;
	unsigned long end = memory->user + 2 * PAGE_SIZE;

	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)memory->user, memory->kernel,
					      2 * PAGE_SIZE));

	KUNIT_EXPECT_EQ(test, 0, clear_user((void __user *)(end - INSIDE), INSIDE - 1));
	KUNIT_EXPECT_EQ(test, AROUND, user_peek(end - INSIDE - 1));
	KUNIT_EXPECT_EQ(test, 0, user_peek(end - INSIDE));
	KUNIT_EXPECT_EQ(test, 0, user_peek(end - 2));
	KUNIT_EXPECT_EQ(test, AROUND, user_peek(end - 1));
	KUNIT_EXPECT_GE(test, clear_user((void __user *)(end - 1), 1 + 50), 50);
}

static void string_ends_at_its_zero_or_its_limit(struct kunit *test)
{
	struct memory *memory = test->priv;
	unsigned long end = memory->user + 2 * PAGE_SIZE;
	char text[16];

	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)(end - 6), "hello", 6));

	memset(text, AROUND, sizeof(text));
	KUNIT_EXPECT_EQ(test, 5, strncpy_from_user(text, (char __user *)(end - 6), sizeof(text)));
	KUNIT_EXPECT_STREQ(test, "hello", text);
	KUNIT_EXPECT_NULL(test, memchr_inv(text + 8, AROUND, sizeof(text) - 8));
	memset(text, AROUND, sizeof(text));
	KUNIT_EXPECT_EQ(test, 3, strncpy_from_user(text, (char __user *)(end - 6), 3));
	KUNIT_EXPECT_EQ(test, 0, memcmp(text, "hel", 3));
	KUNIT_EXPECT_NULL(test, memchr_inv(text + 3, AROUND, sizeof(text) - 3));
	KUNIT_EXPECT_EQ(test, 6, strnlen_user((char __user *)(end - 6), sizeof(text)));
	KUNIT_EXPECT_GT(test, strnlen_user((char __user *)(end - 6), 3), 3);
}

static void string_without_an_end_is_efault(struct kunit *test)
{
	struct memory *memory = test->priv;
	unsigned long end = memory->user + 2 * PAGE_SIZE;
	char text[16];

	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)(end - 5), "hello", 5));

	KUNIT_EXPECT_EQ(test, -EFAULT,
			strncpy_from_user(text, (char __user *)(end - 5), sizeof(text)));
	KUNIT_EXPECT_EQ(test, 0, strnlen_user((char __user *)(end - 5), sizeof(text)));
	KUNIT_EXPECT_EQ(test, 5, strncpy_from_user(text, (char __user *)(end - 5), 5));
}

/* Whoever passes an address of the kernel gets nothing through a system call. */
static void kernel_address_is_no_users(struct kunit *test)
{
	struct memory *memory = test->priv;
	u8 *mine = memory->kernel + PAGE_SIZE;
	u8 value = 1;

	if (IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs a kernel beside its programs (not UML)");

	KUNIT_EXPECT_EQ(test, 10, copy_to_user((void __user *)mine, memory->kernel, 10));
	KUNIT_EXPECT_EQ(test, 10, copy_from_user(memory->kernel, (void __user *)mine, 10));
	KUNIT_EXPECT_EQ(test, 10, clear_user((void __user *)mine, 10));
	KUNIT_EXPECT_EQ(test, -EFAULT, get_user(value, (u8 __user *)mine));
	KUNIT_EXPECT_EQ(test, -EFAULT, put_user(value, (u8 __user *)mine));
	KUNIT_EXPECT_EQ(test, -EFAULT, copy_to_user_nofault((void __user *)mine, &value, 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, copy_from_user_nofault(&value, (void __user *)mine, 1));
	KUNIT_EXPECT_FALSE(test, access_ok((void __user *)mine, 1));
	KUNIT_EXPECT_NULL(test, memchr_inv(mine, AROUND, PAGE_SIZE));
}

static void range_that_reaches_the_kernel_is_no_users(struct kunit *test)
{
	struct memory *memory = test->priv;

	if (IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs a kernel beside its programs (not UML)");

	KUNIT_EXPECT_TRUE(test, access_ok((void __user *)memory->user, 2 * PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, access_ok((void __user *)memory->user, -memory->user - 1));
	KUNIT_EXPECT_FALSE(test, access_ok((void __user *)memory->user, ULONG_MAX));
}

/* The other way round: for addresses that may be anything. */
static void nofault_reads_what_is_mapped_in_the_kernel_only(struct kunit *test)
{
	struct memory *memory = test->priv;
	u8 *kernel = memory->kernel;
	u8 bytes[8] = {};

	KUNIT_EXPECT_EQ(test, 0, copy_from_kernel_nofault(bytes, kernel, sizeof(bytes)));
	KUNIT_EXPECT_EQ(test, AROUND, bytes[0]);
	KUNIT_EXPECT_EQ(test, AROUND, bytes[7]);
	/* vmalloc has a guard page behind each area. */
	if (!IS_ENABLED(CONFIG_UML))
		KUNIT_EXPECT_EQ(test, -EFAULT,
				copy_from_kernel_nofault(bytes, kernel + 2 * PAGE_SIZE, 8));
	if (IS_ENABLED(CONFIG_X86))
		KUNIT_EXPECT_EQ(test, -ERANGE,
				copy_from_kernel_nofault(bytes, (void *)memory->user, 8));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(copy_to_user_ends_at_the_end),
	KUNIT_CASE(copy_from_user_ends_at_the_end),
	KUNIT_CASE(copy_of_what_is_not_all_there_is_efault),
	KUNIT_CASE(clear_user_clears_its_range_only),
	KUNIT_CASE(string_ends_at_its_zero_or_its_limit),
	KUNIT_CASE(string_without_an_end_is_efault),
	KUNIT_CASE(kernel_address_is_no_users),
	KUNIT_CASE(range_that_reaches_the_kernel_is_no_users),
	KUNIT_CASE(nofault_reads_what_is_mapped_in_the_kernel_only),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_uaccess",
	.init = case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the kernel's access to user memory");
MODULE_LICENSE("GPL");
