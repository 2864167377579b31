// SPDX-License-Identifier: GPL-2.0
/*
 * A dma-buf of a heap: pages of the allocator (system), or of memory that is reserved
 * for it (CMA), both mapped as bare PFNs.
 */
#include <linux/dma-heap.h>

#include "memsafe_driver.h"

#define SYSTEM "/dev/dma_heap/system"
#define CMA "/dev/dma_heap/reserved"

static const char *needs(const char *node)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	return access(node, F_OK) ? node : NULL;
}

static int heap_open(struct driver_object *object, const char *node)
{
	struct dma_heap_allocation_data data = {
		.len = 4 * getpagesize(),
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int err;

	object->fd = -1;
	object->size = data.len;
	object->held[0] = open(node, O_RDWR | O_CLOEXEC);
	if ((err = driver_opened(object, object->held[0])))
		return err;
	err = driver_opened(
		object, ioctl(object->held[0], DMA_HEAP_IOCTL_ALLOC, &data));
	if (!err)
		object->fd = data.fd;
	return err;
}

/* dma_buf_mmap_internal(), drivers/dma-buf/dma-buf.c */
#define HEAP_CONTRACT                                                          \
	.past_end = EINVAL, .grow = EFAULT,                                    \
	.pages = EFAULT, /* VM_PFNMAP, and there is no ->access. */            \
		.proc_mem = EIO

static const char *dma_heap_needs(void)
{
	return needs(SYSTEM);
}

static int dma_heap_open(struct driver_object *object)
{
	return heap_open(object, SYSTEM);
}

static struct memsafe_driver dma_heap = {
	.name = "dma_heap",
	.needs = dma_heap_needs,
	.open = dma_heap_open,
	HEAP_CONTRACT,
	/* A page at a time, so never a copy (remap_pfn_range(), mm/memory.c). */
	.private = EINVAL,
};
MEMSAFE_DRIVER(dma_heap);

static const char *cma_heap_needs(void)
{
	return needs(CMA);
}

static int cma_heap_open(struct driver_object *object)
{
	return heap_open(object, CMA);
}

static struct memsafe_driver cma_heap = {
	.name = "cma_heap",
	.needs = cma_heap_needs,
	.open = cma_heap_open,
	HEAP_CONTRACT,
	/* cma_heap_mmap() */
	.private = EINVAL,
};
MEMSAFE_DRIVER(cma_heap);
