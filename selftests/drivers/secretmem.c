// SPDX-License-Identifier: GPL-2.0
/*
 * memfd_secret(2): pages that the kernel itself does not reach. A file: what is past
 * its end is SIGBUS, and a mapping may grow (mm/secretmem.c).
 */
#include <sys/syscall.h>

#include "memsafe_driver.h"

#define NPAGES 4

/* Some architectures have no such call. */
static int secret_fd(void)
{
#ifdef __NR_memfd_secret
	return syscall(__NR_memfd_secret, O_CLOEXEC);
#else
	errno = ENOSYS;
	return -1;
#endif
}

static int secretmem_open(struct driver_object *object)
{
	object->size = NPAGES * getpagesize();
	object->fd = secret_fd();
	if (object->fd < 0)
		return errno;
	return driver_opened(object, ftruncate(object->fd, object->size));
}

static const char *secretmem_needs(void)
{
	struct driver_object object = {};

	if (secretmem_open(&object))
		return "CONFIG_SECRETMEM=y and secretmem.enable=1";
	driver_close(&object);
	return NULL;
}

static struct memsafe_driver secretmem = {
	.name = "secretmem",
	.needs = secretmem_needs,
	.open = secretmem_open,
	/* Its own mount has no programs: secretmem_init(). */
	.exec = EPERM,
	.private = EINVAL,
	/* Not even for others of the kernel: check_vma_flags() in mm/gup.c. */
	.pages = EFAULT,
	.proc_mem = EIO,
};
MEMSAFE_DRIVER(secretmem);
