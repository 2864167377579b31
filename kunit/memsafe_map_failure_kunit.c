// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation behind a driver's mmap and its page faults fails once: the
 * documented error, nothing mapped or counted, and the next try works.
 */
#include <linux/fdtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_dev_file.h"
#include "memsafe_failing.h"

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

/* Half of the mapping before and half behind the end of a page table; both are unused. */
static unsigned long choose_address(struct kunit *test)
{
	const unsigned long half = NPAGES / 2 * PAGE_SIZE, len = 3 * PMD_SIZE;
	unsigned long area = user_map(test, NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, 0);

	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(area));
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(area, len));
	return ALIGN(area, PMD_SIZE) + PMD_SIZE - half;
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

/*
 * Without memory for a page table UML faults in the kernel itself: do_op_one_page()
 * in arch/um/kernel/skas/uaccess.c.
 */
static void skip_on_uml(struct kunit *test)
{
	if (IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs user access that survives a lack of page tables (not UML)");
}

/* A page table. */
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
	KUNIT_CASE_PARAM(failed_mmap_is_enomem_and_maps_nothing, mapping_gen_params),
	KUNIT_CASE_PARAM(failed_read_fault_is_efault_and_maps_nothing, faulting_gen_params),
	KUNIT_CASE_PARAM(failed_write_fault_is_efault_and_maps_nothing, faulting_gen_params),
	KUNIT_CASE_PARAM(failed_private_write_is_efault_and_copies_nothing, copied_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_map_failure",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.init = case_init,
	.exit = close_device,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of mappings whose allocations fail");
MODULE_LICENSE("GPL");
