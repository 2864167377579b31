// SPDX-License-Identifier: GPL-2.0
/*
 * The ring of a perf event that counts nothing: a page for both sides, which is
 * written, and pages of data, which only the kernel writes (perf_event_open(2)).
 */
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "memsafe_driver.h"

#define DATA_PAGES 8

static int perf_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
	};

	return syscall(__NR_perf_event_open, &attr, 0, -1, -1,
		       PERF_FLAG_FD_CLOEXEC);
}

static const char *perf_needs(void)
{
	int fd;

	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	fd = perf_event();
	close(fd);
	return fd < 0 ? "CONFIG_PERF_EVENTS=y" : NULL;
}

static int perf_open(struct driver_object *object)
{
	object->size = (1 + DATA_PAGES) * getpagesize();
	object->fd = perf_event();
	return driver_opened(object, object->fd);
}

static struct memsafe_driver perf = {
	.name = "perf",
	.needs = perf_needs,
	.open = perf_open,
	/* perf_mmap(), kernel/events/core.c: a page and a power of two of them. */
	.part = EINVAL,
	.past_end = EINVAL,
	/* perf_mmap_fault(): a reader's mapping of what the kernel writes. */
	.write = DRIVER_ANY,
	.private = EINVAL,
	/* perf_mmap_may_split() */
	.split = EINVAL,
	.grow = EFAULT,
	.flags = DRIVER_CHANGES | DRIVER_NOT_IN_CHILD,
};
MEMSAFE_DRIVER(perf);
