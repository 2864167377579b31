/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file whose ->mmap and VMA operations the case chooses, and NPAGES pages that
 * they can map.  Page i is full of the byte page_byte(i).
 *
 * What a mapping uses must live until its VMA is gone, and that is after the
 * case: its mm dies with the thread that ran it.  So the suite's .exit,
 * close_mmap_file(), waits for the release of the file.
 */
#ifndef MEMSAFE_MMAP_FILE_H
#define MEMSAFE_MMAP_FILE_H

#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "memsafe_user.h"

enum { PAGES_ORDER = 3, NPAGES = 1 << PAGES_ORDER };

struct mmap_file {
	struct file *file;
	struct completion released;
	int (*mmap)(struct mmap_file *mf, struct vm_area_struct *vma);
	const struct vm_operations_struct *vm_ops;	/* NULL: open and close only */
	struct page *pages[NPAGES];	/* contiguous, each with a count of one; */
	void *vmalloc;			/* if set, they are its, in no order */
	const void *arg;		/* the case's, for ->mmap and fault handlers, */
	int err;			/* and where they leave what they got */
	vm_fault_t ret;
	unsigned long addr;		/* of the last VMA that ->mmap got, */
	unsigned long mapped;		/* and how many pages it had when ->mmap returned */
	int mmaps, opens, closes, faults;
};

static inline u8 page_byte(unsigned long page)
{
	return 'a' + page;
}

static inline void mmap_file_vm_open(struct vm_area_struct *vma)
{
	struct mmap_file *mf = vma->vm_private_data;

	mf->opens++;
}

static inline void mmap_file_vm_close(struct vm_area_struct *vma)
{
	struct mmap_file *mf = vma->vm_private_data;

	mf->closes++;
}

#define MMAP_FILE_VM_OPS .open = mmap_file_vm_open, .close = mmap_file_vm_close

static const struct vm_operations_struct mmap_file_vm_ops = { MMAP_FILE_VM_OPS };

static inline int mmap_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mmap_file *mf = file->private_data;
	unsigned long addr;
	int err;

	mf->mmaps++;
	mf->addr = vma->vm_start;
	vma->vm_private_data = mf;
	vma->vm_ops = mf->vm_ops ?: &mmap_file_vm_ops;
	err = mf->mmap ? mf->mmap(mf, vma) : 0;

	mf->mapped = 0;
	for (addr = vma->vm_start; addr < vma->vm_end; addr += PAGE_SIZE)
		mf->mapped += user_pte_locked(addr).present;
	return err;
}

static inline int mmap_file_release(struct inode *inode, struct file *file)
{
	struct mmap_file *mf = file->private_data;

	complete(&mf->released);
	return 0;
}

static const struct file_operations mmap_file_fops = {
	.owner = THIS_MODULE,
	.mmap = mmap_file_mmap,
	.release = mmap_file_release,
};

/* For the .init of a suite. */
static inline int open_mmap_file(struct kunit *test)
{
	struct mmap_file *mf;
	unsigned long addr;

	/* The first mapping makes an mm for a kthread that has none. */
	if (!current->mm) {
		addr = user_map(test, NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
				0);
		if (IS_ERR_VALUE(addr))
			return addr;
	}
	mf = kzalloc(sizeof(*mf), GFP_KERNEL);
	if (!mf)
		return -ENOMEM;
	init_completion(&mf->released);
	mf->file = anon_inode_getfile("memsafe", &mmap_file_fops, mf, O_RDWR);
	if (IS_ERR(mf->file)) {
		int err = PTR_ERR(mf->file);

		kfree(mf);
		return err;
	}
	test->priv = mf;
	return 0;
}

/* For its .exit.  A file that is never released keeps its memory: a leak. */
static inline void close_mmap_file(struct kunit *test)
{
	enum { SECONDS = 20 };
	struct mmap_file *mf = test->priv;
	int i;

	if (!mf)
		return;
	unmap_user_memory(test);
	fput_in_kthread(mf->file);
	if (!wait_for_completion_timeout(&mf->released, SECONDS * HZ)) {
		KUNIT_FAIL(test, "the file is still in use %d s after its last mapping", SECONDS);
		return;
	}
	for (i = 0; i < NPAGES && mf->pages[i] && !mf->vmalloc; i++)
		__free_page(mf->pages[i]);
	vfree(mf->vmalloc);
	kfree(mf);
}

static inline void fill_pages(struct mmap_file *mf)
{
	int i;

	for (i = 0; i < NPAGES; i++) {
		void *kaddr = kmap_local_page(mf->pages[i]);

		memset(kaddr, page_byte(i), PAGE_SIZE);
		kunmap_local(kaddr);
		flush_dcache_page(mf->pages[i]);
	}
}

/* Contiguous, of the highest zone there is, or NULL. */
static inline struct mmap_file *give_pages(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	struct page *block = alloc_pages(GFP_HIGHUSER, PAGES_ORDER);
	int i;

	if (!block)
		return NULL;
	split_page(block, PAGES_ORDER);
	for (i = 0; i < NPAGES; i++)
		mf->pages[i] = nth_page(block, i);
	fill_pages(mf);
	return mf;
}

/* The pages of a vmalloc area made to be mapped, or NULL. */
static inline struct mmap_file *give_vmalloc(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	int i;

	mf->vmalloc = vmalloc_user(NPAGES * PAGE_SIZE);
	if (!mf->vmalloc)
		return NULL;
	for (i = 0; i < NPAGES; i++)
		mf->pages[i] = vmalloc_to_page(mf->vmalloc + i * PAGE_SIZE);
	fill_pages(mf);
	return mf;
}

static inline u8 page_peek(struct page *page, unsigned long offset)
{
	u8 *kaddr = kmap_local_page(page);
	u8 value = READ_ONCE(kaddr[offset]);

	kunmap_local(kaddr);
	return value;
}

/*
 * Maps `npages` of the file from page `pgoff` on between two pages that nobody
 * may access:
 *
 *	| none | the mapping | none |
 *
 * An address, or -errno as one.
 */
static inline unsigned long map_file(struct kunit *test, unsigned long pgoff,
				     unsigned long npages, unsigned long prot,
				     unsigned long sharing)
{
	struct mmap_file *mf = test->priv;
	unsigned long room = user_map(test, NULL, (npages + 2) * PAGE_SIZE, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);

	if (IS_ERR_VALUE(room))
		return room;
	return user_map_at(test, room + PAGE_SIZE, mf->file, npages * PAGE_SIZE, prot,
			   sharing | MAP_FIXED, pgoff * PAGE_SIZE);
}

#define ASSERT_MAPPED(test, addr) \
	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR_VALUE(addr), "mmap: %ld", (long)(addr))

/* The page at a user address is this one: by its pfn, its first and its last byte. */
#define EXPECT_PAGE(test, mf, page, addr) do {					\
	const unsigned long __page = page, __addr = addr;			\
										\
	KUNIT_EXPECT_EQ_MSG(test, page_byte(__page), user_peek(__addr),		\
			    "page %lu", __page);				\
	KUNIT_EXPECT_EQ_MSG(test, page_byte(__page),				\
			    user_peek(__addr + PAGE_SIZE - 1), "page %lu", __page); \
	KUNIT_EXPECT_EQ_MSG(test, page_to_pfn((mf)->pages[__page]),		\
			    user_pte(__addr).pfn, "page %lu", __page);		\
} while (0)

/* There is nothing at a user address, and a fault does not change that. */
#define EXPECT_NO_PAGE(test, addr) do {						\
	KUNIT_EXPECT_FALSE(test, user_pte(addr).present);			\
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr));			\
	KUNIT_EXPECT_FALSE(test, user_pte(addr).present);			\
} while (0)

#endif
