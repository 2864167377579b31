// SPDX-License-Identifier: GPL-2.0
/*
 * Regions of the UIO core (drivers/uio/uio.c), which a driver describes and the core
 * maps: pages of the allocator, and of vmalloc. Those of module/memsafe_uio.c.
 */
#include <glob.h>

#include "memsafe_driver.h"
#include "memsafe_module.h"

#define PAGES 4

/* The node of the device of this name; false: there is none. */
static bool find_node(const char *name, char *node, size_t size)
{
	bool found = false;
	glob_t files;

	if (glob("/sys/class/uio/*/name", 0, NULL, &files))
		return false;
	for (size_t i = 0; i < files.gl_pathc && !found; i++) {
		FILE *file = fopen(files.gl_pathv[i], "re");
		char its_name[64] = "";
		int number;

		if (!file)
			continue;
		found = fscanf(file, "%63s", its_name) == 1 &&
			!strcmp(its_name, name) &&
			sscanf(files.gl_pathv[i], "/sys/class/uio/uio%d",
			       &number) == 1;
		fclose(file);
		if (found)
			snprintf(node, size, "/dev/uio%d", number);
	}
	globfree(&files);
	return found;
}

static char logical_node[32], virtual_node[32];

static const char *uio_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	load_module("memsafe_uio", "enable=1");
	if (!find_node("memsafe_logical", logical_node, sizeof(logical_node)) ||
	    !find_node("memsafe_virtual", virtual_node, sizeof(virtual_node)))
		return "CONFIG_UIO=m";
	return NULL;
}

static int open_region(struct driver_object *object, const char *node)
{
	object->size = PAGES * (size_t)getpagesize();
	return driver_open_node(object, node, O_RDWR);
}

static int logical_open(struct driver_object *object)
{
	return open_region(object, logical_node);
}

static int virtual_open(struct driver_object *object)
{
	return open_region(object, virtual_node);
}

/* uio_find_mem_index(): an offset is the number of a region, and never inside one. */
#define UIO_CONTRACT                                                           \
	.needs = uio_needs, .part = EINVAL, .past_end = EINVAL, .grow = EFAULT

static struct memsafe_driver uio_logical = {
	.name = "uio_logical",
	UIO_CONTRACT,
	.open = logical_open,
	.flags = DRIVER_IS_SHARED | DRIVER_NOT_ZEROED,
};
MEMSAFE_DRIVER(uio_logical);

static struct memsafe_driver uio_virtual = {
	.name = "uio_virtual",
	UIO_CONTRACT,
	.open = virtual_open,
	.flags = DRIVER_IS_SHARED | DRIVER_NOT_ZEROED,
};
MEMSAFE_DRIVER(uio_virtual);
