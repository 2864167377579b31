/* SPDX-License-Identifier: GPL-2.0 */
/* What kernels before 6.12, down to 6.1, call by another name. */
#ifndef MEMSAFE_DEV_COMPAT_H
#define MEMSAFE_DEV_COMPAT_H

#include <linux/mm.h>
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

#endif
