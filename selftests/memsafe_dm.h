/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A disk that fails when it is told to: a device-mapper device over the guest's
 * spare disk, whose table is changed under whoever uses it
 * (Documentation/admin-guide/device-mapper/dm-flakey.rst).
 */
#ifndef MEMSAFE_DM_H
#define MEMSAFE_DM_H

#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "memsafe_disk.h"

#define DM_CONTROL "/dev/" DM_DIR "/" DM_CONTROL_NODE
#define DM_DISK "memsafe-failing"

struct dm_disk {
	int control;
	char spare[DISK_PATH_LEN]; /* what is below */
	char path[DISK_PATH_LEN];  /* what is mounted */
	uint64_t sectors;
};

/* An ioctl with at most one target. */
struct dm_request {
	struct dm_ioctl head;
	struct dm_target_spec spec;
	char params[128];
};

static inline int dm_call(const struct dm_disk *disk, unsigned long call,
			  struct dm_request *request)
{
	request->head.version[0] = DM_VERSION_MAJOR;
	request->head.data_size = sizeof(*request);
	request->head.data_start = offsetof(struct dm_request, spec);
	strcpy(request->head.name, DM_DISK);
	return ioctl(disk->control, call, request) ? -errno : 0;
}

/*
 * From now on the disk does what @target with @params does, without what is
 * dirty above it being written first; 0 or -errno.
 */
static inline int dm_become(struct dm_disk *disk, const char *target,
			    const char *params)
{
	struct dm_request load = {
		.head.target_count = 1,
		.spec.length = disk->sectors,
	};
	struct dm_request suspend = {
		.head.flags =
			DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG | DM_NOFLUSH_FLAG,
	};
	struct dm_request resume = {};
	int err;

	strcpy(load.spec.target_type, target);
	snprintf(load.params, sizeof(load.params), "%s", params);
	err = dm_call(disk, DM_TABLE_LOAD, &load);
	if (!err)
		err = dm_call(disk, DM_DEV_SUSPEND, &suspend);
	if (!err)
		err = dm_call(disk, DM_DEV_SUSPEND, &resume);
	return err;
}

static inline int dm_works(struct dm_disk *disk)
{
	char params[128];

	snprintf(params, sizeof(params), "%s 0", disk->spare);
	return dm_become(disk, "linear", params);
}

/* Down for ever: up for 0 s, down for 1 s. */
static inline int dm_fails_writes(struct dm_disk *disk)
{
	char params[128];

	snprintf(params, sizeof(params), "%s 0 0 1 1 error_writes",
		 disk->spare);
	return dm_become(disk, "flakey", params);
}

static inline int dm_fails(struct dm_disk *disk)
{
	return dm_become(disk, "error", "");
}

/* What the disk that fails lies on; false when there is none. */
static inline bool find_spare(struct dm_disk *disk)
{
	char path[DISK_PATH_LEN + 16];

	if (!disk_find("spare", disk->spare))
		return false;
	snprintf(path, sizeof(path), "/sys/block/%s/size",
		 disk->spare + strlen("/dev/"));
	disk->sectors = sysctl_get(path);
	return true;
}

/* What is missing for it, for SKIP(); NULL when nothing. */
static inline const char *dm_needs(void)
{
	struct dm_disk disk;

	if (access(DM_CONTROL, W_OK))
		return "CONFIG_DM_FLAKEY=y and root";
	return find_spare(&disk) ? NULL : "a spare disk";
}

static inline void dm_remove(struct dm_disk *disk)
{
	struct dm_request request = {};

	dm_call(disk, DM_DEV_REMOVE, &request);
	close(disk->control);
}

/* A disk that works; false when there is none. */
static inline bool dm_create(struct dm_disk *disk)
{
	struct dm_request request = {};

	disk->control = open(DM_CONTROL, O_RDWR | O_CLOEXEC);
	if (disk->control < 0 || !find_spare(disk) ||
	    dm_call(disk, DM_DEV_CREATE, &request))
		return false;
	/* huge_encode_dev() of the kernel: the minor is in two parts. */
	snprintf(disk->path, sizeof(disk->path), "/dev/dm-%u",
		 (unsigned int)((request.head.dev & 0xff) |
				(request.head.dev >> 12 & 0xfff00)));
	return !dm_works(disk);
}

#endif /* MEMSAFE_DM_H */
