// SPDX-License-Identifier: GPL-2.0
/*
 * Every correct way to map a buffer into user space.  Fault handlers derive
 * the page from vmf->pgoff, check it against the buffer (not the VMA, which
 * user space sizes) and insert it; the others check the whole range first and
 * fill it in ->mmap.
 */
#include <linux/pagemap.h>
#include <linux/vmalloc.h>

#include "memsafe_compat.h"
#include "memsafe_dev.h"

static u32 seen_flags(unsigned int flags)
{
	static const struct {
		unsigned int flag;
		u32 seen;
	} table[] = {
		{ FAULT_FLAG_WRITE, MEMSAFE_DEV_SEEN_WRITE },
		{ FAULT_FLAG_MKWRITE, MEMSAFE_DEV_SEEN_MKWRITE },
		{ FAULT_FLAG_ALLOW_RETRY, MEMSAFE_DEV_SEEN_ALLOW_RETRY },
		{ FAULT_FLAG_TRIED, MEMSAFE_DEV_SEEN_TRIED },
		{ FAULT_FLAG_USER, MEMSAFE_DEV_SEEN_USER },
		{ FAULT_FLAG_REMOTE, MEMSAFE_DEV_SEEN_REMOTE },
		{ FAULT_FLAG_INSTRUCTION, MEMSAFE_DEV_SEEN_INSTRUCTION },
	};
	u32 seen = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		if (flags & table[i].flag)
			seen |= table[i].seen;
	return seen;
}

static struct memsafe_dev_seen seen(const struct vm_fault *vmf)
{
	return (struct memsafe_dev_seen){
		.pgoff = vmf->pgoff,
		.address = vmf->address,
		.real_address = vmf->real_address,
		.flags = seen_flags(vmf->flags),
	};
}

/* The injected return value, 0 if there is none for this call. */
static vm_fault_t injected(struct memsafe_dev_file *dev, struct vm_fault *vmf,
			   u32 handler)
{
	u32 action;

	if (!memsafe_dev_take(dev, handler, vmf->pgoff, &action))
		return 0;

	switch (action) {
	case MEMSAFE_DEV_RETURN_SIGBUS:
		return VM_FAULT_SIGBUS;
	case MEMSAFE_DEV_RETURN_SIGSEGV:
		return VM_FAULT_SIGSEGV;
	case MEMSAFE_DEV_RETURN_OOM:
		return VM_FAULT_OOM;
	case MEMSAFE_DEV_RETURN_HWPOISON:
		return VM_FAULT_HWPOISON;
	case MEMSAFE_DEV_RETURN_NOPAGE:
		return VM_FAULT_NOPAGE;
	case MEMSAFE_DEV_RETURN_LOCKED:
		return VM_FAULT_LOCKED;
	case MEMSAFE_DEV_RETURN_MAJOR:
		return VM_FAULT_MAJOR;
	case MEMSAFE_DEV_RETURN_RETRY:
		/* Whoever does not allow a retry counts on the lock. */
		if (!fault_flag_allow_retry_first(vmf->flags) ||
		    vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
			return 0;
		release_fault_lock(vmf);
		return VM_FAULT_RETRY;
	}
	return 0;
}

/*
 * The part all fault handlers share.  A page, or NULL with the value that the
 * handler must return.  With a page, *ret says what to add to that value.
 */
static struct page *fault_page(struct vm_fault *vmf, vm_fault_t *ret)
{
	struct memsafe_dev_file *dev = vmf->vma->vm_private_data;
	struct page *page;

	spin_lock(&dev->lock);
	dev->counters.faults++;
	dev->counters.fault = seen(vmf);
	spin_unlock(&dev->lock);

	*ret = injected(dev, vmf, MEMSAFE_DEV_ON_FAULT);
	if (*ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY))
		return NULL;

	page = memsafe_dev_buffer_page(dev->buffer, vmf->pgoff);
	if (!page)
		*ret = VM_FAULT_SIGBUS;
	return page;
}

/* The reference is for the page table; the core drops it at unmap. */
static vm_fault_t memsafe_dev_fault(struct vm_fault *vmf)
{
	vm_fault_t ret;
	struct page *page = fault_page(vmf, &ret);

	if (!page)
		return ret;
	get_page(page);
	if (ret & VM_FAULT_LOCKED)
		lock_page(page);
	vmf->page = page;
	return ret;
}

/* vm_insert_page() takes the reference itself. */
static vm_fault_t memsafe_dev_fault_insert(struct vm_fault *vmf)
{
	vm_fault_t ret;
	struct page *page = fault_page(vmf, &ret);
	int err;

	if (!page)
		return ret;
	err = vm_insert_page(vmf->vma, vmf->address, page);
	/* Another thread has faulted the same page in before us. */
	if (err && err != -EBUSY)
		return vmf_error(err);
	return VM_FAULT_NOPAGE | (ret & VM_FAULT_MAJOR);
}

/* No reference at all: the buffer lives as long as the file of the VMA. */
static vm_fault_t memsafe_dev_fault_pfn(struct vm_fault *vmf)
{
	vm_fault_t ret;
	struct page *page = fault_page(vmf, &ret);

	if (!page)
		return ret;
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page)) |
	       (ret & VM_FAULT_MAJOR);
}

/*
 * Returning 0 would make the core look for page->mapping, which driver pages
 * lack, and repeat the fault for ever.
 */
static vm_fault_t memsafe_dev_page_mkwrite(struct vm_fault *vmf)
{
	struct memsafe_dev_file *dev = vmf->vma->vm_private_data;
	vm_fault_t ret;

	spin_lock(&dev->lock);
	dev->counters.page_mkwrites++;
	dev->counters.mkwrite = seen(vmf);
	spin_unlock(&dev->lock);

	ret = injected(dev, vmf, MEMSAFE_DEV_ON_MKWRITE);
	if (ret)
		return ret;
	lock_page(vmf->page);
	return VM_FAULT_LOCKED;
}

static vm_fault_t memsafe_dev_pfn_mkwrite(struct vm_fault *vmf)
{
	struct memsafe_dev_file *dev = vmf->vma->vm_private_data;

	spin_lock(&dev->lock);
	dev->counters.pfn_mkwrites++;
	dev->counters.mkwrite = seen(vmf);
	spin_unlock(&dev->lock);

	return injected(dev, vmf, MEMSAFE_DEV_ON_MKWRITE);
}

static void memsafe_dev_vm_open(struct vm_area_struct *vma)
{
	struct memsafe_dev_file *dev = vma->vm_private_data;

	memsafe_dev_count(dev, &dev->counters.opens);
}

static void memsafe_dev_vm_close(struct vm_area_struct *vma)
{
	struct memsafe_dev_file *dev = vma->vm_private_data;

	memsafe_dev_count(dev, &dev->counters.closes);
}

static int memsafe_dev_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	struct memsafe_dev_file *dev = vma->vm_private_data;

	return dev->buffer->flags & MEMSAFE_DEV_NO_SPLIT ? -EINVAL : 0;
}

static int memsafe_dev_mremap(struct vm_area_struct *vma)
{
	struct memsafe_dev_file *dev = vma->vm_private_data;

	return dev->buffer->flags & MEMSAFE_DEV_NO_MREMAP ? -EPERM : 0;
}

/*
 * For ptrace and /proc/pid/mem, which can't get pages out of a PFN mapping.
 * The core checks neither the permission nor the end of the VMA before it
 * calls.  A private writable PFN mapping has its PFN in vm_pgoff instead of an
 * offset, and may hold pages that are no longer ours.
 */
static int memsafe_dev_access(struct vm_area_struct *vma, unsigned long addr,
			      void *data, int len, int write)
{
	struct memsafe_dev_file *dev = vma->vm_private_data;
	u64 pos = ((u64)vma->vm_pgoff << PAGE_SHIFT) + addr - vma->vm_start;

	if (is_cow_mapping(vma->vm_flags) ||
	    !(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EIO;

	memsafe_dev_count(dev, &dev->counters.accesses);
	len = min_t(unsigned long, len, vma->vm_end - addr);
	return memsafe_dev_buffer_access(dev->buffer, pos, data, len, write);
}

#define MEMSAFE_DEV_VM_OPS			\
	.open = memsafe_dev_vm_open,		\
	.close = memsafe_dev_vm_close,		\
	.may_split = memsafe_dev_may_split,	\
	.mremap = memsafe_dev_mremap

static const struct vm_operations_struct memsafe_dev_fault_ops = {
	MEMSAFE_DEV_VM_OPS,
	.fault = memsafe_dev_fault,
	.page_mkwrite = memsafe_dev_page_mkwrite,
};

static const struct vm_operations_struct memsafe_dev_fault_insert_ops = {
	MEMSAFE_DEV_VM_OPS,
	.fault = memsafe_dev_fault_insert,
	.page_mkwrite = memsafe_dev_page_mkwrite,
};

static const struct vm_operations_struct memsafe_dev_fault_pfn_ops = {
	MEMSAFE_DEV_VM_OPS,
	.fault = memsafe_dev_fault_pfn,
	.pfn_mkwrite = memsafe_dev_pfn_mkwrite,
	.access = memsafe_dev_access,
};

static const struct vm_operations_struct memsafe_dev_remap_ops = {
	MEMSAFE_DEV_VM_OPS,
	.access = memsafe_dev_access,
};

/* Pages with references: the core can do the rest by itself. */
static const struct vm_operations_struct memsafe_dev_insert_ops = {
	MEMSAFE_DEV_VM_OPS,
};

/* Subtracts instead of adding: offset plus length may wrap around. */
static bool is_inside(struct memsafe_dev_buffer *buf,
		      struct vm_area_struct *vma)
{
	return vma->vm_pgoff <= buf->npages &&
	       vma_pages(vma) <= buf->npages - vma->vm_pgoff;
}

static int map_by_fault(struct memsafe_dev_buffer *buf,
			struct vm_area_struct *vma)
{
	/* The core must not grow what can't be filled. */
	if (!(buf->flags & MEMSAFE_DEV_OPEN_END))
		vm_flags_set(vma, VM_DONTEXPAND);
	/* A core dump is of the program, not of the device. */
	vm_flags_set(vma, VM_DONTDUMP);

	switch (buf->map) {
	case MEMSAFE_DEV_FAULT:
		vma->vm_ops = &memsafe_dev_fault_ops;
		return 0;
	case MEMSAFE_DEV_FAULT_INSERT:
		/* vm_insert_page() can't set it under the lock of a fault. */
		vm_flags_set(vma, VM_MIXEDMAP);
		vma->vm_ops = &memsafe_dev_fault_insert_ops;
		return 0;
	default:
		/* vmf_insert_pfn() can't make a private copy: BUG. */
		if (is_cow_mapping(vma->vm_flags))
			return -EINVAL;
		vm_flags_set(vma, VM_PFNMAP | VM_IO);
		vma->vm_ops = &memsafe_dev_fault_pfn_ops;
		return 0;
	}
}

/*
 * A private writable mapping has to be made by one call for the whole VMA, so
 * contiguous memory is.  With scattered pages the core refuses it.
 */
static int remap_pfn(struct memsafe_dev_buffer *buf, struct vm_area_struct *vma)
{
	unsigned long pgoff = vma->vm_pgoff;
	unsigned long step = vma->vm_end - vma->vm_start;
	unsigned long addr;
	int err;

	if (buf->memory != MEMSAFE_DEV_KMALLOC)
		step = PAGE_SIZE;
	for (addr = vma->vm_start; addr < vma->vm_end; addr += step) {
		err = remap_pfn_range(vma, addr,
				      page_to_pfn(buf->pages[pgoff++]), step,
				      vma->vm_page_prot);
		if (err)
			return err;
	}
	return 0;
}

static int insert_page(struct memsafe_dev_buffer *buf,
		       struct vm_area_struct *vma)
{
	unsigned long i;
	int err;

	for (i = 0; i < vma_pages(vma); i++) {
		err = vm_insert_page(vma, vma->vm_start + (i << PAGE_SHIFT),
				     buf->pages[vma->vm_pgoff + i]);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Each may fail half way.  What is mapped by then is taken away by the core
 * when ->mmap fails, and the buffer stays until long after that.
 */
static int map_now(struct memsafe_dev_buffer *buf, struct vm_area_struct *vma)
{
	unsigned long num = vma_pages(vma);

	vma->vm_ops = &memsafe_dev_insert_ops;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);

	switch (buf->map) {
	case MEMSAFE_DEV_REMAP_PFN:
		vma->vm_ops = &memsafe_dev_remap_ops;
		return remap_pfn(buf, vma);
	case MEMSAFE_DEV_INSERT_PAGE:
		return insert_page(buf, vma);
	case MEMSAFE_DEV_INSERT_PAGES:
		return vm_insert_pages(vma, vma->vm_start,
				       buf->pages + vma->vm_pgoff, &num);
	case MEMSAFE_DEV_MAP_PAGES:
		return vm_map_pages(vma, buf->pages, buf->npages);
	default:
		return remap_vmalloc_range(vma, buf->kaddr, vma->vm_pgoff);
	}
}

/*
 * -ENXIO without a buffer, -EINVAL outside it, -EACCES for a writable mapping
 * of a read-only one.
 */
int memsafe_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct memsafe_dev_file *dev = file->private_data;
	struct memsafe_dev_buffer *buf = memsafe_dev_buffer(dev);
	int err;

	if (!buf)
		return -ENXIO;
	if (!(buf->flags & MEMSAFE_DEV_OPEN_END) && !is_inside(buf, vma))
		return -EINVAL;
	/* Private mappings write to copies. */
	if (buf->flags & MEMSAFE_DEV_READ_ONLY && vma->vm_flags & VM_SHARED) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		/* Or mprotect() would allow later what mmap() refuses. */
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	vma->vm_private_data = dev;
	if (buf->map <= MEMSAFE_DEV_FAULT_PFN)
		err = map_by_fault(buf, vma);
	else
		err = map_now(buf, vma);
	/* ->open is not called for the first VMA, ->close is. */
	if (!err)
		memsafe_dev_count(dev, &dev->counters.mmaps);
	return err;
}
