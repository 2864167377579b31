// SPDX-License-Identifier: GPL-2.0
/* Dumb buffers of two drivers without hardware: shmem pages, mapped as PFNs. */
#include <drm/drm.h>
#include <drm/drm_mode.h>

#include "memsafe_driver.h"
#include "memsafe_module.h"

/* vgem and vkms are both card<N>: the one whose driver is this. */
static int card_of(const char *driver)
{
	for (int i = 0; i < 8; i++) {
		char path[32], name[32] = "";
		struct drm_version version = {
			.name = name,
			.name_len = sizeof(name) - 1,
		};
		int fd, err;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -1;
		err = ioctl(fd, DRM_IOCTL_VERSION, &version) ? errno : 0;
		if (!err && !strcmp(name, driver))
			return fd;
		close(fd);
		if (err) {
			errno = err;
			return -1;
		}
	}
	errno = ENODEV;
	return -1;
}

static int dumb_open(struct driver_object *object, const char *driver)
{
	struct drm_mode_create_dumb create = {
		.width = 64,
		.height = 64,
		.bpp = 32,
	};
	struct drm_mode_map_dumb map = {0};
	int err;

	object->fd = card_of(driver);
	if (object->fd < 0)
		return errno;
	err = driver_opened(object, ioctl(object->fd, DRM_IOCTL_MODE_CREATE_DUMB,
					  &create));
	/* Of no memory for the inode: FINDINGS.md. */
	if (err)
		return err == ENOSPC ? ENOMEM : err;
	map.handle = create.handle;
	object->size = create.size;
	err = driver_opened(object,
			    ioctl(object->fd, DRM_IOCTL_MODE_MAP_DUMB, &map));
	object->offset = map.offset;
	return err;
}

static int vgem_open(struct driver_object *object)
{
	return dumb_open(object, "vgem");
}

static int vkms_open(struct driver_object *object)
{
	return dumb_open(object, "vkms");
}

static bool has_card(const char *driver)
{
	int fd = card_of(driver);

	if (fd < 0 && !load_module(driver, ""))
		fd = card_of(driver);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static const char *vgem_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	return has_card("vgem") ? NULL : "CONFIG_DRM_VGEM=m";
}

static const char *vkms_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	return has_card("vkms") ? NULL : "CONFIG_DRM_VKMS=m";
}

/*
 * drm_gem_mmap() takes the exact offset of an object only, and
 * drm_gem_shmem_mmap() makes no copies and bare PFNs that do not grow.
 */
#define SHMEM_OBJECT                                                           \
	.part = EINVAL, .past_end = EINVAL, .private = EINVAL, .grow = EFAULT, \
	.pages = EFAULT, .proc_mem = EIO

static struct memsafe_driver vgem = {
	.name = "vgem",
	.needs = vgem_needs,
	.open = vgem_open,
	SHMEM_OBJECT,
};
MEMSAFE_DRIVER(vgem);

static struct memsafe_driver vkms = {
	.name = "vkms",
	.needs = vkms_needs,
	.open = vkms_open,
	SHMEM_OBJECT,
};
MEMSAFE_DRIVER(vkms);
