// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation behind a driver's open, setup, mmap and page faults fails once,
 * the first, the second, and so on until none is left.  Whatever fails gives the
 * documented error, leaves nothing allocated, mapped or counted, and the next try
 * works (Documentation/fault-injection/fault-injection.rst).
 */
#include <linux/fdtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_dev_file.h"
#include "memsafe_free_pages.h"

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

static void set_fail_nth(unsigned int nth)
{
#ifdef CONFIG_FAULT_INJECTION
	WRITE_ONCE(current->fail_nth, nth);
#endif
}

/* What is left of it: 0 when an allocation has failed. */
static unsigned int get_fail_nth(void)
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
static bool next_round(struct sweep *sweep)
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
static void judge_round(struct sweep *sweep, long error, long ret)
{
	struct kunit *test = sweep->test;

	sweep->all_failed += sweep->failed;
	if (!ret)
		return;
	sweep->refused++;

	KUNIT_EXPECT_EQ_MSG(test, error, ret, "allocation %u", sweep->nth);
	KUNIT_ASSERT_TRUE_MSG(test, sweep->failed, "refused although no allocation failed");
}

static void judge_sweep(struct sweep *sweep)
{
	struct kunit *test = sweep->test;

	KUNIT_EXPECT_GE(test, sweep->refused, sweep->required);
	kunit_info(test, "%u allocations failed, the last sweep was refused %u times\n",
		   sweep->all_failed, sweep->refused);
}

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

/* Pages of the buffer and of its mapping, two on either side of a page table's end. */
enum { NPAGES = 4, TOUCHED = 2 };

struct mapping {
	const char *name;
	u32 memory;
	u32 map;
	unsigned int required;
};

/* The VMA; two page tables where the mapping is filled at once, one if there is one. */
static const struct mapping mappings[] = {
	{ "FAULT", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT, 1 },
	{ "FAULT of vmalloc", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_FAULT, 1 },
	{ "FAULT_INSERT", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_INSERT, 1 },
	{ "FAULT_INSERT of vmalloc", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_FAULT_INSERT, 1 },
	{ "FAULT_PFN", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_PFN, 1 },
	{ "FAULT_PFN of kmalloc", MEMSAFE_DEV_KMALLOC, MEMSAFE_DEV_FAULT_PFN, 1 },
	{ "REMAP_PFN", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_REMAP_PFN, 3 },
	{ "REMAP_PFN of kmalloc", MEMSAFE_DEV_KMALLOC, MEMSAFE_DEV_REMAP_PFN, 2 },
	{ "INSERT_PAGE", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_INSERT_PAGE, 3 },
	{ "INSERT_PAGES", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_INSERT_PAGES, 3 },
	{ "MAP_PAGES", MEMSAFE_DEV_PAGES, MEMSAFE_DEV_MAP_PAGES, 3 },
	{ "REMAP_VMALLOC", MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_REMAP_VMALLOC, 3 },
};

static void describe_mapping(const struct mapping *mapping, char *desc)
{
	strscpy(desc, mapping->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(mapping, mappings, describe_mapping);

/* Parameters: the mappings that page faults fill come first. */
static const void *faulting_gen_params(const void *prev, char *desc)
{
	const struct mapping *mapping = mapping_gen_params(prev, desc);

	return mapping->map <= MEMSAFE_DEV_FAULT_PFN ? mapping : NULL;
}

/* Of these, the ones whose private pages are copied without being mapped before. */
static const void *copied_gen_params(const void *prev, char *desc)
{
	const struct mapping *mapping = mapping_gen_params(prev, desc);

	return mapping->map == MEMSAFE_DEV_FAULT ? mapping : NULL;
}

static void set_up_mapping(struct kunit *test)
{
	const struct mapping *mapping = test->param_value;
	int i;

	set_up(test, mapping->memory, mapping->map, 0, NPAGES);
	for (i = 0; i < NPAGES; i++)
		buffer_poke(test, i * PAGE_SIZE, 'a' + i);
}

/* Unused, half of the mapping before the end of a page table, and a page below. */
static unsigned long choose_address(struct kunit *test)
{
	const unsigned long half = NPAGES / 2 * PAGE_SIZE, len = 2 * PMD_SIZE;
	unsigned long area = user_map(test, NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(area));
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(area, len));
	return ALIGN(area + PAGE_SIZE + half, PMD_SIZE) - half;
}

/* 0 or -errno; -EEXIST if something is there. */
static long map_at(struct kunit *test, unsigned long addr, unsigned long sharing)
{
	struct dev_file *dev = test->priv;
	unsigned long ret = vm_mmap(dev->file, addr, NPAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
				    sharing | MAP_FIXED_NOREPLACE, 0);

	return IS_ERR_VALUE(ret) ? (long)ret : 0;
}

static bool is_present(unsigned long addr)
{
	u8 byte;

	return !copy_from_user_nofault(&byte, (void __user *)addr, 1);
}

/* What an address space has. */
struct footprint {
	int vmas;
	unsigned long pages;
	unsigned long table_bytes;
};

static struct footprint take_footprint(void)
{
	return (struct footprint){
		.vmas = current->mm->map_count,
		.pages = current->mm->total_vm,
		.table_bytes = mm_pgtables_bytes(current->mm),
	};
}

static void expect_nothing_mapped(struct sweep *sweep, unsigned long addr,
				  struct footprint before)
{
	const struct footprint after = take_footprint();
	struct kunit *test = sweep->test;
	const struct memsafe_dev_counters now = counters(test);
	int i;

	KUNIT_EXPECT_EQ_MSG(test, before.vmas, after.vmas, "allocation %u", sweep->nth);
	KUNIT_EXPECT_EQ_MSG(test, before.pages, after.pages, "allocation %u", sweep->nth);
	KUNIT_EXPECT_EQ_MSG(test, before.table_bytes, after.table_bytes,
			    "allocation %u", sweep->nth);
	KUNIT_EXPECT_EQ_MSG(test, 0, now.mmaps + now.opens - now.closes,
			    "allocation %u", sweep->nth);
	for (i = 0; i < NPAGES; i++) {
		KUNIT_EXPECT_FALSE_MSG(test, is_present(addr + i * PAGE_SIZE),
				       "allocation %u, page %d", sweep->nth, i);
		KUNIT_EXPECT_EQ_MSG(test, 1, page_info(test, i).refs,
				    "allocation %u, page %d", sweep->nth, i);
	}
}

/*
 * On x86 a remap_pfn_range() of a whole VMA that fails before it has mapped a
 * page ends in a WARN_ON_ONCE(): untrack_pfn() looks for the cache mode in the
 * page tables (get_pat_info() in arch/x86/mm/pat/memtype.c).
 */
static bool needs_a_page_table(const struct mapping *mapping)
{
	return IS_ENABLED(CONFIG_X86) && mapping->map == MEMSAFE_DEV_REMAP_PFN &&
	       mapping->memory == MEMSAFE_DEV_KMALLOC;
}

/* A page just below shares the first page table of the mapping. */
static void give_page_table(struct kunit *test, unsigned long addr)
{
	unsigned long below = vm_mmap(NULL, addr - PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, 0);

	KUNIT_ASSERT_EQ(test, addr - PAGE_SIZE, below);
	KUNIT_ASSERT_EQ(test, 0, user_poke(below, 'x'));
}

static void failed_mmap_is_enomem_and_maps_nothing(struct kunit *test)
{
	const struct mapping *mapping = test->param_value;
	struct sweep sweep = { .test = test, .required = mapping->required };
	struct footprint before;
	unsigned long addr;

	set_up_mapping(test);
	addr = choose_address(test);
	if (needs_a_page_table(mapping))
		give_page_table(test, addr);
	before = take_footprint();

	while (next_round(&sweep)) {
		long ret = FAILING(&sweep, map_at(test, addr, MAP_SHARED));

		judge_round(&sweep, -ENOMEM, ret);
		if (!ret) {
			KUNIT_EXPECT_EQ(test, 'a' + TOUCHED,
					user_peek(addr + TOUCHED * PAGE_SIZE));
			KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, NPAGES * PAGE_SIZE));
		}
		expect_nothing_mapped(&sweep, addr, before);
	}
	judge_sweep(&sweep);
}

/*
 * One access to one page of a fresh mapping.  The refused access changes
 * nothing, and the same one works as soon as there is memory.
 */
static void sweep_fault(struct kunit *test, unsigned long sharing, int (*touch)(unsigned long),
			int expected, unsigned int required)
{
	struct sweep sweep = { .test = test, .required = required };
	struct footprint before;
	unsigned long addr, byte;

	addr = choose_address(test);
	byte = addr + TOUCHED * PAGE_SIZE;
	before = take_footprint();

	while (next_round(&sweep)) {
		int ret;

		KUNIT_ASSERT_EQ(test, 0, map_at(test, addr, sharing));

		ret = FAILING(&sweep, touch(byte));

		judge_round(&sweep, -EFAULT, ret < 0 ? ret : 0);
		if (ret < 0) {
			KUNIT_EXPECT_FALSE_MSG(test, is_present(byte), "allocation %u", sweep.nth);
			KUNIT_EXPECT_EQ_MSG(test, 1, page_info(test, TOUCHED).refs,
					    "allocation %u", sweep.nth);
			ret = touch(byte);
		}
		KUNIT_EXPECT_EQ_MSG(test, expected, ret, "allocation %u", sweep.nth);
		KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, NPAGES * PAGE_SIZE));
		expect_nothing_mapped(&sweep, addr, before);
	}
	judge_sweep(&sweep);
}

static int poke_x(unsigned long addr)
{
	return user_poke(addr, 'x');
}

/* A page table. */
/*
 * Without memory for a page table UML faults in the kernel itself: do_op_one_page()
 * in arch/um/kernel/skas/uaccess.c.
 */
static void skip_on_uml(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs user access that survives a lack of page tables (not UML)");
}

static void failed_read_fault_is_efault_and_maps_nothing(struct kunit *test)
{
	skip_on_uml(test);
	set_up_mapping(test);

	sweep_fault(test, MAP_SHARED, user_peek, 'a' + TOUCHED, 1);
}

static void failed_write_fault_is_efault_and_maps_nothing(struct kunit *test)
{
	skip_on_uml(test);
	set_up_mapping(test);

	sweep_fault(test, MAP_SHARED, poke_x, 0, 1);

	KUNIT_EXPECT_EQ(test, 'x', buffer_peek(test, TOUCHED * PAGE_SIZE));
}

/* A page table, the copy of the page, and what tells whose copy it is. */
static void failed_private_write_is_efault_and_copies_nothing(struct kunit *test)
{
	skip_on_uml(test);
	set_up_mapping(test);

	sweep_fault(test, MAP_PRIVATE, poke_x, 0, 3);

	KUNIT_EXPECT_EQ(test, 'a' + TOUCHED, buffer_peek(test, TOUCHED * PAGE_SIZE));
}

/*
 * What failslab and fail_page_alloc spare by default: allocations that may sleep,
 * high memory, and single pages.
 */
static bool *spare_sleeping_slab, *spare_sleeping_pages, *spare_highmem;
static u32 *min_order;

/* debugfs keeps a pointer to what a file shows; NULL where there is no such file. */
static void *find_setting(struct vfsmount *debugfs, const char *path)
{
	struct file *file = file_open_root_mnt(debugfs, path, O_RDONLY, 0);
	void *setting;

	if (IS_ERR(file))
		return NULL;
	setting = file_inode(file)->i_private;
	fput(file);
	return setting;
}

static int find_settings(void)
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
	kern_unmount(debugfs);
	return 0;
}

static bool has_settings(void)
{
	return spare_sleeping_slab && spare_sleeping_pages && spare_highmem && min_order;
}

static void spare_allocations(bool spare)
{
	if (!has_settings())
		return;
	*spare_sleeping_slab = spare;
	*spare_sleeping_pages = spare;
	*spare_highmem = spare;
	*min_order = spare;
}

static int suite_init(struct kunit_suite *suite)
{
	int err = find_settings();

	if (err)
		return err;
	spare_allocations(false);
	return mount_devices(suite);
}

static void suite_exit(struct kunit_suite *suite)
{
	unmount_devices(suite);
	spare_allocations(true);
}

static int case_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_FAILSLAB))
		kunit_skip(test, "needs CONFIG_FAILSLAB=y");
	if (!IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC))
		kunit_skip(test, "needs CONFIG_FAIL_PAGE_ALLOC=y");
	if (!has_settings())
		kunit_skip(test, "needs CONFIG_FAULT_INJECTION_DEBUG_FS=y");
	return open_device(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(failed_open_is_enomem_and_leaves_no_user),
	KUNIT_CASE_PARAM(failed_setup_is_enomem_and_counts_nothing, memory_gen_params),
	KUNIT_CASE(failed_setup_gives_its_pages_back),
	KUNIT_CASE_PARAM(failed_mmap_is_enomem_and_maps_nothing, mapping_gen_params),
	KUNIT_CASE_PARAM(failed_read_fault_is_efault_and_maps_nothing, faulting_gen_params),
	KUNIT_CASE_PARAM(failed_write_fault_is_efault_and_maps_nothing, faulting_gen_params),
	KUNIT_CASE_PARAM(failed_private_write_is_efault_and_copies_nothing, copied_gen_params),
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
