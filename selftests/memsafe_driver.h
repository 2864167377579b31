/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A driver under test: how to get an object that can be mapped, and the contract
 * of its mappings, as data. One adapter is one file in drivers/, found by
 * pattern:
 *
 *	static int foo_open(struct driver_object *object)
 *	{
 *		object->size = 4 * sysconf(_SC_PAGESIZE);
 *		return driver_open_node(object, "/dev/foo", O_RDWR);
 *	}
 *
 *	static struct memsafe_driver foo = {
 *		.name = "foo",
 *		.needs = foo_needs,
 *		.open = foo_open,
 *		.past_end = EINVAL,
 *		.grow = EFAULT,
 *	};
 *	MEMSAFE_DRIVER(foo);
 *
 * and each driver_*_test.c has a variant "foo". What is not said is the strictest
 * promise: a zero says that it works. An adapter that leaves a promise out writes
 * the line of the kernel's source that shows why.
 *
 * MEMSAFE_DRIVER=GLOB runs only the adapters of that name. A plain node needs no
 * adapter: drivers/node.c reads its contract from the environment.
 */
#ifndef MEMSAFE_DRIVER_H
#define MEMSAFE_DRIVER_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <unistd.h>

#define DRIVER_HELD 4

/* One opened and prepared object. */
struct driver_object {
	int fd;		       /* for mmap() */
	off_t offset;	       /* of the first byte, for mmap() */
	size_t size;	       /* bytes; what is mapped of it is whole pages */
	int held[DRIVER_HELD]; /* more descriptors of the adapter's, 0: none */
};

/*
 * In place of an errno: nothing is promised. The call works, with all that
 * follows from it, or fails and leaves everything as it was.
 */
#define DRIVER_ANY (-1)

/* Flags of a contract, each the exception from a promise. */
#define DRIVER_NOT_ZEROED (1U << 0)   /* an object has the content it had */
#define DRIVER_CHANGES (1U << 1)      /* content: the device writes it, too */
#define DRIVER_DUMPED (1U << 2)	      /* a core dump has the memory */
#define DRIVER_NOT_IN_CHILD (1U << 3) /* fork() leaves the mapping out */
#define DRIVER_IS_SHARED (1U << 4)    /* all opens are of one object */
#define DRIVER_AT_ONCE (1U << 5)      /* no ->fault: what is dropped is gone */
#define DRIVER_WRITE_DROPPED (1U << 6) /* asked to write, gives a read-only one */

struct memsafe_driver {
	const char *name;

	/*
	 * Is the adapter to be run at all? For one that takes its contract from
	 * elsewhere. NULL: yes.
	 */
	bool (*asked_for)(struct memsafe_driver *driver);
	/* What this machine lacks, to follow "needs"; NULL: nothing. */
	const char *(*needs)(void);
	/*
	 * A fresh object; an errno when there is none, and then nothing is left
	 * of it. One system call each for open, prepare and so on: the failure
	 * sweep lets each of them fail.
	 */
	int (*open)(struct driver_object *object);
	/* NULL: driver_close(). */
	void (*close)(struct driver_object *object);

	/* The contract: errno, 0 where the call works, or DRIVER_ANY. */
	int part;     /* mmap() of less than the whole object */
	int past_end; /* mmap() of more; 0: an access there is SIGBUS */
	int second;   /* mmap() of what is mapped already */
	int write;    /* a shared mapping to write to: else read-only */
	int exec;     /* a mapping to execute */
	int private;  /* a private mapping to write to: a copy */
	int split;    /* munmap() and mprotect() of a part of a mapping */
	int move;     /* mremap() to another address */
	int grow;     /* mremap() to more than was mapped */
	int pages;    /* GUP: process_vm_readv() of a mapping */
	int proc_mem; /* /proc/pid/mem */
	unsigned int flags;

	/*
	 * The content without a mapping; false when that fails. NULL: there is
	 * no such way.
	 */
	bool (*read)(struct driver_object *object, void *to, size_t len,
		     off_t at);
	bool (*write_to)(struct driver_object *object, const void *from,
			 size_t len, off_t at);
	/* Counters of the driver's own; NULL: it has none. */
	long (*mappings)(struct driver_object *object); /* VMAs of it, now */
	long (*objects)(void); /* of all openers, now */
	/* Takes the memory away: what is mapped is SIGBUS from then on. */
	int (*revoke)(struct driver_object *object);
};

/* Sorted by the linker in the order of the files' names. */
#define MEMSAFE_DRIVER(driver)                                                 \
	static struct memsafe_driver *const driver##_entry                     \
		__attribute__((section("memsafe_drivers"), used)) = &driver

/* For a contract that older kernels had differently. */
static inline bool driver_kernel_since(int major, int minor)
{
	struct utsname uts;
	int its_major = 0, its_minor = 0;

	return !uname(&uts) &&
	       sscanf(uts.release, "%d.%d", &its_major, &its_minor) == 2 &&
	       (its_major > major ||
		(its_major == major && its_minor >= minor));
}

static inline void driver_close(struct driver_object *object)
{
	for (int i = 0; i < DRIVER_HELD; i++)
		if (object->held[i] > 0)
			close(object->held[i]);
	if (object->fd >= 0)
		close(object->fd);
	object->fd = -1;
}

/* An errno, 0 for success. */
static inline int driver_open_node(struct driver_object *object,
				   const char *path, int flags)
{
	object->fd = open(path, flags | O_CLOEXEC);
	return object->fd < 0 ? errno : 0;
}

/*
 * The end of a step of open(): closes the object when the step has failed. The
 * errno of @ret, what a system call returned.
 */
static inline int driver_opened(struct driver_object *object, long ret)
{
	int err = ret < 0 ? errno : 0;

	if (err)
		driver_close(object);
	return err;
}

#endif /* MEMSAFE_DRIVER_H */
