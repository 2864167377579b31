// SPDX-License-Identifier: GPL-2.0
/*
 * The reference driver, /dev/memsafe, under five contracts which between them
 * promise everything and the opposite.
 */
#include "memsafe_driver.h"

#include "memsafe_dev_uapi.h"

#define DEVICE "/dev/" MEMSAFE_DEV_NAME
#define NPAGES 4

static const char *needs(void)
{
	return access(DEVICE, F_OK) ? DEVICE : NULL;
}

static int open_as(struct driver_object *object, uint32_t memory, uint32_t map,
		   uint32_t flags)
{
	struct memsafe_dev_setup setup = {
		/* The last page is mapped whole, and half of it is in use. */
		.size = NPAGES * getpagesize() - getpagesize() / 2,
		.memory = memory,
		.map = map,
		.flags = flags,
	};
	int err = driver_open_node(object, DEVICE, O_RDWR);

	object->size = setup.size;
	if (err)
		return err;
	return driver_opened(object,
			     ioctl(object->fd, MEMSAFE_DEV_SETUP, &setup));
}

static bool read_at(struct driver_object *object, void *to, size_t len,
		    off_t at)
{
	return pread(object->fd, to, len, at) == (ssize_t)len;
}

static bool write_at(struct driver_object *object, const void *from, size_t len,
		     off_t at)
{
	return pwrite(object->fd, from, len, at) == (ssize_t)len;
}

static struct memsafe_dev_counters counters(int fd)
{
	struct memsafe_dev_counters counters;

	/* No counter of a test gets this high. */
	if (ioctl(fd, MEMSAFE_DEV_COUNTERS, &counters))
		memset(&counters, 0xff, sizeof(counters));
	return counters;
}

static long mappings(struct driver_object *object)
{
	struct memsafe_dev_counters now = counters(object->fd);

	return now.mmaps + now.opens - now.closes;
}

static long objects(void)
{
	int fd = open(DEVICE, O_RDONLY | O_CLOEXEC);
	struct memsafe_dev_counters now = counters(fd);

	close(fd);
	return now.all_buffers;
}

#define MEMSAFE_DEV_COMMON                                                     \
	.needs = needs, .read = read_at, .write_to = write_at,                 \
	.mappings = mappings, .objects = objects

/* Pages with references, mapped by the core after ->fault. */
static int open_fault(struct driver_object *object)
{
	return open_as(object, MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT, 0);
}

static struct memsafe_driver memsafe = {
	.name = "memsafe",
	.open = open_fault,
	MEMSAFE_DEV_COMMON,
	.past_end = EINVAL,
	.grow = EFAULT,
};
MEMSAFE_DRIVER(memsafe);

/* A file-like one: any range can be mapped, the fault handler says no. */
static int open_file_like(struct driver_object *object)
{
	return open_as(object, MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_INSERT,
		       MEMSAFE_DEV_OPEN_END);
}

static struct memsafe_driver memsafe_open_end = {
	.name = "memsafe_open_end",
	.open = open_file_like,
	MEMSAFE_DEV_COMMON,
};
MEMSAFE_DRIVER(memsafe_open_end);

/* Bare PFNs, mapped at once: nobody else gets the pages. */
static int open_pfn(struct driver_object *object)
{
	return open_as(object, MEMSAFE_DEV_KMALLOC, MEMSAFE_DEV_REMAP_PFN, 0);
}

static struct memsafe_driver memsafe_pfn = {
	.name = "memsafe_pfn",
	.open = open_pfn,
	MEMSAFE_DEV_COMMON,
	.past_end = EINVAL,
	.grow = EFAULT,
	.pages = EFAULT,
#ifdef __arm__
	/* Without HAVE_IOREMAP_PROT ->access is never called: mm/memory.c. */
	.proc_mem = EIO,
#endif
};
MEMSAFE_DRIVER(memsafe_pfn);

/* Pages with references, inserted by ->fault, for reading only. */
static int open_read_only(struct driver_object *object)
{
	return open_as(object, MEMSAFE_DEV_PAGES, MEMSAFE_DEV_FAULT_INSERT,
		       MEMSAFE_DEV_READ_ONLY);
}

static struct memsafe_driver memsafe_read_only = {
	.name = "memsafe_read_only",
	.open = open_read_only,
	MEMSAFE_DEV_COMMON,
	.past_end = EINVAL,
	.write = EACCES,
	.grow = EFAULT,
};
MEMSAFE_DRIVER(memsafe_read_only);

/* A mapping that stays as it was made. */
static int open_whole(struct driver_object *object)
{
	return open_as(object, MEMSAFE_DEV_VMALLOC, MEMSAFE_DEV_REMAP_VMALLOC,
		       MEMSAFE_DEV_NO_SPLIT | MEMSAFE_DEV_NO_MREMAP);
}

static struct memsafe_driver memsafe_whole = {
	.name = "memsafe_whole",
	.open = open_whole,
	MEMSAFE_DEV_COMMON,
	.past_end = EINVAL,
	.split = EINVAL,
	.move = EPERM,
	.grow = EFAULT,
	.flags = DRIVER_AT_ONCE,
};
MEMSAFE_DRIVER(memsafe_whole);
