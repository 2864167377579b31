/* SPDX-License-Identifier: GPL-2.0 */
/* Disks of the guest, by the serial number that QEMU was told. */
#ifndef MEMSAFE_DISK_H
#define MEMSAFE_DISK_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "memsafe_proc.h"

#define DISK_PATH_LEN 64

/* Does the block device @name of sysfs have this serial number? */
static inline bool disk_has_serial(const char *name, const char *serial)
{
	struct line_reader lines;
	char path[300];
	bool same;

	snprintf(path, sizeof(path), "/sys/block/%s/serial", name);
	if (!lines_open(&lines, path))
		return false;
	same = lines_next(&lines) && !strcmp(lines.line, serial);
	lines_close(&lines);
	return same;
}

/* The path of a disk's node; false when there is no such disk. */
static inline bool disk_find(const char *serial, char path[DISK_PATH_LEN])
{
	DIR *disks = opendir("/sys/block");
	struct dirent *entry;
	bool found = false;

	while (disks && !found && (entry = readdir(disks))) {
		found = disk_has_serial(entry->d_name, serial);
		snprintf(path, DISK_PATH_LEN, "/dev/%.50s", entry->d_name);
	}
	if (disks)
		closedir(disks);
	return found;
}

#endif /* MEMSAFE_DISK_H */
