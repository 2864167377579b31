/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/memsafe, as its users see it.
 *
 * Each open file has one buffer of its own.  MEMSAFE_DEV_SETUP allocates it
 * and says how mmap() maps it; read(), write() and pread() at the same offsets
 * reach the same bytes without a mapping.
 */
#ifndef MEMSAFE_DEV_UAPI_H
#define MEMSAFE_DEV_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MEMSAFE_DEV_NAME	"memsafe"
#define MEMSAFE_DEV_MAX_SIZE	(4U << 20)	/* bytes */

/* Where the memory of a buffer comes from. */
enum memsafe_dev_memory {
	MEMSAFE_DEV_PAGES,	/* alloc_page(), each on its own, maybe highmem */
	MEMSAFE_DEV_VMALLOC,	/* vmalloc_user() */
	MEMSAFE_DEV_KMALLOC,	/* kzalloc(), contiguous; REMAP_PFN or FAULT_PFN only */
};

/* How mmap() maps it: by the fault handler, or at once. */
enum memsafe_dev_map {
	MEMSAFE_DEV_FAULT,		/* gives the page to the core */
	MEMSAFE_DEV_FAULT_INSERT,	/* vm_insert_page() in the handler */
	MEMSAFE_DEV_FAULT_PFN,		/* vmf_insert_pfn() in the handler */
	MEMSAFE_DEV_REMAP_PFN,		/* remap_pfn_range() */
	MEMSAFE_DEV_INSERT_PAGE,	/* vm_insert_page(), page by page */
	MEMSAFE_DEV_INSERT_PAGES,	/* vm_insert_pages() */
	MEMSAFE_DEV_MAP_PAGES,		/* vm_map_pages() */
	MEMSAFE_DEV_REMAP_VMALLOC,	/* remap_vmalloc_range(), VMALLOC only */
};

/* Shared mappings can't be writable, now or by mprotect(): EACCES. */
#define MEMSAFE_DEV_READ_ONLY	(1U << 0)
/*
 * Like a file: a mapping may reach past the end of the buffer and may grow,
 * and the fault handler answers for each page.  FAULT* only.
 */
#define MEMSAFE_DEV_OPEN_END	(1U << 1)
#define MEMSAFE_DEV_NO_SPLIT	(1U << 2)	/* ->may_split refuses: EINVAL */
#define MEMSAFE_DEV_NO_MREMAP	(1U << 3)	/* ->mremap refuses: EPERM */

/*
 * Once per open file: EBUSY after that, so that nothing can take the buffer
 * away under a mapping.  EINVAL for a size of 0 or above the limit, an unknown
 * value, or a pair of memory and map that does not go together.
 */
struct memsafe_dev_setup {
	__u64 size;		/* bytes; mapped in whole pages, the rest is zero */
	__u32 memory;		/* enum memsafe_dev_memory */
	__u32 map;		/* enum memsafe_dev_map */
	__u32 flags;
	__u32 reserved;		/* 0 */
};

/* vmf->flags: the kernel's own values are not an interface. */
#define MEMSAFE_DEV_SEEN_WRITE		(1U << 0)
#define MEMSAFE_DEV_SEEN_MKWRITE	(1U << 1)
#define MEMSAFE_DEV_SEEN_ALLOW_RETRY	(1U << 2)
#define MEMSAFE_DEV_SEEN_TRIED		(1U << 3)
#define MEMSAFE_DEV_SEEN_USER		(1U << 4)
#define MEMSAFE_DEV_SEEN_REMOTE		(1U << 5)
#define MEMSAFE_DEV_SEEN_INSTRUCTION	(1U << 6)

/* One call of a fault handler. */
struct memsafe_dev_seen {
	__u64 pgoff;
	__u64 address;		/* start of the page */
	__u64 real_address;	/* the byte accessed */
	__u32 flags;		/* MEMSAFE_DEV_SEEN_* */
	__u32 reserved;
};

/*
 * What happened to the mappings of this open file.  mmaps + opens - closes is
 * the number of VMAs that exist.
 */
struct memsafe_dev_counters {
	__u64 mmaps;		/* successful ->mmap */
	__u64 opens;		/* ->open: fork, split, mremap */
	__u64 closes;		/* ->close */
	__u64 faults;
	__u64 page_mkwrites;
	__u64 pfn_mkwrites;
	__u64 accesses;		/* ->access */
	__u64 fsyncs;
	__u64 fsync_start;	/* range of the last ->fsync, both ends included */
	__u64 fsync_end;
	__u64 fsync_datasync;
	struct memsafe_dev_seen fault;		/* the last ->fault */
	struct memsafe_dev_seen mkwrite;	/* the last page_ or pfn_mkwrite */
	__u64 all_buffers;	/* of all open files, now */
	__u64 all_pages;
};

enum memsafe_dev_handler {
	MEMSAFE_DEV_ON_FAULT,
	MEMSAFE_DEV_ON_MKWRITE,		/* page_mkwrite and pfn_mkwrite */
	MEMSAFE_DEV_ON_FSYNC,		/* pgoff 0 */
};

/* What the handler does instead of, or besides, its work. */
enum memsafe_dev_action {
	MEMSAFE_DEV_RETURN_SIGBUS,
	MEMSAFE_DEV_RETURN_SIGSEGV,
	MEMSAFE_DEV_RETURN_OOM,
	MEMSAFE_DEV_RETURN_HWPOISON,	/* EOPNOTSUPP without CONFIG_MEMORY_FAILURE */
	MEMSAFE_DEV_RETURN_NOPAGE,	/* nothing installed: the access repeats */
	MEMSAFE_DEV_RETURN_RETRY,	/* fault lock dropped; on fault only */
	MEMSAFE_DEV_RETURN_LOCKED,	/* page handed over locked; FAULT only */
	MEMSAFE_DEV_RETURN_MAJOR,	/* works, as a major fault; on fault only */
	MEMSAFE_DEV_RETURN_EIO,		/* on fsync only */
};

/* Replaces the previous injection of this open file; times 0 ends it. */
struct memsafe_dev_inject {
	__u64 pgoff;		/* the one page it is for */
	__u32 handler;		/* enum memsafe_dev_handler */
	__u32 action;		/* enum memsafe_dev_action */
	__u32 times;		/* calls left */
	__u32 reserved;		/* 0 */
};

/* One page of the buffer.  EINVAL past the end. */
struct memsafe_dev_page_info {
	__u64 pgoff;		/* in */
	__u64 pfn;		/* out */
	__u32 refs;		/* out: page_count() */
	__u32 reserved;		/* 0 */
};

/* 0xE7: free in Documentation/userspace-api/ioctl/ioctl-number.rst */
#define MEMSAFE_DEV_SETUP	_IOW(0xE7, 0, struct memsafe_dev_setup)
#define MEMSAFE_DEV_COUNTERS	_IOR(0xE7, 1, struct memsafe_dev_counters)
#define MEMSAFE_DEV_INJECT	_IOW(0xE7, 2, struct memsafe_dev_inject)
#define MEMSAFE_DEV_PAGE_INFO	_IOWR(0xE7, 3, struct memsafe_dev_page_info)

#endif
