// SPDX-License-Identifier: GPL-2.0
/*
 * The reference driver with a bug, of the kinds that drivers really had.  Only
 * built with MEMSAFE_BUG=<name>, for the tests that must notice; the linker then
 * puts these functions in front of the right ones (--wrap in Kbuild), which stay
 * as they are.  The parameter "bug" is the one that the driver has now.
 */
#include <linux/highmem.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "memsafe_compat.h"
#include "memsafe_dev.h"

/* clang-format off */
#define MEMSAFE_DEV_BUGS(X)                                                   \
	X(none)                                                               \
	/* Bounds */                                                          \
	X(end_is_too_late)              /* a page more than there is */       \
	X(end_is_too_early)             /* the last page is left out */       \
	X(offset_ignored)               /* every mapping begins at page 0 */  \
	X(offset_not_checked)           /* the length is */                   \
	X(offset_is_signed)             /* and less than any size */          \
	X(offset_in_32_bits)                                                  \
	X(size_in_32_bits)                                                    \
	/* Fault handlers */                                                  \
	X(first_page_everywhere)                                              \
	X(first_page_past_the_end)                                            \
	X(offset_from_the_mapping)      /* and not from vm_pgoff */           \
	X(page_of_its_own)              /* a new one for each fault */        \
	X(user_faults_only)             /* none for the kernel's accesses */  \
	X(segv_past_the_end)                                                  \
	/* Flags and permissions */                                           \
	X(grows)                                                              \
	X(dumped)                                                             \
	X(not_in_child)                                                       \
	X(not_for_the_kernel)           /* VM_IO */                           \
	X(not_executable)                                                     \
	X(splits)                                                             \
	X(moves)                                                              \
	X(writable)                                                           \
	X(stays_maywrite)                                                     \
	X(mapped_writable)              /* VM_WRITE for who reads */          \
	X(faults_writable)              /* PTEs for who reads */              \
	X(access_writes)                /* whatever the mapping */            \
	X(private_is_shared)                                                  \
	/* References and memory */                                           \
	X(gone_after_close)             /* the object, of the file */         \
	X(gone_after_munmap)            /* the first one */                   \
	X(leaks_the_object)                                                   \
	X(leaks_on_failure)                                                   \
	X(leaks_a_reference)            /* for each fault */                  \
	X(not_zeroed)                                                         \
	X(tail_not_zeroed)                                                    \
	/* Errors */                                                          \
	X(positive_errno)                                                     \
	X(other_errno)
/* clang-format on */

enum bug {
#define X(name) BUG_##name,
	MEMSAFE_DEV_BUGS(X)
#undef X
};

static const char *const names[] = {
#define X(name) #name,
	MEMSAFE_DEV_BUGS(X)
#undef X
		NULL};

static enum bug bug = MEMSAFE_BUG;

static int set_bug(const char *name, const struct kernel_param *param)
{
	int found = __sysfs_match_string(names, -1, name);

	if (found < 0)
		return found;
	bug = found;
	return 0;
}

static int get_bug(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", names[bug]);
}

static const struct kernel_param_ops bug_ops = {
	.set = set_bug,
	.get = get_bug,
};
module_param_cb(bug, &bug_ops, NULL, 0644);
MODULE_PARM_DESC(bug, "the bug that the driver has");

struct memsafe_dev_buffer *
__real_memsafe_dev_buffer_create(const struct memsafe_dev_setup *setup);
void __real_memsafe_dev_buffer_destroy(struct memsafe_dev_buffer *buf);
struct page *
__real_memsafe_dev_buffer_page(const struct memsafe_dev_buffer *buf,
			       unsigned long pgoff);
int __real_memsafe_dev_mmap(struct file *file, struct vm_area_struct *vma);

struct memsafe_dev_buffer *
__wrap_memsafe_dev_buffer_create(const struct memsafe_dev_setup *setup);
void __wrap_memsafe_dev_buffer_destroy(struct memsafe_dev_buffer *buf);
struct page *
__wrap_memsafe_dev_buffer_page(const struct memsafe_dev_buffer *buf,
			       unsigned long pgoff);
int __wrap_memsafe_dev_mmap(struct file *file, struct vm_area_struct *vma);

/* The buffer that was freed too early, as far as its users can tell. */
static const struct memsafe_dev_buffer *gone;

#define DIRTY_PAGES 16

/*
 * Pages that hold what they held.  Taken before the buffer's own, they are those
 * that were freed last.
 */
static void take_dirty_pages(struct page *dirty[DIRTY_PAGES])
{
	int i;

	for (i = 0; i < DIRTY_PAGES; i++)
		dirty[i] = alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT);
}

/* The buffer gets them for its own, as far as it has such. */
static void swap_dirty_pages(struct memsafe_dev_buffer *buf,
			     struct page *dirty[DIRTY_PAGES])
{
	unsigned long i, n = 0;

	if (!IS_ERR(buf) && buf->memory == MEMSAFE_DEV_PAGES)
		n = buf->npages;
	for (i = 0; i < DIRTY_PAGES; i++) {
		if (i < n && dirty[i])
			swap(buf->pages[i], dirty[i]);
		if (dirty[i])
			__free_page(dirty[i]);
	}
}

static void zero_to_the_size(struct memsafe_dev_buffer *buf)
{
	u64 at;

	for (at = 0; at < buf->size; at += PAGE_SIZE) {
		struct page *page = buf->pages[at >> PAGE_SHIFT];

		memzero_page(page, 0, min_t(u64, PAGE_SIZE, buf->size - at));
	}
}

struct memsafe_dev_buffer *
__wrap_memsafe_dev_buffer_create(const struct memsafe_dev_setup *setup)
{
	const bool dirties =
		bug == BUG_not_zeroed || bug == BUG_tail_not_zeroed;
	struct page *dirty[DIRTY_PAGES];
	struct memsafe_dev_buffer *buf;

	if (dirties)
		take_dirty_pages(dirty);
	buf = __real_memsafe_dev_buffer_create(setup);
	if (dirties)
		swap_dirty_pages(buf, dirty);

	/* One more, which nobody knows of. */
	if (bug == BUG_leaks_on_failure && buf == ERR_PTR(-ENOMEM))
		__real_memsafe_dev_buffer_create(setup);
	if (IS_ERR(buf))
		return buf;
	if (bug == BUG_tail_not_zeroed)
		zero_to_the_size(buf);
	/* An address may come back. */
	if (gone == buf)
		gone = NULL;
	return buf;
}

void __wrap_memsafe_dev_buffer_destroy(struct memsafe_dev_buffer *buf)
{
	if (bug != BUG_leaks_the_object)
		__real_memsafe_dev_buffer_destroy(buf);
}

struct page *
__wrap_memsafe_dev_buffer_page(const struct memsafe_dev_buffer *buf,
			       unsigned long pgoff)
{
	struct page *page;

	if (buf == gone)
		return NULL;
	if (bug == BUG_first_page_everywhere)
		pgoff = 0;
	if (bug == BUG_end_is_too_late && pgoff == buf->npages)
		pgoff--;
	page = __real_memsafe_dev_buffer_page(buf, pgoff);
	if (bug == BUG_first_page_past_the_end && !page)
		page = buf->pages[0];
	if (bug == BUG_leaks_a_reference && page &&
	    buf->memory == MEMSAFE_DEV_PAGES)
		get_page(page);
	return page;
}

/*
 * Those of the mapping that was made last, with what the bug changes. All
 * mappings of one time are of one kind.
 */
static const struct vm_operations_struct *right_ops;
static struct vm_operations_struct wrong_ops;

static vm_fault_t insert_writable(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct memsafe_dev_file *dev = vma->vm_private_data;
	pgprot_t prot = vm_get_page_prot(VM_READ | VM_WRITE | VM_SHARED);
	struct page *page = dev->buffer->pages[vmf->pgoff];
	pgprot_t right = vma->vm_page_prot;
	vm_fault_t ret;

	if (vma->vm_flags & VM_PFNMAP)
		return vmf_insert_pfn_prot(vma, vmf->address, page_to_pfn(page),
					   prot);
	vma->vm_page_prot = prot;
	ret = vm_insert_page(vma, vmf->address, page) ? VM_FAULT_SIGBUS
						      : VM_FAULT_NOPAGE;
	vma->vm_page_prot = right;
	return ret;
}

static vm_fault_t wrong_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct memsafe_dev_file *dev = vma->vm_private_data;
	bool past_end = vmf->pgoff >= dev->buffer->npages;

	switch (bug) {
	case BUG_offset_from_the_mapping:
		*(pgoff_t *)&vmf->pgoff =
			(vmf->address - vma->vm_start) >> PAGE_SHIFT;
		break;
	case BUG_page_of_its_own:
		vmf->page = alloc_page(GFP_HIGHUSER | __GFP_ZERO);
		return vmf->page ? 0 : VM_FAULT_OOM;
	case BUG_user_faults_only:
		if (!(vmf->flags & FAULT_FLAG_USER))
			return VM_FAULT_SIGBUS;
		break;
	case BUG_segv_past_the_end:
		if (past_end)
			return VM_FAULT_SIGSEGV;
		break;
	case BUG_faults_writable:
		return insert_writable(vmf);
	case BUG_private_is_shared:
		if (is_cow_mapping(vma->vm_flags) && !past_end)
			return insert_writable(vmf);
		break;
	case BUG_gone_after_close:
		/* Nobody but this mapping has the file. */
		if (file_count(vma->vm_file) == 1)
			return VM_FAULT_SIGBUS;
		break;
	default:
		break;
	}
	return right_ops->fault(vmf);
}

static void wrong_close(struct vm_area_struct *vma)
{
	struct memsafe_dev_file *dev = vma->vm_private_data;

	if (bug == BUG_gone_after_munmap)
		gone = dev->buffer;
	right_ops->close(vma);
}

static int wrong_access(struct vm_area_struct *vma, unsigned long addr,
			void *data, int len, int write)
{
	struct memsafe_dev_file *dev = vma->vm_private_data;
	u64 pos = ((u64)vma->vm_pgoff << PAGE_SHIFT) + addr - vma->vm_start;

	return memsafe_dev_buffer_access(dev->buffer, pos, data, len, write);
}

static void take_wrong_ops(struct vm_area_struct *vma)
{
	right_ops = vma->vm_ops;
	wrong_ops = *right_ops;
	wrong_ops.close = wrong_close;
	if (wrong_ops.fault)
		wrong_ops.fault = wrong_fault;
	if (bug == BUG_splits)
		wrong_ops.may_split = NULL;
	if (bug == BUG_moves)
		wrong_ops.mremap = NULL;
	if (bug == BUG_access_writes && wrong_ops.access)
		wrong_ops.access = wrong_access;
	vma->vm_ops = &wrong_ops;
}

static void take_wrong_flags(struct vm_area_struct *vma)
{
	switch (bug) {
	case BUG_grows:
		vm_flags_clear(vma, VM_DONTEXPAND);
		break;
	case BUG_dumped:
		vm_flags_clear(vma, VM_DONTDUMP);
		break;
	case BUG_not_in_child:
		vm_flags_set(vma, VM_DONTCOPY);
		break;
	case BUG_not_for_the_kernel:
		vm_flags_set(vma, VM_IO);
		break;
	case BUG_stays_maywrite:
		vm_flags_set(vma, VM_MAYWRITE);
		break;
	case BUG_mapped_writable:
		vm_flags_set(vma, VM_WRITE | VM_MAYWRITE);
		break;
	case BUG_private_is_shared:
		/* vm_insert_page() wants it. */
		vm_flags_set(vma, VM_MIXEDMAP);
		break;
	default:
		break;
	}
}

/* Does the driver's check let a range through that is outside the buffer? */
static bool passes(const struct memsafe_dev_buffer *buf,
		   const struct vm_area_struct *vma)
{
	u64 size = vma->vm_end - vma->vm_start;
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 end = (u64)buf->npages << PAGE_SHIFT;

	switch (bug) {
	case BUG_end_is_too_late:
		return offset + size == end + PAGE_SIZE;
	case BUG_offset_not_checked:
		return size <= end;
	case BUG_offset_is_signed:
		return (s64)offset < 0 && size <= end;
	case BUG_size_in_32_bits:
		return offset + (u32)size <= end;
	default:
		return false;
	}
}

int __wrap_memsafe_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct memsafe_dev_file *dev = file->private_data;
	struct memsafe_dev_buffer *buf = dev->buffer;
	u32 right;
	int err;

	if (!buf || bug == BUG_none)
		return __real_memsafe_dev_mmap(file, vma);
	if (bug == BUG_end_is_too_early && vma->vm_pgoff &&
	    vma->vm_pgoff + vma_pages(vma) == buf->npages)
		return -EINVAL;
	if (bug == BUG_not_executable && vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (bug == BUG_offset_ignored)
		vma->vm_pgoff = 0;
	if (bug == BUG_offset_in_32_bits)
		vma->vm_pgoff &= U32_MAX >> PAGE_SHIFT;

	right = buf->flags;
	/* What is mapped at once must not be: there is nothing behind. */
	if (buf->map <= MEMSAFE_DEV_FAULT_PFN && passes(buf, vma))
		buf->flags |= MEMSAFE_DEV_OPEN_END;
	if (bug == BUG_writable)
		buf->flags &= ~MEMSAFE_DEV_READ_ONLY;
	err = __real_memsafe_dev_mmap(file, vma);
	buf->flags = right;

	if (!err) {
		take_wrong_flags(vma);
		take_wrong_ops(vma);
	}
	if (bug == BUG_other_errno && err)
		return -ENOMEM;
	return bug == BUG_positive_errno ? -err : err;
}
