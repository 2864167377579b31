// SPDX-License-Identifier: GPL-2.0
/*
 * ptrace() and /proc/pid/mem reach pages through the page table, and what has no
 * pages through ->access, which decides how much of it is copied; the
 * ready-made generic_access_phys() writes only where the PTE lets user space
 * write (access_process_vm() in mm/memory.c).
 */
#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/sched/mm.h>

#include "memsafe_mmap_file.h"

/* Within a page, and to no round length. */
enum { INSIDE = 123, LEN = 10 };

/*
 * access_process_vm() refuses kthreads, and a module reaches no other function:
 * a module's cases use the mm of the task that loads it, and must leave it as it
 * was.  Built in there is no such task, but access_remote_vm().
 */
#ifdef MODULE
static struct task_struct *loader;

static int find_loader(struct kunit_suite *suite)
{
	loader = current;
	return 0;
}

static int use_mm_of_loader(void)
{
	struct mm_struct *mm = get_task_mm(loader);

	/* Like one of its own, it goes with the thread. */
	if (mm)
		kthread_use_mm(mm);
	return mm ? 0 : -EINVAL;
}

static int access_user(unsigned long addr, void *buf, int len, unsigned int flags)
{
	return access_process_vm(loader, addr, buf, len, flags);
}
#else
static int find_loader(struct kunit_suite *suite)
{
	return 0;
}

static int use_mm_of_loader(void)
{
	return 0;
}

static int access_user(unsigned long addr, void *buf, int len, unsigned int flags)
{
	return access_remote_vm(current->mm, addr, buf, len, flags);
}
#endif

/* What ->access was asked for last, and what it may give. */
struct calls {
	int calls, len, write;
	unsigned long addr;
	int most;		/* bytes a call, or -errno */
};

static int answer_access(struct vm_area_struct *vma, unsigned long addr, void *buf, int len,
			 int write)
{
	struct mmap_file *mf = vma->vm_private_data;
	struct calls *calls = (struct calls *)mf->arg;
	unsigned long offset = addr - vma->vm_start;
	u8 *kaddr;

	calls->calls++;
	calls->addr = addr;
	calls->len = len;
	calls->write = write;
	if (calls->most < 0)
		return calls->most;

	len = min3(len, calls->most, (int)(PAGE_SIZE - offset_in_page(offset)));
	kaddr = kmap_local_page(mf->pages[offset >> PAGE_SHIFT]);
	if (write)
		memcpy(kaddr + offset_in_page(offset), buf, len);
	else
		memcpy(buf, kaddr + offset_in_page(offset), len);
	kunmap_local(kaddr);
	return len;
}

static const struct vm_operations_struct access_ops = {
	MMAP_FILE_VM_OPS,
	.access = answer_access,
};

static int remap_all(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return remap_pfn_range(vma, vma->vm_start, page_to_pfn(mf->pages[0]),
			       NPAGES * PAGE_SIZE, vma->vm_page_prot);
}

static int insert_all(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return vm_map_pages(vma, mf->pages, NPAGES);
}

/* The .init of the suite. */
static int open_in_loader(struct kunit *test)
{
	struct mmap_file *mf;
	int err;

	if (!IS_ENABLED(CONFIG_HAVE_IOREMAP_PROT))
		kunit_skip(test, "needs CONFIG_HAVE_IOREMAP_PROT=y");
	err = use_mm_of_loader() ?: open_mmap_file(test);
	if (err)
		return err;
	mf = give_pages(test);
	if (!mf)
		return -ENOMEM;
	mf->vm_ops = &access_ops;
	mf->arg = kunit_kzalloc(test, sizeof(struct calls), GFP_KERNEL);
	return mf->arg ? 0 : -ENOMEM;
}

/* Without neighbours, so that leave() can take all of it away. */
static unsigned long map_all(struct kunit *test,
			     int (*mmap)(struct mmap_file *mf, struct vm_area_struct *vma),
			     unsigned long prot)
{
	struct mmap_file *mf = test->priv;

	mf->mmap = mmap;
	return user_map(test, mf->file, NPAGES * PAGE_SIZE, prot, MAP_SHARED, 0);
}

static void leave(unsigned long addr)
{
	vm_munmap(addr, NPAGES * PAGE_SIZE);
}

static void read_of_a_pfn_mapping_asks_the_driver(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	struct calls *calls = (struct calls *)mf->arg;
	unsigned long addr = map_all(test, remap_all, PROT_READ);
	u8 buf[LEN] = {};

	ASSERT_MAPPED(test, addr);
	calls->most = LEN;

	KUNIT_EXPECT_EQ(test, LEN, access_user(addr + PAGE_SIZE + INSIDE, buf, LEN, 0));

	KUNIT_EXPECT_EQ(test, 1, calls->calls);
	KUNIT_EXPECT_EQ(test, addr + PAGE_SIZE + INSIDE, calls->addr);
	KUNIT_EXPECT_EQ(test, LEN, calls->len);
	KUNIT_EXPECT_FALSE(test, calls->write);
	KUNIT_EXPECT_EQ(test, page_byte(1), buf[0]);
	KUNIT_EXPECT_EQ(test, page_byte(1), buf[LEN - 1]);
	leave(addr);
}

static void write_of_a_pfn_mapping_asks_the_driver(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	struct calls *calls = (struct calls *)mf->arg;
	unsigned long addr = map_all(test, remap_all, PROT_READ | PROT_WRITE);
	u8 byte = 'Z';

	ASSERT_MAPPED(test, addr);
	calls->most = LEN;

	KUNIT_EXPECT_EQ(test, 1, access_user(addr + INSIDE, &byte, 1, FOLL_WRITE));

	KUNIT_EXPECT_EQ(test, 1, calls->calls);
	KUNIT_EXPECT_TRUE(test, calls->write);
	KUNIT_EXPECT_EQ(test, 'Z', page_peek(mf->pages[0], INSIDE));
	KUNIT_EXPECT_EQ(test, page_byte(0), page_peek(mf->pages[0], INSIDE + 1));
	leave(addr);
}

static void pages_are_accessed_without_the_driver(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	struct calls *calls = (struct calls *)mf->arg;
	unsigned long addr = map_all(test, insert_all, PROT_READ);
	u8 byte = 0;

	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, 1, access_user(addr + INSIDE, &byte, 1, 0));

	KUNIT_EXPECT_EQ(test, page_byte(0), byte);
	KUNIT_EXPECT_EQ(test, 0, calls->calls);
	leave(addr);
}

static void short_answer_is_asked_for_the_rest(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	struct calls *calls = (struct calls *)mf->arg;
	unsigned long addr = map_all(test, remap_all, PROT_READ), border = addr + PAGE_SIZE;
	u8 buf[LEN] = {};

	ASSERT_MAPPED(test, addr);
	calls->most = LEN;

	KUNIT_EXPECT_EQ(test, LEN, access_user(border - 1, buf, LEN, 0));

	KUNIT_EXPECT_EQ(test, 2, calls->calls);
	KUNIT_EXPECT_EQ(test, border, calls->addr);
	KUNIT_EXPECT_EQ(test, LEN - 1, calls->len);
	KUNIT_EXPECT_EQ(test, page_byte(0), buf[0]);
	KUNIT_EXPECT_EQ(test, page_byte(1), buf[1]);
	leave(addr);
}

static void error_of_the_driver_copies_nothing(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	struct calls *calls = (struct calls *)mf->arg;
	unsigned long addr = map_all(test, remap_all, PROT_READ);
	u8 byte = 'x';

	ASSERT_MAPPED(test, addr);
	calls->most = -EIO;

	KUNIT_EXPECT_EQ(test, 0, access_user(addr, &byte, 1, 0));

	KUNIT_EXPECT_EQ(test, 1, calls->calls);
	KUNIT_EXPECT_EQ(test, 'x', byte);
	leave(addr);
}

#ifdef CONFIG_HAVE_IOREMAP_PROT
static const struct vm_operations_struct phys_ops = {
	MMAP_FILE_VM_OPS,
	.access = generic_access_phys,
};
#else
static const struct vm_operations_struct phys_ops = {};
#endif

static void set_reserved(struct mmap_file *mf, bool reserved)
{
	int i;

	for (i = 0; i < NPAGES; i++) {
		if (reserved)
			SetPageReserved(mf->pages[i]);
		else
			ClearPageReserved(mf->pages[i]);
	}
}

/* ioremap() takes memory for a device's only if it is reserved. */
static unsigned long map_phys(struct kunit *test, unsigned long prot)
{
	struct mmap_file *mf = test->priv;

	mf->vm_ops = &phys_ops;
	set_reserved(mf, true);
	return map_all(test, remap_all, prot);
}

static void leave_phys(struct kunit *test, unsigned long addr)
{
	leave(addr);
	set_reserved(test->priv, false);
}

static void generic_access_phys_reads_and_writes_the_page(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	unsigned long addr = map_phys(test, PROT_READ | PROT_WRITE);
	u8 read[2] = {}, byte = 'Z';

	KUNIT_EXPECT_EQ(test, 2, access_user(addr + 2 * PAGE_SIZE - 1, read, 2, 0));
	KUNIT_EXPECT_EQ(test, 1, access_user(addr + PAGE_SIZE + INSIDE, &byte, 1, FOLL_WRITE));
	leave_phys(test, addr);

	KUNIT_EXPECT_EQ(test, page_byte(1), read[0]);
	KUNIT_EXPECT_EQ(test, page_byte(2), read[1]);
	KUNIT_EXPECT_EQ(test, 'Z', page_peek(mf->pages[1], INSIDE));
	KUNIT_EXPECT_EQ(test, page_byte(1), page_peek(mf->pages[1], INSIDE + 1));
}

static void generic_access_phys_writes_to_no_read_only_page(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	unsigned long addr = map_phys(test, PROT_READ);
	u8 byte = 'Z';

	KUNIT_EXPECT_EQ(test, 0, access_user(addr + INSIDE, &byte, 1, FOLL_WRITE));
	KUNIT_EXPECT_EQ(test, 0, access_user(addr + INSIDE, &byte, 1, FOLL_WRITE | FOLL_FORCE));
	KUNIT_EXPECT_EQ(test, 1, access_user(addr + INSIDE, &byte, 1, 0));
	leave_phys(test, addr);

	KUNIT_EXPECT_EQ(test, page_byte(0), byte);
	KUNIT_EXPECT_EQ(test, page_byte(0), page_peek(mf->pages[0], INSIDE));
}

static int remap_first(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return remap_pfn_range(vma, vma->vm_start, page_to_pfn(mf->pages[0]), PAGE_SIZE,
			       vma->vm_page_prot);
}

static void generic_access_phys_stops_at_an_empty_pte(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	unsigned long addr;
	u8 byte = 'x';

	mf->vm_ops = &phys_ops;
	addr = map_all(test, remap_first, PROT_READ);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, 0, access_user(addr + PAGE_SIZE, &byte, 1, 0));

	KUNIT_EXPECT_EQ(test, 'x', byte);
	leave(addr);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(read_of_a_pfn_mapping_asks_the_driver),
	KUNIT_CASE(write_of_a_pfn_mapping_asks_the_driver),
	KUNIT_CASE(pages_are_accessed_without_the_driver),
	KUNIT_CASE(short_answer_is_asked_for_the_rest),
	KUNIT_CASE(error_of_the_driver_copies_nothing),
	KUNIT_CASE(generic_access_phys_reads_and_writes_the_page),
	KUNIT_CASE(generic_access_phys_writes_to_no_read_only_page),
	KUNIT_CASE(generic_access_phys_stops_at_an_empty_pte),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_vma_access",
	.suite_init = find_loader,
	.init = open_in_loader,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the access handler and generic_access_phys()");
MODULE_LICENSE("GPL");
