// SPDX-License-Identifier: GPL-2.0
/* The ring of the USB monitor, which only the kernel writes (drivers/usb/mon/). */
#include "memsafe_driver.h"
#include "memsafe_module.h"

/* Of all buses, and there without any. */
#define NODE "/dev/usbmon0"
#define RING_PAGES 4

/* Documentation/usb/usbmon.rst */
#define MON_IOCT_RING_SIZE _IO(0x92, 4)

static const char *usbmon_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	if (access(NODE, F_OK))
		load_module("usbmon", "");
	return access(NODE, F_OK) ? "CONFIG_USB_MON=m" : NULL;
}

static int usbmon_open(struct driver_object *object)
{
	int err = driver_open_node(object, NODE, O_RDWR);

	object->size = RING_PAGES * (size_t)getpagesize();
	return err
		       ?: driver_opened(object,
					ioctl(object->fd, MON_IOCT_RING_SIZE,
					      object->size));
}

static struct memsafe_driver usbmon = {
	.name = "usbmon",
	.needs = usbmon_needs,
	.open = usbmon_open,
	/* mon_bin_mmap() */
	.write = EPERM,
	.private = EPERM,
	.grow = EFAULT,
};
MEMSAFE_DRIVER(usbmon);
