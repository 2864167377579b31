// SPDX-License-Identifier: GPL-2.0
/*
 * The buffer of one open file: memory of one of three kinds, always zeroed,
 * always seen as an array of pages, and copied from and to without a mapping
 * into user space.
 */
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>

#include "memsafe_compat.h"
#include "memsafe_dev.h"

static atomic_long_t memsafe_dev_buffers;
static atomic_long_t memsafe_dev_pages;

static bool maps_by_fault(u32 map)
{
	return map == MEMSAFE_DEV_FAULT || map == MEMSAFE_DEV_FAULT_INSERT ||
	       map == MEMSAFE_DEV_FAULT_PFN;
}

static bool is_valid(const struct memsafe_dev_setup *setup)
{
	const u32 flags = MEMSAFE_DEV_READ_ONLY | MEMSAFE_DEV_OPEN_END |
			  MEMSAFE_DEV_NO_SPLIT | MEMSAFE_DEV_NO_MREMAP;

	if (!setup->size || setup->size > MEMSAFE_DEV_MAX_SIZE ||
	    setup->memory > MEMSAFE_DEV_KMALLOC ||
	    setup->map > MEMSAFE_DEV_REMAP_VMALLOC ||
	    setup->flags & ~flags || setup->reserved)
		return false;
	if (setup->flags & MEMSAFE_DEV_OPEN_END && !maps_by_fault(setup->map))
		return false;
	if (setup->map == MEMSAFE_DEV_REMAP_VMALLOC)
		return setup->memory == MEMSAFE_DEV_VMALLOC;
	/* A slab page has no reference count that a mapping could hold. */
	if (setup->memory == MEMSAFE_DEV_KMALLOC)
		return setup->map == MEMSAFE_DEV_REMAP_PFN ||
		       setup->map == MEMSAFE_DEV_FAULT_PFN;
	return true;
}

/*
 * What user space will map is zeroed to the end of its last page: the bytes
 * behind the size are mapped too.
 */
static int allocate(struct memsafe_dev_buffer *buf)
{
	const size_t bytes = buf->npages << PAGE_SHIFT;
	unsigned long i;

	switch (buf->memory) {
	case MEMSAFE_DEV_VMALLOC:
		buf->kaddr = vmalloc_user(bytes);
		break;
	case MEMSAFE_DEV_KMALLOC:
		/* Only a power of two is sure to be aligned to its size. */
		buf->kaddr = kzalloc(roundup_pow_of_two(bytes),
				     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		break;
	}
	if (buf->memory != MEMSAFE_DEV_PAGES && !buf->kaddr)
		return -ENOMEM;

	for (i = 0; i < buf->npages; i++) {
		void *kaddr = buf->kaddr + (i << PAGE_SHIFT);

		if (buf->memory == MEMSAFE_DEV_VMALLOC)
			buf->pages[i] = vmalloc_to_page(kaddr);
		else if (buf->memory == MEMSAFE_DEV_KMALLOC)
			buf->pages[i] = virt_to_page(kaddr);
		else
			buf->pages[i] = alloc_page(GFP_HIGHUSER |
						   __GFP_ACCOUNT | __GFP_ZERO);
		if (!buf->pages[i])
			return -ENOMEM;
	}
	return 0;
}

static void release(struct memsafe_dev_buffer *buf)
{
	unsigned long i;

	switch (buf->memory) {
	case MEMSAFE_DEV_PAGES:
		/*
		 * Drops our reference only: a page that somebody has pinned
		 * lives on until it is unpinned.
		 */
		for (i = 0; i < buf->npages && buf->pages[i]; i++)
			__free_page(buf->pages[i]);
		break;
	case MEMSAFE_DEV_VMALLOC:
		vfree(buf->kaddr);
		break;
	case MEMSAFE_DEV_KMALLOC:
		kfree(buf->kaddr);
		break;
	}
	kvfree(buf);
}

/* -EINVAL for what the setup may not ask for, or -ENOMEM. */
struct memsafe_dev_buffer *
memsafe_dev_buffer_create(const struct memsafe_dev_setup *setup)
{
	struct memsafe_dev_buffer *buf;
	unsigned long npages;
	int err;

	if (!is_valid(setup))
		return ERR_PTR(-EINVAL);
	npages = PAGE_ALIGN(setup->size) >> PAGE_SHIFT;

	buf = kvzalloc(struct_size(buf, pages, npages), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->npages = npages;
	buf->size = setup->size;
	buf->memory = setup->memory;
	buf->map = setup->map;
	buf->flags = setup->flags;

	err = allocate(buf);
	if (err) {
		release(buf);
		return ERR_PTR(err);
	}
	atomic_long_inc(&memsafe_dev_buffers);
	atomic_long_add(npages, &memsafe_dev_pages);
	return buf;
}

void memsafe_dev_buffer_destroy(struct memsafe_dev_buffer *buf)
{
	if (!buf)
		return;
	atomic_long_dec(&memsafe_dev_buffers);
	atomic_long_sub(buf->npages, &memsafe_dev_pages);
	release(buf);
}

void memsafe_dev_buffer_totals(u64 *buffers, u64 *pages)
{
	*buffers = atomic_long_read(&memsafe_dev_buffers);
	*pages = atomic_long_read(&memsafe_dev_pages);
}

/* NULL past the end.  The offset is user space's, by mmap() or ioctl(). */
struct page *memsafe_dev_buffer_page(const struct memsafe_dev_buffer *buf,
				     unsigned long pgoff)
{
	if (pgoff >= buf->npages)
		return NULL;
	return buf->pages[array_index_nospec(pgoff, buf->npages)];
}

/*
 * Copies up to `len` bytes from or to kernel memory and returns how many, like
 * vm_operations_struct.access.  Reaches all that can be mapped, so also the
 * bytes between the size and the end of the last page.
 */
int memsafe_dev_buffer_access(struct memsafe_dev_buffer *buf, u64 pos,
			      void *data, int len, bool write)
{
	int done = 0;

	while (done < len) {
		unsigned int offset = offset_in_page(pos);
		int part = min_t(int, len - done, PAGE_SIZE - offset);
		struct page *page;

		page = memsafe_dev_buffer_page(buf, pos >> PAGE_SHIFT);
		if (!page)
			break;
		if (write)
			memcpy_to_page(page, offset, data + done, part);
		else
			memcpy_from_page(data + done, page, offset, part);
		done += part;
		pos += part;
	}
	return done ?: -EIO;
}

/*
 * read() and write(), up to the size.  No lock is held while user memory is
 * touched: it may be a mapping of this very buffer, whose fault comes back to
 * this driver.
 */
ssize_t memsafe_dev_buffer_copy(struct memsafe_dev_buffer *buf, loff_t *pos,
				struct iov_iter *iter)
{
	const bool reading = iov_iter_rw(iter) == READ;
	ssize_t done = 0;

	while (iov_iter_count(iter) && *pos < buf->size) {
		struct page *page = buf->pages[*pos >> PAGE_SHIFT];
		size_t offset = offset_in_page(*pos);
		size_t part = min_t(u64, PAGE_SIZE - offset, buf->size - *pos);
		size_t copied;

		part = min(part, iov_iter_count(iter));
		/* For caches in which user space's copy is another one. */
		flush_dcache_page(page);
		if (reading) {
			copied = copy_page_to_iter(page, offset, part, iter);
		} else {
			copied = copy_page_from_iter(page, offset, part, iter);
			flush_dcache_page(page);
		}
		*pos += copied;
		done += copied;
		if (copied < part)
			return done ?: -EFAULT;
	}
	return done;
}
