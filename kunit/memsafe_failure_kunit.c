// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation behind a driver's open and setup fails once: the documented
 * error, nothing allocated or counted, and the next try works.
 */
#include <linux/fdtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_dev_file.h"
#include "memsafe_failing.h"
#include "memsafe_free_pages.h"

static struct file *open_again(void)
{
	return file_open_root_mnt(devices, MEMSAFE_DEV_NAME, O_RDWR, 0);
}

/* A buffer is for the life of its file: the next one takes another file. */
static struct file *reopen(struct kunit *test, struct file *file)
{
	if (file)
		__fput_sync(file);
	file = open_again();
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	return file;
}

static long set_up_again(struct kunit *test, struct file *file,
			 const struct memsafe_dev_setup *setup, struct sweep *sweep)
{
	struct dev_file *dev = test->priv;

	KUNIT_ASSERT_EQ(test, 0, copy_to_user((void __user *)dev->args, setup, sizeof(*setup)));
	return FAILING(sweep, file->f_op->unlocked_ioctl(file, MEMSAFE_DEV_SETUP, dev->args));
}

static int driver_users(struct kunit *test)
{
#ifdef MODULE
	const struct dev_file *dev = test->priv;

	return module_refcount(dev->file->f_op->owner);
#else
	return 0;
#endif
}

static void failed_open_is_enomem_and_leaves_no_user(struct kunit *test)
{
	/* The open file, and what the driver keeps with it. */
	struct sweep sweep = { .test = test, .required = 2 };
	const int users = driver_users(test);

	while (next_round(&sweep)) {
		struct file *file = FAILING(&sweep, open_again());

		judge_round(&sweep, -ENOMEM, PTR_ERR_OR_ZERO(file));
		if (!IS_ERR(file)) {
			KUNIT_EXPECT_EQ(test, users + !!users, driver_users(test));
			__fput_sync(file);
		}
		KUNIT_EXPECT_EQ_MSG(test, users, driver_users(test), "allocation %u", sweep.nth);
	}
	judge_sweep(&sweep);
}

struct memory {
	const char *name;
	u32 memory;
	u32 map;
	unsigned long npages;
	unsigned int required;
};

/*
 * The buffer, and its memory: of vmalloc() an area, its range and its pages, one
 * by one if they can't be had at once.
 */
static const struct memory memories[] = {
	{ "pages", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT, 64, 1 + 64 },
	{ "vmalloc", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_FAULT, 64, 1 + 2 },
	{ "kmalloc", MEMSAFE_DEV_KMALLOC, MEMSAFE_DEV_REMAP_PFN, 2, 1 + 1 },
	{ "kmalloc of many pages", MEMSAFE_DEV_KMALLOC, MEMSAFE_DEV_REMAP_PFN, 64, 1 + 1 },
};

static void describe_memory(const struct memory *memory, char *desc)
{
	strscpy(desc, memory->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(memory, memories, describe_memory);

/* The same open file is asked again until it can. */
static void failed_setup_is_enomem_and_counts_nothing(struct kunit *test)
{
	const struct memory *memory = test->param_value;
	const struct memsafe_dev_setup setup = {
		.size = memory->npages << PAGE_SHIFT,
		.memory = memory->memory,
		.map = memory->map,
	};
	const struct memsafe_dev_counters before = counters(test);
	struct sweep sweep = { .test = test, .required = memory->required };
	struct file *file = reopen(test, NULL);

	while (next_round(&sweep)) {
		long ret = set_up_again(test, file, &setup, &sweep);
		const struct memsafe_dev_counters after = counters(test);

		judge_round(&sweep, -ENOMEM, ret);
		KUNIT_EXPECT_EQ_MSG(test, before.all_buffers + !ret, after.all_buffers,
				    "allocation %u", sweep.nth);
		KUNIT_EXPECT_EQ_MSG(test, before.all_pages + (ret ? 0 : memory->npages),
				    after.all_pages, "allocation %u", sweep.nth);
		if (!ret)
			file = reopen(test, file);
	}
	__fput_sync(file);
	KUNIT_EXPECT_EQ(test, before.all_pages, counters(test).all_pages);
	judge_sweep(&sweep);
}

/*
 * The nth page fails when n - 1 are there.  Others take pages meanwhile, but not
 * as many as would be lost.
 */
static void failed_setup_gives_its_pages_back(struct kunit *test)
{
	enum { NPAGES = 64, LOSABLE = NPAGES * (NPAGES - 1) / 2 };
	const struct memsafe_dev_setup setup = {
		.size = NPAGES << PAGE_SHIFT,
		.memory = MEMSAFE_DEV_PAGES,
	};
	struct sweep sweep = { .test = test, .required = NPAGES };
	struct file *file = reopen(test, NULL);
	long before = count_free_pages();

	while (next_round(&sweep)) {
		long ret = set_up_again(test, file, &setup, &sweep);

		judge_round(&sweep, -ENOMEM, ret);
		if (!ret)
			file = reopen(test, file);
	}
	__fput_sync(file);

	KUNIT_EXPECT_LT(test, before - count_free_pages(), LOSABLE / 2);
	judge_sweep(&sweep);
}

static int suite_init(struct kunit_suite *suite)
{
	int err = failing_init(suite);

	return err ? err : mount_devices(suite);
}

static void suite_exit(struct kunit_suite *suite)
{
	unmount_devices(suite);
	failing_exit(suite);
}

static int case_init(struct kunit *test)
{
	skip_without_failing(test);
	return open_device(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(failed_open_is_enomem_and_leaves_no_user),
	KUNIT_CASE_PARAM(failed_setup_is_enomem_and_counts_nothing, memory_gen_params),
	KUNIT_CASE(failed_setup_gives_its_pages_back),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_failure",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.init = case_init,
	.exit = close_device,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of a driver whose allocations fail");
MODULE_LICENSE("GPL");
