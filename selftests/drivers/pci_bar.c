// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI resource file of sysfs: the BAR of QEMU's ivshmem-plain, which is memory
 * (drivers/pci/pci-sysfs.c, drivers/pci/mmap.c).
 */
#include <glob.h>

#include "memsafe_driver.h"

#define DEVICES "/sys/bus/pci/devices/*/"
#define IVSHMEM "0x1af41110" /* vendor and device */
#define RESOURCE "resource2"

/* What the file @name of the device in @dir begins with, without its newline. */
static bool reads(const char *dir, const char *name, char *text, size_t size)
{
	char path[512];
	FILE *file;
	bool done;

	snprintf(path, sizeof(path), "%s%s", dir, name);
	file = fopen(path, "r");
	if (!file)
		return false;
	done = fgets(text, size, file);
	fclose(file);
	text[strcspn(text, "\n")] = 0;
	return done;
}

/* The path of the resource; NULL: there is no such device. Looked for once. */
static const char *bar_path(void)
{
	static char path[512];
	static bool known;
	char vendor[16], device[16], id[32];
	bool found = false;
	glob_t dirs;

	if (known)
		return path;
	if (glob(DEVICES, 0, NULL, &dirs))
		return NULL;
	for (size_t i = 0; i < dirs.gl_pathc && !found; i++) {
		if (!reads(dirs.gl_pathv[i], "vendor", vendor,
			   sizeof(vendor)) ||
		    !reads(dirs.gl_pathv[i], "device", device, sizeof(device)))
			continue;
		snprintf(id, sizeof(id), "%s%s", vendor, device + 2);
		found = !strcmp(id, IVSHMEM);
		snprintf(path, sizeof(path), "%s" RESOURCE, dirs.gl_pathv[i]);
	}
	globfree(&dirs);
	known = found && !access(path, R_OK | W_OK);
	return known ? path : NULL;
}

static const char *pci_bar_needs(void)
{
	return bar_path() ? NULL : "ivshmem-plain on a PCI bus";
}

static int pci_bar_open(struct driver_object *object)
{
	int err = driver_open_node(object, bar_path(), O_RDWR);
	off_t size = err ? 0 : lseek(object->fd, 0, SEEK_END);

	object->size = size > 0 ? size : 0;
	return err ?: driver_opened(object, size);
}

static struct memsafe_driver pci_bar = {
	.name = "pci_bar",
	.needs = pci_bar_needs,
	.open = pci_bar_open,
	.past_end = EINVAL,
	/* sysfs is mounted so: path_noexec() in do_mmap(). */
	.exec = EPERM,
	.grow = EFAULT,
	.pages = EFAULT,
	.flags = DRIVER_NOT_ZEROED | DRIVER_IS_SHARED,
};
MEMSAFE_DRIVER(pci_bar);
