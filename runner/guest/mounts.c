// SPDX-License-Identifier: GPL-2.0
/* The file systems and device nodes that a test finds. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "init.h"

static void mount_at(const char *type, const char *where, const char *options)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, options) && strcmp(type, "devtmpfs"))
		kmsg("memsafe: no %s", type);
}

static void quiet_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

void mount_all(void)
{
	mount_at("devtmpfs", "/dev", NULL);
	mount_at("proc", "/proc", NULL);
	mount_at("sysfs", "/sys", NULL);
	mount_at("debugfs", "/sys/kernel/debug", NULL);
	mount_at("tmpfs", "/tmp", "mode=1777");
	mount_at("tmpfs", "/dev/shm", "mode=1777");
	mount_at("devpts", "/dev/pts", NULL);
	quiet_stdio();
	if (chdir("/tmp"))
		kmsg("memsafe: no /tmp");
}

/* /sys/block/<disk>/serial is what QEMU was told: serial=payload. */
static bool has_serial(const char *disk, const char *wanted)
{
	char path[512], serial[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/%s/serial", disk);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(serial, sizeof(serial), file))
		serial[0] = '\0';
	fclose(file);
	serial[strcspn(serial, "\n")] = '\0';
	return !strcmp(serial, wanted);
}

bool mount_disk(const char *serial, const char *where, const char *type,
		bool read_only)
{
	DIR *disks = opendir("/sys/block");
	struct dirent *entry;
	bool mounted = false;
	char device[300];

	while (disks && !mounted && (entry = readdir(disks))) {
		if (!has_serial(entry->d_name, serial))
			continue;
		snprintf(device, sizeof(device), "/dev/%s", entry->d_name);
		mkdir(where, 0755);
		mounted = !mount(device, where, type, read_only ? MS_RDONLY : 0,
				 read_only ? "noload" : NULL);
	}
	if (disks)
		closedir(disks);
	return mounted;
}
