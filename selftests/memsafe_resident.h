/* SPDX-License-Identifier: GPL-2.0 */
/* Which pages are in memory, and how to have none of a file there: mincore(2). */
#ifndef MEMSAFE_RESIDENT_H
#define MEMSAFE_RESIDENT_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memsafe_proc.h"

/* mincore() of one page: 1 resident, 0 not, -1 not mapped. */
static inline int is_resident(const volatile void *addr)
{
	size_t ps = page_size();
	unsigned char vec;

	if (mincore((void *)((uintptr_t)addr & ~(ps - 1)), 1, &vec))
		return -1;
	return vec & 1;
}

static inline size_t resident_pages(const volatile void *addr, size_t len)
{
	size_t ps = page_size();
	size_t count = 0;

	for (size_t off = 0; off < len; off += ps)
		count += is_resident((const volatile char *)addr + off) == 1;
	return count;
}

/* Does each page of the range belong to a mapping? */
static inline bool is_mapped(const volatile void *addr, size_t len)
{
	size_t ps = page_size();

	if (addr == MAP_FAILED)
		return false;
	for (size_t off = 0; off < len; off += ps)
		if (is_resident((const volatile char *)addr + off) < 0)
			return false;
	return true;
}

/*
 * Have none of the first @len bytes of a file in the page cache; false: some
 * stay. One call may leave a page that someone else holds for a moment, such as
 * the end of its own write (posix_fadvise(2), "unsuccessful"). The file's
 * pages must be clean, and nobody may have locked them.
 */
static inline bool drop_cache(int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	bool dropped = false;

	if (p == MAP_FAILED)
		return false;
	for (int tries = 0; !dropped && tries < 1000; tries++) {
		if (posix_fadvise(fd, 0, len, POSIX_FADV_DONTNEED))
			break;
		dropped = !resident_pages(p, len);
		if (!dropped)
			usleep(1000);
	}
	munmap(p, len);
	return dropped;
}

#endif /* MEMSAFE_RESIDENT_H */
