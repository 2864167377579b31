/* SPDX-License-Identifier: GPL-2.0 */
/* How a case looks at the VMAs that it has made of its file. */
#ifndef MEMSAFE_VMA_H
#define MEMSAFE_VMA_H

#include "memsafe_mmap_file.h"

/* What was said of the VMA at an address; all zero if there is none. */
struct vma_view {
	unsigned long start, end, pgoff, flags;
	struct file *file;
	const struct vm_operations_struct *ops;
	void *data;
};

static inline struct vma_view view_vma(unsigned long addr)
{
	struct vma_view view = {};
	struct vm_area_struct *vma;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma)
		view = (struct vma_view){
			.start = vma->vm_start, .end = vma->vm_end, .pgoff = vma->vm_pgoff,
			.flags = vma->vm_flags, .file = vma->vm_file,
			.ops = vma->vm_ops, .data = vma->vm_private_data,
		};
	mmap_read_unlock(current->mm);
	return view;
}

/*
 * There is one VMA of just the pages from `first` to before `last` of a mapping
 * that was made at `addr`, from page `file_pgoff` of the file on.
 */
#define EXPECT_FILE_VMA(test, mf, file_pgoff, addr, first, last) do {		\
	const unsigned long __start = (addr) + (first) * PAGE_SIZE;		\
	const struct vma_view __vma = view_vma(__start);			\
										\
	KUNIT_EXPECT_EQ(test, __start, __vma.start);				\
	KUNIT_EXPECT_EQ(test, (addr) + (last) * PAGE_SIZE, __vma.end);		\
	KUNIT_EXPECT_EQ(test, (file_pgoff) + (first), __vma.pgoff);		\
	KUNIT_EXPECT_PTR_EQ(test, (mf)->file, __vma.file);			\
	KUNIT_EXPECT_PTR_EQ(test, (void *)(mf), __vma.data);			\
} while (0)

/* How many there are of the file, if ->open and ->close are in pairs. */
static inline int count_vmas(struct mmap_file *mf)
{
	return mf->mmaps + mf->opens - mf->closes;
}

#endif
