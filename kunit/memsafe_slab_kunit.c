// SPDX-License-Identifier: GPL-2.0
/*
 * A cache gives aligned objects that its constructor has seen and no one else
 * holds, shows them in /proc/slabinfo, and has none when all have returned
 * (include/linux/slab.h, Documentation/mm/slab.rst).
 */
#include <kunit/test.h>
#include <linux/cache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>

#define MEMSAFE_SUITE "memsafe_slab"
#include "memsafe_report.h"
#include "memsafe_user.h"

#define CACHE_NAME	"memsafe_slab"

enum { OBJECT_BYTES = 72, MANY = 100, MAX_TAKEN = 2 * MANY };

struct object {
	unsigned long made;	/* by the constructor */
	u8 data[OBJECT_BYTES - sizeof(unsigned long)];
};

#define MADE 0x6d656d73UL

static int nr_made;

/* A cache with a constructor shares its slabs with no other cache. */
static void construct(void *start)
{
	struct object *object = start;

	object->made = MADE;
	nr_made++;
}

/* A cache and the objects that a case has taken from it. */
struct stock {
	struct kmem_cache *cache;
	void *object[MAX_TAKEN];
	int nr;
};

static bool take(struct stock *stock, int nr, gfp_t gfp)
{
	for (; nr; nr--) {
		void *object = kmem_cache_alloc(stock->cache, gfp);

		if (!object)
			return false;
		stock->object[stock->nr++] = object;
	}
	return true;
}

/* Each step-th object, from the last on; the others stay. */
static void put_back(struct stock *stock, int step)
{
	int i, kept = 0;

	for (i = 0; i < stock->nr; i++) {
		if ((stock->nr - 1 - i) % step)
			stock->object[kept++] = stock->object[i];
		else
			kmem_cache_free(stock->cache, stock->object[i]);
	}
	stock->nr = kept;
}

static void close_stock(void *ctx)
{
	struct stock *stock = ctx;

	put_back(stock, 1);
	kmem_cache_destroy(stock->cache);
}

static struct stock *open_stock(struct kunit *test, unsigned int align, slab_flags_t flags,
				void (*constructor)(void *))
{
	struct stock *stock = kunit_kzalloc(test, sizeof(*stock), GFP_KERNEL);

	if (!stock)
		return NULL;
	stock->cache = kmem_cache_create(CACHE_NAME, OBJECT_BYTES, align, flags, constructor);
	if (!stock->cache || kunit_add_action_or_reset(test, close_stock, stock))
		return NULL;
	return stock;
}

/* A line of /proc/slabinfo. */
struct slabinfo {
	unsigned long active_objs, num_objs;
	unsigned int objsize;
};

enum { SLABINFO_BYTES = 1 << 18 };

/* Reads with ->read, which wants user memory. */
static ssize_t read_file(struct kunit *test, struct file *file, char *text, size_t len)
{
	unsigned long user = user_map(test, NULL, len, PROT_READ | PROT_WRITE,
				      MAP_ANONYMOUS | MAP_PRIVATE, 0);
	ssize_t part = 1;
	loff_t pos = 0;

	if (IS_ERR_VALUE(user) || !file->f_op->read)
		return -EINVAL;
	while (part > 0 && pos < len)
		part = file->f_op->read(file, (char __user *)user + pos, len - pos, &pos);
	if (part < 0)
		return part;
	return copy_from_user(text, (char __user *)user, pos) ? -EFAULT : pos;
}

static ssize_t read_proc(struct kunit *test, const char *path, char *text, size_t len)
{
	struct file_system_type *type = get_fs_type("proc");
	struct vfsmount *mount = type ? kern_mount(type) : ERR_PTR(-ENOENT);
	struct file *file;
	ssize_t ret;

	if (type)
		module_put(type->owner);
	if (IS_ERR(mount))
		return PTR_ERR(mount);
	file = file_open_root_mnt(mount, path, O_RDONLY, 0);
	if (IS_ERR(file)) {
		kern_unmount(mount);
		return PTR_ERR(file);
	}
	ret = read_file(test, file, text, len);
	fput(file);
	kern_unmount(mount);
	return ret;
}

/*
 * False if there is no such cache.  Shrinking it first empties KASAN's quarantine
 * and the lists of the CPUs, whose free objects count as active.
 */
static bool find_in_slabinfo(struct kunit *test, struct kmem_cache *cache, struct slabinfo *info)
{
	char *text = kunit_kzalloc(test, SLABINFO_BYTES, GFP_KERNEL), *line;
	ssize_t len;

	KUNIT_ASSERT_NOT_NULL(test, text);
	if (cache)
		kmem_cache_shrink(cache);
	len = read_proc(test, "slabinfo", text, SLABINFO_BYTES - 1);
	if (len == -ENOENT)
		kunit_skip(test, "needs /proc/slabinfo");
	KUNIT_ASSERT_GT(test, len, 0);

	line = strstr(text, "\n" CACHE_NAME " ");
	return line && sscanf(line, "\n%*s %lu %lu %u", &info->active_objs, &info->num_objs,
			      &info->objsize) == 3;
}

static void objects_show_in_slabinfo(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, 0, construct);
	struct slabinfo info = {};

	KUNIT_ASSERT_NOT_NULL(test, stock);
	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));

	KUNIT_ASSERT_TRUE(test, find_in_slabinfo(test, stock->cache, &info));

	KUNIT_EXPECT_EQ(test, MANY, info.active_objs);
	KUNIT_EXPECT_GE(test, info.num_objs, MANY);
	KUNIT_EXPECT_GE(test, info.objsize, OBJECT_BYTES);
	KUNIT_EXPECT_EQ(test, OBJECT_BYTES, kmem_cache_size(stock->cache));
}

static void freed_objects_leave_slabinfo(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, 0, construct);
	struct slabinfo info = {};

	KUNIT_ASSERT_NOT_NULL(test, stock);
	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));

	put_back(stock, 2);
	KUNIT_ASSERT_TRUE(test, find_in_slabinfo(test, stock->cache, &info));
	KUNIT_EXPECT_EQ(test, MANY / 2, info.active_objs);

	put_back(stock, 1);
	KUNIT_ASSERT_TRUE(test, find_in_slabinfo(test, stock->cache, &info));
	KUNIT_EXPECT_EQ(test, 0, info.active_objs);
	KUNIT_EXPECT_EQ(test, 0, info.num_objs);
}

static void destroyed_cache_leaves_slabinfo_silently(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, 0, construct);
	struct slabinfo info;

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, stock);
	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));
	KUNIT_ASSERT_TRUE(test, find_in_slabinfo(test, stock->cache, &info));

	EXPECT_NO_REPORT(test, kunit_release_action(test, close_stock, stock));

	KUNIT_EXPECT_FALSE(test, find_in_slabinfo(test, NULL, &info));
}

/*
 * SLUB counts its errors for a test that has such a resource, instead of printing
 * them: one for the slab, and one for each object in it that is missing.
 */
static void destroy_reports_each_object_that_is_left(struct kunit *test)
{
	enum { LEFT = 3 };
	static struct kunit_resource resource;
	struct kmem_cache *cache;
	void *object[LEFT] = {};
	int i, errors = 0;

	if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0))
		kunit_skip(test, "needs a cache that is gone with objects left, v6.12");
	if (!IS_ENABLED(CONFIG_SLUB_DEBUG))
		kunit_skip(test, "needs CONFIG_SLUB_DEBUG=y");
	cache = kmem_cache_create("memsafe_slab_left", OBJECT_BYTES, 0, 0, construct);
	KUNIT_ASSERT_NOT_NULL(test, cache);
	for (i = 0; i < LEFT; i++)
		object[i] = kmem_cache_alloc(cache, GFP_KERNEL);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_named_resource(test, NULL, NULL, &resource,
							  "slab_errors", &errors));

	kmem_cache_destroy(cache);

	kunit_remove_resource(test, &resource);
	KUNIT_EXPECT_EQ(test, 1 + LEFT, errors);

	/* What names the cache stays for ever, as it is still needed for this. */
	kmemleak_not_leak(cache);
	for (i = 0; i < LEFT; i++)
		kmem_cache_free(cache, object[i]);
}

static void constructor_has_seen_each_object(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, 0, construct);
	int i, before = nr_made;

	KUNIT_ASSERT_NOT_NULL(test, stock);

	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));

	for (i = 0; i < stock->nr; i++) {
		const struct object *object = stock->object[i];

		KUNIT_EXPECT_EQ_MSG(test, MADE, object->made, "object %d", i);
	}
	KUNIT_EXPECT_GE(test, nr_made - before, MANY);
}

struct alignment {
	const char *name;
	unsigned int align;
	slab_flags_t flags;
	unsigned long expected;
};

static const struct alignment alignments[] = {
	{ "16", 16, 0, 16 },
	{ "64", 64, 0, 64 },
	{ "256", 256, 0, 256 },
	{ "1024", 1024, 0, 1024 },
	{ "cache line", 0, SLAB_HWCACHE_ALIGN, SMP_CACHE_BYTES },
};

static void describe_alignment(const struct alignment *alignment, char *desc)
{
	strscpy(desc, alignment->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(alignment, alignments, describe_alignment);

static void each_object_is_aligned(struct kunit *test)
{
	const struct alignment *alignment = test->param_value;
	struct stock *stock = open_stock(test, alignment->align, alignment->flags, construct);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, stock);

	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));

	for (i = 0; i < MANY; i++)
		KUNIT_EXPECT_TRUE_MSG(test, IS_ALIGNED((unsigned long)stock->object[i],
						       alignment->expected), "object %d", i);
}

/* Each object is filled with its number: the first that lost it, or their count. */
static int find_overwritten(const struct stock *stock)
{
	int i;

	for (i = 0; i < stock->nr; i++)
		memset(stock->object[i], i, OBJECT_BYTES);
	for (i = 0; i < stock->nr; i++)
		if (memchr_inv(stock->object[i], i, OBJECT_BYTES))
			break;
	return i;
}

static void objects_do_not_overlap(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, 0, NULL);

	KUNIT_ASSERT_NOT_NULL(test, stock);

	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));

	KUNIT_EXPECT_EQ(test, MANY, find_overwritten(stock));
}

static void bulk_gives_as_many_objects_as_asked(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, 0, NULL);
	struct slabinfo info = {};

	KUNIT_ASSERT_NOT_NULL(test, stock);

	stock->nr = kmem_cache_alloc_bulk(stock->cache, GFP_KERNEL, MANY, stock->object);
	KUNIT_EXPECT_EQ(test, MANY, stock->nr);
	KUNIT_EXPECT_EQ(test, MANY, find_overwritten(stock));

	kmem_cache_free_bulk(stock->cache, stock->nr, stock->object);
	stock->nr = 0;
	KUNIT_ASSERT_TRUE(test, find_in_slabinfo(test, stock->cache, &info));
	KUNIT_EXPECT_EQ(test, 0, info.active_objs);
}

/* Objects whose slab stays come back with what their last user left, but for zeroing. */
static void zeroed_object_is_zero_after_another_user(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, 0, NULL);
	void *used[MANY / 2];
	int i, j, reused = 0;

	KUNIT_ASSERT_NOT_NULL(test, stock);
	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));
	for (i = 0; i < MANY; i++)
		memset(stock->object[i], 0x5a, OBJECT_BYTES);
	for (i = 0; i < MANY / 2; i++)
		used[i] = stock->object[2 * i + 1];
	put_back(stock, 2);
	kmem_cache_shrink(stock->cache);

	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL | __GFP_ZERO));

	for (i = MANY / 2; i < stock->nr; i++) {
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(stock->object[i], 0, OBJECT_BYTES),
				      "object %d", i);
		for (j = 0; j < MANY / 2; j++)
			reused += stock->object[i] == used[j];
	}
	KUNIT_EXPECT_GT(test, reused, 0);
}

/* Who found it under RCU may read it after its free, but never as anything else. */
static void typesafe_object_keeps_its_type_under_rcu(struct kunit *test)
{
	struct stock *stock = open_stock(test, 0, SLAB_TYPESAFE_BY_RCU, construct);
	struct slabinfo info = {};
	struct object *object;
	unsigned long made = 0;

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, stock);
	KUNIT_ASSERT_TRUE(test, take(stock, MANY, GFP_KERNEL));
	object = stock->object[MANY - 1];

	rcu_read_lock();
	put_back(stock, MANY);
	EXPECT_NO_REPORT(test, made = READ_ONCE(object->made));
	rcu_read_unlock();

	KUNIT_EXPECT_EQ(test, MADE, made);
	/* It was free meanwhile: of this cache, KASAN lets go after a grace period only. */
	rcu_barrier();
	KUNIT_ASSERT_TRUE(test, find_in_slabinfo(test, stock->cache, &info));
	KUNIT_EXPECT_EQ(test, MANY - 1, info.active_objs);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(objects_show_in_slabinfo),
	KUNIT_CASE(freed_objects_leave_slabinfo),
	KUNIT_CASE(destroyed_cache_leaves_slabinfo_silently),
	KUNIT_CASE(destroy_reports_each_object_that_is_left),
	KUNIT_CASE(constructor_has_seen_each_object),
	KUNIT_CASE_PARAM(each_object_is_aligned, alignment_gen_params),
	KUNIT_CASE(objects_do_not_overlap),
	KUNIT_CASE(bulk_gives_as_many_objects_as_asked),
	KUNIT_CASE(zeroed_object_is_zero_after_another_user),
	KUNIT_CASE(typesafe_object_keeps_its_type_under_rcu),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of slab caches");
MODULE_LICENSE("GPL");
