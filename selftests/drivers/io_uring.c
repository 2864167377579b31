// SPDX-License-Identifier: GPL-2.0
/*
 * The submission queue of an io_uring: memory of the kernel's that it never writes.
 */
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "memsafe_driver.h"

#define ENTRIES 256

static int io_uring_open(struct driver_object *object)
{
	struct io_uring_params params = {};

	object->size = ENTRIES * sizeof(struct io_uring_sqe);
	object->offset = IORING_OFF_SQES;
	object->fd = syscall(__NR_io_uring_setup, ENTRIES, &params);
	return object->fd < 0 ? errno : 0;
}

static const char *io_uring_needs(void)
{
	struct driver_object object = {};
	struct utsname system;
	int major, minor;

	/* Before, queues were one block of PFNs: io_uring_mmap(). */
	if (!uname(&system) &&
	    sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
	    (major < 6 || (major == 6 && minor < 10)))
		return "io_uring queues of single pages (v6.10)";
	if (io_uring_open(&object))
		return "CONFIG_IO_URING=y";
	driver_close(&object);
	return NULL;
}

static struct memsafe_driver io_uring_sqes = {
	.name = "io_uring_sqes",
	.needs = io_uring_needs,
	.open = io_uring_open,
	/* All pages are inserted, or none: io_uring_mmap_pages(). */
	.part = EFAULT,
	/* SIGBUS for one that is longer, EFAULT for one that is shorter. */
	.past_end = DRIVER_ANY,
	/* No address of the user's choice: io_uring_get_unmapped_area(). */
	.move = EINVAL,
	.grow = EFAULT,
	/* VM_DONTEXPAND alone: io_uring_mmap_pages(). */
	.flags = DRIVER_DUMPED | DRIVER_AT_ONCE,
};
MEMSAFE_DRIVER(io_uring_sqes);
