/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mappings to test: what can be behind one, and where it lies.
 */
#ifndef MEMSAFE_MAP_H
#define MEMSAFE_MAP_H

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "memsafe_proc.h"

#define PROT_RW (PROT_READ | PROT_WRITE)

/* In the kernel's half of the address space whatever the configuration. */
#if defined(__x86_64__)
#define KERNEL_ADDRESS 0xffffffff81000000
#elif defined(__aarch64__)
#define KERNEL_ADDRESS 0xffff800080000000
#elif defined(__i386__) || defined(__arm__)
#define KERNEL_ADDRESS 0xc8000000
#endif

enum backing {
	ANON, /* MAP_ANONYMOUS */
	ZERO, /* /dev/zero */
	SHMEM, /* a memfd */
	DISK, /* a file on a disk file system */
};

/*
 * A directory on a disk file system: MEMSAFE_SCRATCH, or /scratch, where the
 * guest mounts one. NULL when there is none.
 */
static inline const char *scratch_dir(void)
{
	const char *dir = getenv("MEMSAFE_SCRATCH");
	struct statfs fs;
	unsigned int type;

	if (!dir)
		dir = "/scratch";
	if (access(dir, W_OK) || statfs(dir, &fs))
		return NULL;
	/* A signed type on some machines. */
	type = fs.f_type;
	if (type == TMPFS_MAGIC || type == RAMFS_MAGIC)
		return NULL;
	return dir;
}

/* What this machine lacks for @backing, for SKIP(); NULL when nothing. */
static inline const char *backing_needs(enum backing backing)
{
	if (backing == DISK && !scratch_dir())
		return "a disk file system on /scratch or MEMSAFE_SCRATCH";
	if (backing == ZERO && access("/dev/zero", R_OK | W_OK))
		return "/dev/zero";
	return NULL;
}

/* An unlinked file of @len bytes in @dir; -1 and errno on failure. */
static inline int file_in(const char *dir, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/memsafe-XXXXXX", dir);
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	unlink(path);
	if (ftruncate(fd, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * A descriptor of @len zero bytes to map; for ANON -1, as mmap() wants it.
 * Failure is -2, with errno.
 */
static inline int backing_open(enum backing backing, size_t len)
{
	int fd = -1;

	switch (backing) {
	case ANON:
		return -1;
	case ZERO:
		fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
		break;
	case SHMEM:
		fd = memfd_create("memsafe", MFD_CLOEXEC);
		if (fd >= 0 && ftruncate(fd, len)) {
			close(fd);
			fd = -1;
		}
		break;
	case DISK:
		fd = file_in(scratch_dir(), len);
		break;
	}
	return fd < 0 ? -2 : fd;
}

/* Is there a file that read() and write() reach, too? */
static inline bool has_file(enum backing backing)
{
	return backing == SHMEM || backing == DISK;
}

/* What MAP_SHARED or MAP_PRIVATE in @sharing becomes for @backing. */
static inline int backing_flags(enum backing backing, int sharing)
{
	return backing == ANON ? sharing | MAP_ANONYMOUS : sharing;
}

/* One variant, of a fixture with these two, for each kind of memory. */
#define BACKING(fixture, name, kind, how)        \
	FIXTURE_VARIANT_ADD(fixture, name)       \
	{                                        \
		.backing = kind, .sharing = how, \
	}
#define BACKINGS(fixture)                                \
	BACKING(fixture, anon, ANON, MAP_PRIVATE);       \
	BACKING(fixture, anon_shared, ANON, MAP_SHARED); \
	BACKING(fixture, shmem, SHMEM, MAP_SHARED);      \
	BACKING(fixture, file, DISK, MAP_SHARED);        \
	BACKING(fixture, file_private, DISK, MAP_PRIVATE)

/*
 * @len bytes of address space, @align aligned, where nothing is mapped now:
 * for MAP_FIXED where the neighbours matter. MAP_FAILED on failure.
 */
static inline void *free_range(size_t len, size_t align)
{
	char *p = mmap(NULL, len + align, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	/* No mmap() without MAP_FIXED returns NULL, one that does nothing may. */
	if (p == MAP_FAILED || !p || munmap(p, len + align))
		return MAP_FAILED;
	return (void *)(((uintptr_t)p + align - 1) & ~(align - 1));
}

/*
 * Maps @len bytes with nothing mapped right before or after them, so that
 * the kernel can't merge them with a neighbour: what /proc says about the
 * mapping is then about these pages alone.
 *
 *	| hole | @len bytes | hole |
 *
 * @fd: as backing_open() gives it; -1 adds MAP_ANONYMOUS.
 */
static inline void *map_alone(size_t len, int prot, int flags, int fd)
{
	size_t ps = page_size();
	char *p = free_range(len + 2 * ps, ps);

	if (p == MAP_FAILED)
		return MAP_FAILED;
	if (fd == -1)
		flags |= MAP_ANONYMOUS;
	return mmap(p + ps, len, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);
}

/*
 * write() by another system call: as the act of a test, write() would silence
 * the harness too.
 */
static inline ssize_t gather(int fd, const void *p, size_t len)
{
	struct iovec from = { .iov_base = (void *)p, .iov_len = len };

	return writev(fd, &from, 1);
}

/* The size of a transparent huge page; 0: the kernel has none. */
static inline size_t thp_size(void)
{
	long size = sysctl_get(
		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");

	return size > 0 ? size : 0;
}

/*
 * One private transparent huge page of zeros, present, in a mapping of its
 * own; NULL: none is to be had.
 */
static inline void *map_thp(void)
{
	size_t size = thp_size();
	char *p = MAP_FAILED;

	if (size)
		p = free_range(size, size);
	if (p == MAP_FAILED ||
	    mmap(p, size, PROT_RW,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) != p ||
	    madvise(p, size, MADV_HUGEPAGE))
		return NULL;
	*(volatile char *)p = 0;
	return smaps_kb(p, "AnonHugePages") == (long)size / 1024 ? p : NULL;
}

/* Writes @len bytes that depend on @seed and on their place. */
static inline void fill(void *p, size_t len, unsigned int seed)
{
	unsigned char *bytes = p;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (i ^ (i >> 8) ^ seed) & 0xff;
}

/* The offset of the first byte that fill() did not write; @len: none. */
static inline size_t first_difference(const void *p, size_t len,
				      unsigned int seed)
{
	const unsigned char *bytes = p;
	size_t i;

	for (i = 0; i < len; i++)
		if (bytes[i] != ((i ^ (i >> 8) ^ seed) & 0xff))
			break;
	return i;
}

/* The offset of the first byte that is not @value; @len when all are. */
static inline size_t first_other(const void *p, size_t len, unsigned char value)
{
	const unsigned char *bytes = p;
	size_t i;

	for (i = 0; i < len && bytes[i] == value; i++)
		;
	return i;
}

/* The offset of the first byte that is not zero; @len when all are. */
static inline size_t first_nonzero(const void *p, size_t len)
{
	return first_other(p, len, 0);
}

#endif /* MEMSAFE_MAP_H */
