/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/memsafe, the reference driver: a buffer set up for mmap(), filled
 * without a mapping, and what the driver says about its mappings.
 */
#ifndef MEMSAFE_DEVICE_H
#define MEMSAFE_DEVICE_H

#include "memsafe.h"

#include <sys/ioctl.h>

#include "memsafe_dev_uapi.h"

#define DEVICE "/dev/" MEMSAFE_DEV_NAME

/* For a fixture's setup. */
#define SKIP_WITHOUT_DEVICE()                          \
	do {                                           \
		if (access(DEVICE, F_OK))              \
			SKIP(return, "needs " DEVICE); \
	} while (0)

/* -1 and errno when the device can't be opened or refuses the setup. */
static inline int device_open(int flags, const struct memsafe_dev_setup *setup)
{
	int fd = open(DEVICE, flags | O_CLOEXEC);
	int err;

	if (fd >= 0 && ioctl(fd, MEMSAFE_DEV_SETUP, setup)) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

/* Page i gets fill() with the seed i, by write() and without a mapping. */
static inline bool device_fill(int fd, size_t npages)
{
	size_t ps = page_size();
	unsigned char *page = malloc(ps);
	bool done = page;

	for (size_t i = 0; done && i < npages; i++) {
		fill(page, ps, i);
		done = pwrite(fd, page, ps, i * ps) == (ssize_t)ps;
	}
	free(page);
	return done;
}

/* The byte at @pos of the buffer, without a mapping; -1 on failure. */
static inline int device_peek(int fd, off_t pos)
{
	unsigned char byte;

	return pread(fd, &byte, 1, pos) == 1 ? byte : -1;
}

static inline struct memsafe_dev_counters device_counters(int fd)
{
	struct memsafe_dev_counters counters;

	/* No counter of a test gets this high. */
	if (ioctl(fd, MEMSAFE_DEV_COUNTERS, &counters))
		memset(&counters, 0xff, sizeof(counters));
	return counters;
}

/* VMAs that map the buffer now. */
static inline uint64_t device_vmas(int fd)
{
	struct memsafe_dev_counters now = device_counters(fd);

	return now.mmaps + now.opens - now.closes;
}

static inline struct memsafe_dev_page_info device_page(int fd, uint64_t pgoff)
{
	struct memsafe_dev_page_info info = { .pgoff = pgoff };

	if (ioctl(fd, MEMSAFE_DEV_PAGE_INFO, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

/* The next @times calls of @handler for page @pgoff do @action; an errno. */
static inline int device_inject(int fd, uint32_t handler, uint32_t action,
				uint64_t pgoff, uint32_t times)
{
	struct memsafe_dev_inject inject = {
		.pgoff = pgoff,
		.handler = handler,
		.action = action,
		.times = times,
	};

	return ioctl(fd, MEMSAFE_DEV_INJECT, &inject) ? errno : 0;
}

/* Does a mapping of this kind hold references to its pages? */
static inline bool maps_pfns(uint32_t map)
{
	return map == MEMSAFE_DEV_FAULT_PFN || map == MEMSAFE_DEV_REMAP_PFN;
}

/* One variant for each kind of memory and each way to map it. */
#define DEVICE_MODE(fixture, name, memory_kind, map_kind) \
	FIXTURE_VARIANT_ADD(fixture, name)                \
	{                                                 \
		.memory = MEMSAFE_DEV_##memory_kind,      \
		.map = MEMSAFE_DEV_##map_kind,            \
	}
#define DEVICE_MODES(fixture)                                                \
	DEVICE_MODE(fixture, pages_fault, PAGES, FAULT);                     \
	DEVICE_MODE(fixture, pages_fault_insert, PAGES, FAULT_INSERT);       \
	DEVICE_MODE(fixture, pages_fault_pfn, PAGES, FAULT_PFN);             \
	DEVICE_MODE(fixture, pages_remap_pfn, PAGES, REMAP_PFN);             \
	DEVICE_MODE(fixture, pages_insert_page, PAGES, INSERT_PAGE);         \
	DEVICE_MODE(fixture, pages_insert_pages, PAGES, INSERT_PAGES);       \
	DEVICE_MODE(fixture, pages_map_pages, PAGES, MAP_PAGES);             \
	DEVICE_MODE(fixture, vmalloc_fault, VMALLOC, FAULT);                 \
	DEVICE_MODE(fixture, vmalloc_fault_insert, VMALLOC, FAULT_INSERT);   \
	DEVICE_MODE(fixture, vmalloc_fault_pfn, VMALLOC, FAULT_PFN);         \
	DEVICE_MODE(fixture, vmalloc_remap_pfn, VMALLOC, REMAP_PFN);         \
	DEVICE_MODE(fixture, vmalloc_insert_page, VMALLOC, INSERT_PAGE);     \
	DEVICE_MODE(fixture, vmalloc_insert_pages, VMALLOC, INSERT_PAGES);   \
	DEVICE_MODE(fixture, vmalloc_map_pages, VMALLOC, MAP_PAGES);         \
	DEVICE_MODE(fixture, vmalloc_remap_vmalloc, VMALLOC, REMAP_VMALLOC); \
	DEVICE_MODE(fixture, kmalloc_fault_pfn, KMALLOC, FAULT_PFN);         \
	DEVICE_MODE(fixture, kmalloc_remap_pfn, KMALLOC, REMAP_PFN)

#endif /* MEMSAFE_DEVICE_H */
