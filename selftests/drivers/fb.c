// SPDX-License-Identifier: GPL-2.0
/*
 * Frame buffers: vfb's, which is inserted at once; that of a DRM driver in shmem, and of
 * one that shows what is written to vmalloc memory later (drivers/video/fbdev/).
 */
#include <linux/fb.h>

#include "memsafe_driver.h"
#include "memsafe_module.h"

#define VFB "Virtual FB"
#define VKMS "vkmsdrmfb"
#define BOCHS "bochs-drmdrmfb"
#define NODES 4

/* The frame buffer of this name, opened; an errno, ENODEV when there is none. */
static int open_screen(struct driver_object *object, const char *name)
{
	struct fb_fix_screeninfo fix = {};
	char node[16];
	int err;

	for (int i = 0; i < NODES; i++) {
		snprintf(node, sizeof(node), "/dev/fb%d", i);
		err = driver_open_node(object, node, O_RDWR);
		if (err == ENOENT)
			continue;
		err = err
			      ?: driver_opened(object,
					       ioctl(object->fd,
						     FBIOGET_FSCREENINFO,
						     &fix));
		object->size = fix.smem_len;
		if (err || !strncmp(fix.id, name, sizeof(fix.id)))
			return err;
		close(object->fd);
	}
	object->fd = -1;
	return ENODEV;
}

static const char *needs(const char *name, const char *module,
			 const char *parameters, const char *lacks)
{
	struct driver_object object;

	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	if (open_screen(&object, name)) {
		load_module(module, parameters);
		if (open_screen(&object, name))
			return lacks;
	}
	close(object.fd);
	return NULL;
}

static bool fb_read(struct driver_object *object, void *to, size_t len,
		    off_t at)
{
	return pread(object->fd, to, len, at) == (ssize_t)len;
}

static bool fb_write(struct driver_object *object, const void *from, size_t len,
		     off_t at)
{
	return pwrite(object->fd, from, len, at) == (ssize_t)len;
}

#define FB_CONTRACT .read = fb_read, .write_to = fb_write, .grow = EFAULT

/* 640x480 of a byte each, in whole pages. */
static const char *vfb_needs(void)
{
	return needs(VFB, "vfb", "vfb_enable=1 videomemorysize=311296",
		     "CONFIG_FB_VIRTUAL=m");
}

static int vfb_open(struct driver_object *object)
{
	return open_screen(object, VFB);
}

static struct memsafe_driver vfb = {
	.name = "vfb",
	.needs = vfb_needs,
	.open = vfb_open,
	FB_CONTRACT,
	/* remap_vmalloc_range_partial() */
	.past_end = EINVAL,
	.flags = DRIVER_IS_SHARED | DRIVER_NOT_ZEROED | DRIVER_AT_ONCE,
};
MEMSAFE_DRIVER(vfb);

static const char *vkms_needs(void)
{
	return needs(VKMS, "vkms", "", "CONFIG_DRM_VKMS=m");
}

static int vkms_open(struct driver_object *object)
{
	return open_screen(object, VKMS);
}

static struct memsafe_driver fb_vkms = {
	.name = "fb_vkms",
	.needs = vkms_needs,
	.open = vkms_open,
	FB_CONTRACT,
	.flags = DRIVER_IS_SHARED | DRIVER_NOT_ZEROED,
};
MEMSAFE_DRIVER(fb_vkms);

static const char *bochs_needs(void)
{
	return needs(BOCHS, "bochs", "", "QEMU's bochs-display");
}

static int bochs_open(struct driver_object *object)
{
	return open_screen(object, BOCHS);
}

static struct memsafe_driver fb_bochs = {
	.name = "fb_bochs",
	.needs = bochs_needs,
	.open = bochs_open,
	FB_CONTRACT,
	.flags = DRIVER_IS_SHARED | DRIVER_NOT_ZEROED,
};
MEMSAFE_DRIVER(fb_bochs);
