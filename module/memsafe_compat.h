/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kernels before 6.12, down to 6.1, lack or call by another name.  kunit/Kbuild
 * puts it before every suite, so that a suite is written for today's kernel.
 */
#ifndef MEMSAFE_COMPAT_H
#define MEMSAFE_COMPAT_H

#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/slab.h>
#include <linux/version.h>

/* Before v6.6 the compiler attribute had no macro. */
#ifndef __counted_by
#define __counted_by(member)
#endif

/*
 * Before commit bc292ab00f6c ("mm: introduce vma->vm_flags wrapper functions")
 * in v6.3, vm_flags was written directly.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma,
				unsigned long flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma,
				  unsigned long flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* Before v6.6 a fault handler was only ever called under the mmap lock. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
static inline void release_fault_lock(struct vm_fault *vmf)
{
	mmap_read_unlock(vmf->vma->vm_mm);
}
#endif

/*
 * Before commit 5e0a760b4441 ("mm, treewide: rename MAX_ORDER to MAX_PAGE_ORDER")
 * in v6.8 it was MAX_ORDER, and before commit 23baf831a32c ("mm, treewide: redefine
 * MAX_ORDER sanely") in v6.4 that was one more than the largest order.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define MAX_PAGE_ORDER	(MAX_ORDER - 1)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define MAX_PAGE_ORDER	MAX_ORDER
#endif

/* Before v6.5 no flag was needed for what KASAN does to all its caches. */
#ifndef SLAB_NO_MERGE
#define SLAB_NO_MERGE	0
#endif

/* Before v6.9 each user of page fragments drained its cache itself. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
static inline void page_frag_cache_drain(struct page_frag_cache *cache)
{
	if (cache->va)
		__page_frag_cache_drain(virt_to_head_page(cache->va), cache->pagecnt_bias);
	cache->va = NULL;
}
#endif

/*
 * Before v6.17 ("dma-debug: don't enforce dma mapping check on noncoherent
 * allocations") CONFIG_DMA_API_DEBUG warned when nobody had asked whether the address
 * is an error, which it never is where there are pages.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
static inline struct page *memsafe_dma_alloc_pages(struct device *dev, size_t size,
						   dma_addr_t *bus,
						   enum dma_data_direction dir, gfp_t gfp)
{
	struct page *page = dma_alloc_pages(dev, size, bus, dir, gfp);

	if (page)
		dma_mapping_error(dev, *bus);
	return page;
}
#define dma_alloc_pages memsafe_dma_alloc_pages
#endif

#if IS_ENABLED(CONFIG_KUNIT)
#include <kunit/test.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/swait.h>
#include <linux/workqueue.h>

/*
 * Before commit 56778b49c9a2 ("kunit: Add a macro to wrap a deferred action
 * function") in v6.8.
 */
#ifndef KUNIT_DEFINE_ACTION_WRAPPER
#define KUNIT_DEFINE_ACTION_WRAPPER(wrapper, act, type)				\
static void wrapper(void *ctx)							\
{										\
	act((type)ctx);								\
}
#endif

/* Before v6.6 cases had no attributes. */
#ifndef KUNIT_CASE_SLOW
#define KUNIT_CASE_SLOW(name)	KUNIT_CASE(name)
#define KUNIT_CASE_PARAM_ATTR(name, gen_params, attributes) KUNIT_CASE_PARAM(name, gen_params)
#endif

/* Before v6.3 the console tracepoint was not exported, but could be found by its name. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0) && defined(CONFIG_TRACEPOINTS)
#include <trace/events/printk.h>

static inline void memsafe_match_console(struct tracepoint *tracepoint, void *found)
{
	if (!strcmp(tracepoint->name, "console"))
		*(struct tracepoint **)found = tracepoint;
}

static inline struct tracepoint *memsafe_console(void)
{
	struct tracepoint *found = NULL;

	for_each_kernel_tracepoint(memsafe_match_console, &found);
	return found;
}

#define register_trace_console(probe, data) \
	tracepoint_probe_register(memsafe_console(), probe, data)
#define unregister_trace_console(probe, data) \
	tracepoint_probe_unregister(memsafe_console(), probe, data)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)

/*
 * Before v6.5 the result line of a parameter that is skipped says "ok" and no more:
 * a comment before it tells.
 */
#undef kunit_mark_skipped
#define kunit_mark_skipped(test, fmt, ...) do {					\
	WRITE_ONCE((test)->status, KUNIT_SKIPPED);				\
	scnprintf((test)->status_comment, KUNIT_STATUS_COMMENT_SIZE, fmt,	\
		  ##__VA_ARGS__);						\
	if ((test)->param_value)						\
		kunit_log(KERN_INFO, test, KUNIT_SUBTEST_INDENT KUNIT_SUBTEST_INDENT \
			  "# SKIP %s", (test)->status_comment);			\
} while (0)

/*
 * Before commit b9dce8a1ed3e ("kunit: Add kunit_add_action() to defer a call until
 * test exit") in v6.5 there were only resources.
 */
struct memsafe_action {
	void (*act)(void *ctx);
	void *ctx;
};

static inline void memsafe_free_action(struct kunit_resource *res)
{
	struct memsafe_action *action = res->data;

	if (action->act)
		action->act(action->ctx);
	kfree(action);
}

static inline bool memsafe_is_action(struct kunit *test, struct kunit_resource *res, void *data)
{
	const struct memsafe_action *action = res->data, *wanted = data;

	return res->free == memsafe_free_action && action->act == wanted->act &&
	       action->ctx == wanted->ctx;
}

static inline int kunit_add_action(struct kunit *test, void (*act)(void *ctx), void *ctx)
{
	struct memsafe_action *action = kmalloc(sizeof(*action), GFP_KERNEL);

	if (!action)
		return -ENOMEM;
	*action = (struct memsafe_action){ .act = act, .ctx = ctx };
	if (kunit_alloc_resource(test, NULL, memsafe_free_action, GFP_KERNEL, action))
		return 0;
	kfree(action);
	return -ENOMEM;
}

static inline int kunit_add_action_or_reset(struct kunit *test, void (*act)(void *ctx), void *ctx)
{
	int err = kunit_add_action(test, act, ctx);

	if (err)
		act(ctx);
	return err;
}

static inline void kunit_release_action(struct kunit *test, void (*act)(void *ctx), void *ctx)
{
	struct memsafe_action wanted = { .act = act, .ctx = ctx };

	kunit_destroy_resource(test, memsafe_is_action, &wanted);
}

static inline void kunit_remove_action(struct kunit *test, void (*act)(void *ctx), void *ctx)
{
	struct memsafe_action wanted = { .act = act, .ctx = ctx };
	struct kunit_resource *res = kunit_find_resource(test, memsafe_is_action, &wanted);
	struct memsafe_action *action;

	if (!res)
		return;
	action = res->data;
	action->act = NULL;
	kunit_remove_resource(test, res);
	kunit_put_resource(res);
}

/*
 * Before commit 51104c19d857 ("kunit: test: Add vm_mmap() allocation resource
 * management") in v6.11 a case had no user memory.  It borrows that of the process
 * that loads the module, which waits until the case has ended.
 */
static inline struct mm_struct *memsafe_waiting_mm(struct kunit *test)
{
	struct swait_queue_head *queue = &test->try_catch.try_completion->wait;
	struct swait_queue *first;
	struct mm_struct *mm;

	/* The case may run before its creator has come to wait for it. */
	for (;;) {
		raw_spin_lock_irq(&queue->lock);
		first = list_first_entry_or_null(&queue->task_list, struct swait_queue, task_list);
		if (first)
			get_task_struct(first->task);
		raw_spin_unlock_irq(&queue->lock);
		if (first)
			break;
		schedule_timeout_uninterruptible(1);
	}
	mm = get_task_mm(first->task);
	put_task_struct(first->task);
	return mm;
}

/* Like any process the thread lets go of its mm when it exits. */
static inline bool memsafe_attach_mm(struct kunit *test)
{
	struct mm_struct *mm;

	if (current->mm)
		return true;
	mm = memsafe_waiting_mm(test);
	if (!mm)
		return false;
	kthread_use_mm(mm);
	/* An exit drops mm_users only; kthread_unuse_mm() would have dropped this. */
	mmdrop(mm);
	return true;
}

struct memsafe_user_map {
	unsigned long addr, len;
};

static inline void memsafe_free_user_map(struct kunit_resource *res)
{
	struct memsafe_user_map *map = res->data;

	vm_munmap(map->addr, map->len);
	kfree(map);
}

static inline bool memsafe_is_user_map(struct kunit *test, struct kunit_resource *res, void *data)
{
	return res->free == memsafe_free_user_map;
}

static inline unsigned long kunit_vm_mmap(struct kunit *test, struct file *file,
					  unsigned long addr, unsigned long len,
					  unsigned long prot, unsigned long flags,
					  unsigned long offset)
{
	struct memsafe_user_map *map;

	if (!memsafe_attach_mm(test))
		kunit_skip(test, "needs kunit_vm_mmap(), v6.11");
	map = kmalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return 0;
	addr = vm_mmap(file, addr, len, prot, flags, offset);
	if (IS_ERR_VALUE(addr)) {
		kfree(map);
		return addr;
	}
	*map = (struct memsafe_user_map){ .addr = addr, .len = len };
	if (kunit_alloc_resource(test, NULL, memsafe_free_user_map, GFP_KERNEL, map))
		return addr;
	vm_munmap(addr, len);
	kfree(map);
	return 0;
}

/* Since v6.11 the memory of a case goes before the exit of its suite runs. */
static inline void unmap_user_memory(struct kunit *test)
{
	while (!kunit_destroy_resource(test, memsafe_is_user_map, NULL))
		;
}

/*
 * Before commit 55e8c1b49ac5 ("kunit: Always run cleanup from a test kthread") in
 * v6.5, when a case had been aborted, what follows it ran in the process that loads
 * the module, where the last fput() would release the file after the end of insmod.
 */
struct memsafe_put {
	struct work_struct work;
	struct file *file;
};

static inline void memsafe_put_work(struct work_struct *work)
{
	fput(container_of(work, struct memsafe_put, work)->file);
}

static inline void fput_in_kthread(struct file *file)
{
	struct memsafe_put put = { .file = file };

	INIT_WORK_ONSTACK(&put.work, memsafe_put_work);
	schedule_work(&put.work);
	flush_work(&put.work);
	destroy_work_on_stack(&put.work);
}

#else

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
/* The process that loads the module no longer waits where a case can find it. */
#define kunit_vm_mmap(test, file, addr, len, prot, flags, offset) ({		\
	kunit_skip(test, "needs kunit_vm_mmap(), v6.11");			\
	0UL;									\
})
#endif

#define unmap_user_memory(test)	do { } while (0)
#define fput_in_kthread		fput

#endif
#endif
#endif
