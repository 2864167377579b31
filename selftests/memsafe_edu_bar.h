/* SPDX-License-Identifier: GPL-2.0 */
/* QEMU's PCI device edu, its place in sysfs and its registers in a mapping. */
#ifndef MEMSAFE_EDU_BAR_H
#define MEMSAFE_EDU_BAR_H

#include <dirent.h>
#include <stdio.h>

#include "memsafe.h"
#include "memsafe_edu.h"

#define DEVICE "/dev/" MEMSAFE_EDU_NAME
#define DEVICES "/sys/bus/pci/devices"

/* The number in the file of a PCI device in sysfs; -1: none. */
static inline long pci_number(const char *address, const char *file)
{
	char path[512], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", address, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return *text ? strtol(text, NULL, 16) : -1;
}

/* As in "0000:00:04.0"; false: there is none. */
static inline bool edu_address(char *address, size_t size)
{
	DIR *devices = opendir(DEVICES);
	struct dirent *entry;
	bool found = false;

	while (devices && !found && (entry = readdir(devices))) {
		found = pci_number(entry->d_name, "vendor") == EDU_VENDOR &&
			pci_number(entry->d_name, "device") == EDU_DEVICE;
		if (found)
			snprintf(address, size, "%.*s", (int)size - 1,
				 entry->d_name);
	}
	if (devices)
		closedir(devices);
	return found;
}

static inline uint32_t reg_read(const void *bar, size_t reg)
{
	return *(const volatile uint32_t *)((const char *)bar + reg);
}

static inline void reg_write(void *bar, size_t reg, uint32_t value)
{
	*(volatile uint32_t *)((char *)bar + reg) = value;
}

static inline void *map_bar(int fd, size_t len, off_t offset)
{
	return mmap(NULL, len, PROT_RW, MAP_SHARED, fd, offset);
}

#endif /* MEMSAFE_EDU_BAR_H */
