// SPDX-License-Identifier: GPL-2.0
/*
 * A relay channel of which nothing is recorded: what mmap() does with it is
 * kernel/relay.c alone.  Its file is memsafe_relay0 of debugfs.
 *
 * The channels of the kernel's own users can't be mapped: debugfs_create_file(), which
 * they call, puts a proxy before the file that has no mmap.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/relay.h>

/* Configuring it into a kernel is a choice; loading a module is made one. */
#ifdef MODULE
static bool enable;
#else
static bool enable = true;
#endif
module_param(enable, bool, 0444);
MODULE_PARM_DESC(enable, "make the channel (default: 0 as a module)");

#define MEMSAFE_RELAY_SUBBUFFERS	4

static struct rchan *memsafe_relay_channel;

static struct dentry *memsafe_relay_create_file(const char *name, struct dentry *parent,
						umode_t mode, struct rchan_buf *buf, int *is_global)
{
	*is_global = 1;
	return debugfs_create_file_unsafe(name, mode, parent, buf, &relay_file_operations);
}

static int memsafe_relay_remove_file(struct dentry *file)
{
	debugfs_remove(file);
	return 0;
}

static const struct rchan_callbacks memsafe_relay_callbacks = {
	.create_buf_file = memsafe_relay_create_file,
	.remove_buf_file = memsafe_relay_remove_file,
};

static int __init memsafe_relay_init(void)
{
	if (!enable) {
		pr_err("not loaded: a channel for tests, it needs enable=1\n");
		return -EPERM;
	}
	memsafe_relay_channel = relay_open(KBUILD_MODNAME, NULL, PAGE_SIZE,
					   MEMSAFE_RELAY_SUBBUFFERS,
					   &memsafe_relay_callbacks, NULL);
	return memsafe_relay_channel ? 0 : -ENOMEM;
}
module_init(memsafe_relay_init);

static void __exit memsafe_relay_exit(void)
{
	relay_close(memsafe_relay_channel);
}
module_exit(memsafe_relay_exit);

MODULE_DESCRIPTION("Relay channel for the tests of its mappings");
MODULE_LICENSE("GPL");
/* Taints the kernel, as everything that is not for production does. */
MODULE_INFO(test, "Y");
