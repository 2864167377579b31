/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A step of a driver, again and again, in which the first allocation fails, then
 * the second, and so on until none is left
 * (Documentation/fault-injection/fault-injection.rst).
 *
 *	struct sweep sweep = { .test = test, .required = 2 };
 *
 *	while (next_round(&sweep)) {
 *		ret = FAILING(&sweep, step());
 *		judge_round(&sweep, -ENOMEM, ret);
 *		...
 *	}
 *	judge_sweep(&sweep);
 *
 * The suite takes failing_init() and failing_exit() as its own, and each case
 * begins with skip_without_failing().
 */
#ifndef MEMSAFE_FAILING_H
#define MEMSAFE_FAILING_H

#include <kunit/test.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/sched.h>

/* No step here needs more allocations: a sweep that goes on has lost its way. */
enum { MAX_ALLOCATIONS = 1000, MAX_SWEEPS = 32 };

/*
 * The allocations of one step, failed one after the other.  Some come now and
 * then only, for a new slab or for what kmemleak notes: a sweep may step over
 * another one that moved by their number, and is done again.
 */
struct sweep {
	struct kunit *test;
	unsigned int required;	/* allocations that the step can't do without */
	unsigned int nth;	/* the one to fail in this round */
	bool failed;		/* there was one */
	unsigned int refused;	/* rounds of this sweep in which the step failed */
	unsigned int sweeps;
	unsigned int all_failed;
};

static inline void set_fail_nth(unsigned int nth)
{
#ifdef CONFIG_FAULT_INJECTION
	WRITE_ONCE(current->fail_nth, nth);
#endif
}

/* What is left of it: 0 when an allocation has failed. */
static inline unsigned int get_fail_nth(void)
{
#ifdef CONFIG_FAULT_INJECTION
	return READ_ONCE(current->fail_nth);
#else
	return 0;
#endif
}

/* The value of the act, in which the nth allocation fails. */
#define FAILING(sweep, act) ({							\
	typeof(act) __ret;							\
										\
	set_fail_nth((sweep)->nth);						\
	__ret = act;								\
	(sweep)->failed = !get_fail_nth();					\
	set_fail_nth(0);							\
	__ret;									\
})

/* False when a sweep has come to its end with what it had to find. */
static inline bool next_round(struct sweep *sweep)
{
	if (sweep->nth && !sweep->failed) {
		if (sweep->refused >= sweep->required || ++sweep->sweeps == MAX_SWEEPS)
			return false;
		sweep->nth = 0;
		sweep->refused = 0;
	}
	KUNIT_ASSERT_LT(sweep->test, sweep->nth, MAX_ALLOCATIONS);
	sweep->nth++;
	return true;
}

/* Without a failure the step succeeds, with one it may fail, in one way. */
static inline void judge_round(struct sweep *sweep, long error, long ret)
{
	struct kunit *test = sweep->test;

	sweep->all_failed += sweep->failed;
	if (!ret)
		return;
	sweep->refused++;

	KUNIT_EXPECT_EQ_MSG(test, error, ret, "allocation %u", sweep->nth);
	KUNIT_ASSERT_TRUE_MSG(test, sweep->failed, "refused although no allocation failed");
}

static inline void judge_sweep(struct sweep *sweep)
{
	struct kunit *test = sweep->test;

	KUNIT_EXPECT_GE(test, sweep->refused, sweep->required);
	kunit_info(test, "%u allocations failed, the last sweep was refused %u times\n",
		   sweep->all_failed, sweep->refused);
}

/*
 * What failslab and fail_page_alloc spare by default: allocations that may sleep,
 * high memory, and single pages.  By default they also say what they fail.
 */
static bool *spare_sleeping_slab, *spare_sleeping_pages, *spare_highmem;
static u32 *min_order;
static unsigned long *slab_verbose, *pages_verbose;

/* debugfs keeps a pointer to what a file shows; NULL where there is no such file. */
static inline void *find_setting(struct vfsmount *debugfs, const char *path)
{
	struct file *file = file_open_root_mnt(debugfs, path, O_RDONLY, 0);
	void *setting;

	if (IS_ERR(file))
		return NULL;
	setting = file_inode(file)->i_private;
	fput(file);
	return setting;
}

static inline int find_settings(void)
{
	struct file_system_type *type = get_fs_type("debugfs");
	struct vfsmount *debugfs;

	if (!type)
		return 0;
	debugfs = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(debugfs))
		return PTR_ERR(debugfs);
	spare_sleeping_slab = find_setting(debugfs, "failslab/ignore-gfp-wait");
	spare_sleeping_pages = find_setting(debugfs, "fail_page_alloc/ignore-gfp-wait");
	spare_highmem = find_setting(debugfs, "fail_page_alloc/ignore-gfp-highmem");
	min_order = find_setting(debugfs, "fail_page_alloc/min-order");
	slab_verbose = find_setting(debugfs, "failslab/verbose");
	pages_verbose = find_setting(debugfs, "fail_page_alloc/verbose");
	kern_unmount(debugfs);
	return 0;
}

static inline bool has_settings(void)
{
	return spare_sleeping_slab && spare_sleeping_pages && spare_highmem && min_order &&
	       slab_verbose && pages_verbose;
}

static inline void spare_allocations(bool spare)
{
	if (!has_settings())
		return;
	*spare_sleeping_slab = spare;
	*spare_sleeping_pages = spare;
	*spare_highmem = spare;
	*min_order = spare;
	*slab_verbose = *pages_verbose = spare ? 2 : 0;
}

static inline int failing_init(struct kunit_suite *suite)
{
	int err = find_settings();

	if (!err)
		spare_allocations(false);
	return err;
}

static inline void failing_exit(struct kunit_suite *suite)
{
	spare_allocations(true);
}

static inline void skip_without_failing(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_FAILSLAB))
		kunit_skip(test, "needs CONFIG_FAILSLAB=y");
	if (!IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC))
		kunit_skip(test, "needs CONFIG_FAIL_PAGE_ALLOC=y");
	if (!has_settings())
		kunit_skip(test, "needs CONFIG_FAULT_INJECTION_DEBUG_FS=y");
}

#endif
