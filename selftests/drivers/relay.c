// SPDX-License-Identifier: GPL-2.0
/* A relay channel (kernel/relay.c), that of module/memsafe_relay.c. */
#include <sys/mount.h>

#include "memsafe_driver.h"
#include "memsafe_module.h"

#define DEBUGFS "/sys/kernel/debug"
#define CHANNEL DEBUGFS "/memsafe_relay0"
#define SUBBUFFERS 4

static const char *relay_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	if (access(CHANNEL, F_OK)) {
		load_module("memsafe_relay", "enable=1");
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	}
	return access(CHANNEL, F_OK) ? "CONFIG_RELAY=y" : NULL;
}

static int relay_open(struct driver_object *object)
{
	object->size = SUBBUFFERS * (size_t)getpagesize();
	return driver_open_node(object, CHANNEL, O_RDWR);
}

static struct memsafe_driver relay = {
	.name = "relay",
	.needs = relay_needs,
	.open = relay_open,
	.past_end = EINVAL,
	/* relay_mmap_buf(): the whole, and VM_DONTEXPAND alone. */
	.part = EINVAL,
	.grow = EFAULT,
	.flags = DRIVER_IS_SHARED | DRIVER_NOT_ZEROED | DRIVER_DUMPED,
};
MEMSAFE_DRIVER(relay);
