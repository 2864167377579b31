// SPDX-License-Identifier: GPL-2.0
/*
 * KASAN names each bad access to each kind of memory exactly, by class,
 * direction, size, address and function, and is silent about the legal neighbour
 * (Documentation/dev-tools/kasan.rst).  The table below is what it can see; what
 * is missing there is in memsafe_kasan_blind and memsafe_kasan_oops.
 */
#include <kunit/test.h>
#include <linux/irqflags.h>
#include <linux/kasan.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_kasan"
#include "memsafe_report.h"
#include "memsafe_access.h"
#include "memsafe_detects.h"

MEMSAFE_DETECTS("KASAN");

enum source { SLAB, CACHE, LARGE, PAGE, PAGES, VMALLOC, STACK, GLOBAL };

/* Odd sizes: the last byte shares its granule of 8 with the first one behind. */
#define SLAB_BYTES	123
#define CACHE_BYTES	45
#define LARGE_BYTES	(KMALLOC_MAX_CACHE_SIZE + 11)
#define PAGES_ORDER	1
#define VMALLOC_BYTES	(2 * PAGE_SIZE - 5)
#define STACK_BYTES	13
#define GLOBAL_BYTES	29

static u8 global_bytes[GLOBAL_BYTES];
static struct kmem_cache *cache;

/* One kind of memory, and the class that each bad use of it must be given. */
struct memory {
	const char *name;
	enum source source;
	size_t size;
	bool unseen;		/* by this configuration */
	const char *needs;	/* what would make it seen */
	bool needs_clang;	/* before its start */
	const char *past_end;
	const char *before_start;
	const char *freed;
	const char *freed_twice;
	const char *freed_inside;
};

static const struct memory memory[] = {
	{
		.name = "slab", .source = SLAB, .size = SLAB_BYTES,
		.past_end = "KASAN: slab-out-of-bounds",
		.before_start = "KASAN: slab-out-of-bounds",
		.freed = SLAB_USE_AFTER_FREE,
		.freed_twice = "KASAN: double-free",
		.freed_inside = "KASAN: invalid-free",
	}, {
		.name = "cache", .source = CACHE, .size = CACHE_BYTES,
		.past_end = "KASAN: slab-out-of-bounds",
		.before_start = "KASAN: slab-out-of-bounds",
		.freed = SLAB_USE_AFTER_FREE,
		.freed_twice = "KASAN: double-free",
		.freed_inside = "KASAN: invalid-free",
	}, {
		/*
		 * Pages with a redzone up to the end of the last one.  Before the
		 * first lies a stranger's page; a second free is a VM_BUG_ON.
		 */
		.name = "large slab", .source = LARGE, .size = LARGE_BYTES,
		.past_end = "KASAN: slab-out-of-bounds",
		.freed = "KASAN: use-after-free",
		.freed_inside = "KASAN: invalid-free",
	}, {
		/* No redzones; a second free is a VM_BUG_ON. */
		.name = "page", .source = PAGE, .size = PAGE_SIZE,
		.freed = "KASAN: use-after-free",
	}, {
		.name = "pages", .source = PAGES, .size = PAGE_SIZE << PAGES_ORDER,
		.freed = "KASAN: use-after-free",
	}, {
		/* A real fault beyond its pages, and everywhere after vfree(). */
		.name = "vmalloc", .source = VMALLOC, .size = VMALLOC_BYTES,
		.unseen = !IS_ENABLED(CONFIG_KASAN_VMALLOC),
		.needs = "needs CONFIG_KASAN_VMALLOC=y",
		.past_end = "KASAN: vmalloc-out-of-bounds",
	}, {
		/* After return it belongs to the next function that is called. */
		.name = "stack", .source = STACK, .size = STACK_BYTES,
		.unseen = !IS_ENABLED(CONFIG_KASAN_STACK),
		.needs = "needs CONFIG_KASAN_STACK=y",
		.past_end = "KASAN: stack-out-of-bounds",
		.before_start = "KASAN: stack-out-of-bounds",
	}, {
		/* Before a global lies the redzone of another, with clang always. */
		.name = "global", .source = GLOBAL, .size = GLOBAL_BYTES, .needs_clang = true,
		.past_end = "KASAN: global-out-of-bounds",
		.before_start = "KASAN: global-out-of-bounds",
	},
};

/* One parameter for each kind of memory whose @column is not empty. */
#define GENERATE_PARAMS(column)							\
static const void *column##_gen_params(const void *prev, char *desc)		\
{										\
	const struct memory *m = prev ? (const struct memory *)prev + 1 : memory; \
										\
	while (m < memory + ARRAY_SIZE(memory) && !m->column)			\
		m++;								\
	if (m == memory + ARRAY_SIZE(memory))					\
		return NULL;							\
	strscpy(desc, m->name, KUNIT_PARAM_DESC_SIZE);				\
	return m;								\
}
GENERATE_PARAMS(name)
GENERATE_PARAMS(past_end)
GENERATE_PARAMS(before_start)
GENERATE_PARAMS(freed)
GENERATE_PARAMS(freed_twice)
GENERATE_PARAMS(freed_inside)

/* The function that reports of bad frees must name. */
static noinline void memsafe_free(enum source source, void *p)
{
	if (source == SLAB || source == LARGE)
		kfree(p);
	else if (source == CACHE)
		kmem_cache_free(cache, p);
	else if (source == PAGE)
		__free_page(virt_to_page(p));
	else if (source == PAGES)
		__free_pages(virt_to_page(p), PAGES_ORDER);
	else if (source == VMALLOC)
		vfree(p);
	/* Stay on the stack while the report is made: no tail calls. */
	barrier();
}

static void *allocate(enum source source)
{
	switch (source) {
	case SLAB:
		return kmalloc(SLAB_BYTES, GFP_KERNEL);
	case CACHE:
		return kmem_cache_alloc(cache, GFP_KERNEL);
	case LARGE:
		return kmalloc(LARGE_BYTES, GFP_KERNEL);
	case PAGE:
		return (void *)__get_free_page(GFP_KERNEL);
	case PAGES:
		return (void *)__get_free_pages(GFP_KERNEL, PAGES_ORDER);
	case VMALLOC:
		return vmalloc(VMALLOC_BYTES);
	default:
		return NULL;
	}
}

struct loan {
	enum source source;
	void *start;
};

static void give_back(void *ctx)
{
	struct loan *loan = ctx;

	if (loan->start)
		memsafe_free(loan->source, loan->start);
}

static struct loan *borrow(struct kunit *test, enum source source)
{
	struct loan *loan = kunit_kzalloc(test, sizeof(*loan), GFP_KERNEL);

	if (!loan || kunit_add_action_or_reset(test, give_back, loan))
		return NULL;
	loan->source = source;
	loan->start = allocate(source);
	return loan->start ? loan : NULL;
}

#ifdef CONFIG_KASAN_VMALLOC
static bool is_poisoned(u8 *p)
{
	return peek(kasan_mem_to_shadow(p));
}
#else
static bool is_poisoned(u8 *p)
{
	return false;
}
#endif

/*
 * Before an object at the start of its slab's pages lies a stranger's page.
 * Before v6.3 ("mm: move debug checks from __vunmap to remove_vm_area") iounmap()
 * poisoned nothing, and what it had mapped may be a guard page now.
 */
static bool has_redzones(const struct memory *m, u8 *start)
{
	if (m->source == SLAB || m->source == CACHE)
		return !PAGE_ALIGNED(start);
	if (m->source == VMALLOC)
		return is_poisoned(PTR_ALIGN(start + m->size, PAGE_SIZE));
	return true;
}

/*
 * Memory of the kind that the case's parameter names, until the case ends; the
 * stack is lent by the caller.
 */
static u8 *get_memory(struct kunit *test, u8 *stack)
{
	enum { TRIES = 100 };
	const struct memory *m = test->param_value;
	struct loan *loan;
	int i = 0;

	if (m->unseen)
		kunit_skip(test, "%s", m->needs);
	if (m->source == STACK)
		return stack;
	/* A module's constructors make its redzones; its suites ran before them. */
	if (m->source == GLOBAL && IS_ENABLED(MODULE) &&
	    LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0))
		kunit_skip(test, "needs suites that run after constructors, v6.7");
	if (m->source == GLOBAL)
		return global_bytes;
	do {
		loan = borrow(test, m->source);
		KUNIT_ASSERT_NOT_NULL(test, loan);
	} while (!has_redzones(m, loan->start) && ++i < TRIES);
	return loan->start;
}

static void first_and_last_byte_are_silent(struct kunit *test)
{
	const struct memory *m = test->param_value;
	u8 stack[STACK_BYTES], *start = get_memory(test, stack);

	EXPECT_NO_REPORT(test, memsafe_read_byte(start));
	EXPECT_NO_REPORT(test, memsafe_write_byte(start));
	EXPECT_NO_REPORT(test, memsafe_read_byte(start + m->size - 1));
	EXPECT_NO_REPORT(test, memsafe_write_byte(start + m->size - 1));
}

static void read_past_the_end_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	u8 stack[STACK_BYTES], *start = get_memory(test, stack);

	expect_bad_access(test, m->past_end, "Read", start + m->size);
}

static void write_past_the_end_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	u8 stack[STACK_BYTES], *start = get_memory(test, stack);

	expect_bad_access(test, m->past_end, "Write", start + m->size);
}

static void skip_without_redzone_before(struct kunit *test, const struct memory *m)
{
	if (m->needs_clang && !IS_ENABLED(CONFIG_CC_IS_CLANG))
		kunit_skip(test, "needs CONFIG_CC_IS_CLANG=y");
}

static void read_before_the_start_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	u8 stack[STACK_BYTES], *start;

	skip_without_redzone_before(test, m);
	start = get_memory(test, stack);

	expect_bad_access(test, m->before_start, "Read", start - 1);
}

static void write_before_the_start_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	u8 stack[STACK_BYTES], *start;

	skip_without_redzone_before(test, m);
	start = get_memory(test, stack);

	expect_bad_access(test, m->before_start, "Write", start - 1);
}

/*
 * Interrupts stay off in between: freed pages wait on this CPU's list and no one
 * else gets them.  Slab objects wait in KASAN's quarantine anyway.
 */
static void use_freed(struct loan *loan, size_t offset, void (*use)(u8 *))
{
	u8 *start = loan->start;
	unsigned long flags;

	local_irq_save(flags);
	give_back(loan);
	use(start + offset);
	local_irq_restore(flags);
	loan->start = NULL;
}

static void read_after_free_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	const struct memsafe_report report = {
		.kind = m->freed, .access = "Read", .size = 1, .function = "memsafe_read_byte",
	};
	struct loan *loan = borrow(test, m->source);

	KUNIT_ASSERT_NOT_NULL(test, loan);

	EXPECT_REPORT(test, &report, use_freed(loan, m->size - 1, memsafe_read_byte));
}

static void write_after_free_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	const struct memsafe_report report = {
		.kind = m->freed, .access = "Write", .size = 1, .function = "memsafe_write_byte",
	};
	struct loan *loan = borrow(test, m->source);

	KUNIT_ASSERT_NOT_NULL(test, loan);

	EXPECT_REPORT(test, &report, use_freed(loan, m->size - 1, memsafe_write_byte));
}

static void second_free_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	const struct memsafe_report report = {
		.kind = m->freed_twice, .function = "memsafe_free",
	};
	void *start = allocate(m->source);

	KUNIT_ASSERT_NOT_NULL(test, start);
	memsafe_free(m->source, start);

	EXPECT_REPORT(test, &report, memsafe_free(m->source, start));
}

static void free_of_the_inside_is_reported(struct kunit *test)
{
	const struct memory *m = test->param_value;
	const struct memsafe_report report = {
		.kind = m->freed_inside, .function = "memsafe_free",
	};
	struct loan *loan = borrow(test, m->source);

	KUNIT_ASSERT_NOT_NULL(test, loan);
	/* The inside is no object of kmemleak's either, and it would say so. */
	kmemleak_free(loan->start);

	EXPECT_REPORT(test, &report, memsafe_free(m->source, loan->start + 1));

	/* Unlike objects, pages go all the same. */
	if (m->source == LARGE)
		loan->start = NULL;
}

static int suite_init(struct kunit_suite *suite)
{
	/* A cache of its own, so that no other's objects lie between. */
	cache = kmem_cache_create("memsafe_kasan", CACHE_BYTES, 0, SLAB_NO_MERGE, NULL);
	if (!cache)
		return -ENOMEM;
	return memsafe_report_init(suite);
}

static void suite_exit(struct kunit_suite *suite)
{
	memsafe_report_exit(suite);
	kmem_cache_destroy(cache);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(first_and_last_byte_are_silent, name_gen_params),
	KUNIT_CASE_PARAM(read_past_the_end_is_reported, past_end_gen_params),
	KUNIT_CASE_PARAM(write_past_the_end_is_reported, past_end_gen_params),
	KUNIT_CASE_PARAM(read_before_the_start_is_reported, before_start_gen_params),
	KUNIT_CASE_PARAM(write_before_the_start_is_reported, before_start_gen_params),
	KUNIT_CASE_PARAM(read_after_free_is_reported, freed_gen_params),
	KUNIT_CASE_PARAM(write_after_free_is_reported, freed_gen_params),
	KUNIT_CASE_PARAM(second_free_is_reported, freed_twice_gen_params),
	KUNIT_CASE_PARAM(free_of_the_inside_is_reported, freed_inside_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.init = kasan_case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what KASAN reports");
MODULE_LICENSE("GPL");
