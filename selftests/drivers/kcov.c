// SPDX-License-Identifier: GPL-2.0
/* The buffer of kcov, which collects nothing for as long as nobody enables it. */
#include "memsafe_driver.h"

#define NODE "/sys/kernel/debug/kcov"
#define KCOV_INIT_TRACE _IOR('c', 1, unsigned long)

static const char *kcov_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	return access(NODE, F_OK) ? "CONFIG_KCOV=y" : NULL;
}

static int kcov_open(struct driver_object *object)
{
	int err = driver_open_node(object, NODE, O_RDWR);

	object->size = 4 * getpagesize();
	if (err)
		return err;
	return driver_opened(object, ioctl(object->fd, KCOV_INIT_TRACE,
					   object->size / sizeof(long)));
}

static struct memsafe_driver kcov = {
	.name = "kcov",
	.needs = kcov_needs,
	.open = kcov_open,
	/* kcov_mmap(), kernel/kcov.c: all of it or nothing, VM_DONTEXPAND. */
	.part = EINVAL,
	.past_end = EINVAL,
	.grow = EFAULT,
	.flags = DRIVER_AT_ONCE | DRIVER_DUMPED,
};
MEMSAFE_DRIVER(kcov);
