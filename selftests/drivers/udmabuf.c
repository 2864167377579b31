// SPDX-License-Identifier: GPL-2.0
/* A dma-buf of the pages of a memfd, which is the other view of the same memory. */
#include <linux/udmabuf.h>

#include "memsafe_driver.h"

#define NODE "/dev/udmabuf"

static const char *udmabuf_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	return access(NODE, F_OK) ? NODE : NULL;
}

static int udmabuf_open(struct driver_object *object)
{
	struct udmabuf_create create = {.flags = UDMABUF_FLAGS_CLOEXEC};
	int *node = &object->held[0], *memfd = &object->held[1];
	int err;

	object->fd = -1;
	object->size = 4 * getpagesize();
	*node = open(NODE, O_RDWR | O_CLOEXEC);
	if ((err = driver_opened(object, *node)))
		return err;
	*memfd = memfd_create("udmabuf", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if ((err = driver_opened(object, *memfd)))
		/* Of no memory for the inode: FINDINGS.md. */
		return err == ENOSPC ? ENOMEM : err;
	if ((err = driver_opened(object, ftruncate(*memfd, object->size))))
		return err;
	if ((err = driver_opened(
		     object, fcntl(*memfd, F_ADD_SEALS, F_SEAL_SHRINK))))
		return err;
	create.memfd = *memfd;
	create.size = object->size;
	object->fd = ioctl(*node, UDMABUF_CREATE, &create);
	return driver_opened(object, object->fd);
}

static bool udmabuf_read(struct driver_object *object, void *to, size_t len,
			 off_t at)
{
	return pread(object->held[1], to, len, at) == (ssize_t)len;
}

static bool udmabuf_write(struct driver_object *object, const void *from,
			  size_t len, off_t at)
{
	return pwrite(object->held[1], from, len, at) == (ssize_t)len;
}

static struct memsafe_driver udmabuf = {
	.name = "udmabuf",
	.needs = udmabuf_needs,
	.open = udmabuf_open,
	.read = udmabuf_read,
	.write_to = udmabuf_write,
	/* dma_buf_mmap_internal(), drivers/dma-buf/dma-buf.c */
	.past_end = EINVAL,
	/* mmap_udmabuf(): shared only, VM_PFNMAP | VM_DONTEXPAND. */
	.private = EINVAL,
	.grow = EFAULT,
	.pages = EFAULT,
	.proc_mem = EIO,
};
MEMSAFE_DRIVER(udmabuf);
