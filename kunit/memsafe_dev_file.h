/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/memsafe opened, set up, mapped and asked from inside the kernel, as a
 * program would: through its file, never through symbols of its module.
 */
#ifndef MEMSAFE_DEV_FILE_H
#define MEMSAFE_DEV_FILE_H

#include <kunit/test.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/uaccess.h>

#include "../module/memsafe_dev_uapi.h"
#include "memsafe_user.h"

struct dev_file {
	struct file *file;
	unsigned long args;	/* user memory for the arguments of ioctls */
};

/*
 * Built-in suites run before there is a /dev, and a guest need not have one:
 * each suite has a devtmpfs of its own.  Its suite_init and suite_exit call
 * mount_devices() and unmount_devices().
 */
static struct vfsmount *devices;

static inline int mount_devices(struct kunit_suite *suite)
{
	struct file_system_type *type = get_fs_type("devtmpfs");
	struct vfsmount *mnt;

	if (!type)
		return 0;
	mnt = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	devices = mnt;
	return 0;
}

static inline void unmount_devices(struct kunit_suite *suite)
{
	if (devices)
		kern_unmount(devices);
	devices = NULL;
}

/* For the init of a suite; its exit calls close_device(). */
static inline int open_device(struct kunit *test)
{
	struct dev_file *dev = kunit_kzalloc(test, sizeof(*dev), GFP_KERNEL);
	struct file *file;

	if (!dev)
		return -ENOMEM;
	if (!devices)
		kunit_skip(test, "needs CONFIG_DEVTMPFS=y");
	file = file_open_root_mnt(devices, MEMSAFE_DEV_NAME, O_RDWR, 0);
	if (IS_ERR(file))
		kunit_skip(test, "needs /dev/" MEMSAFE_DEV_NAME);
	dev->file = file;
	test->priv = dev;

	dev->args = user_map(test, NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, 0);
	return IS_ERR_VALUE(dev->args) ? (int)dev->args : 0;
}

static inline void close_device(struct kunit *test)
{
	struct dev_file *dev = test->priv;

	if (dev && dev->file)
		fput(dev->file);
}

static inline long dev_ioctl(struct kunit *test, unsigned int cmd, void *arg)
{
	struct dev_file *dev = test->priv;
	void __user *user = (void __user *)dev->args;
	long ret;

	KUNIT_ASSERT_EQ(test, 0UL, copy_to_user(user, arg, _IOC_SIZE(cmd)));
	ret = dev->file->f_op->unlocked_ioctl(dev->file, cmd, dev->args);
	KUNIT_ASSERT_EQ(test, 0UL, copy_from_user(arg, user, _IOC_SIZE(cmd)));
	return ret;
}

static inline void set_up(struct kunit *test, u32 memory, u32 map, u32 flags,
			  unsigned long npages)
{
	struct memsafe_dev_setup setup = {
		.size = npages << PAGE_SHIFT,
		.memory = memory,
		.map = map,
		.flags = flags,
	};

	KUNIT_ASSERT_EQ(test, 0L, dev_ioctl(test, MEMSAFE_DEV_SETUP, &setup));
}

static inline struct memsafe_dev_counters counters(struct kunit *test)
{
	struct memsafe_dev_counters counters = {};

	KUNIT_ASSERT_EQ(test, 0L,
			dev_ioctl(test, MEMSAFE_DEV_COUNTERS, &counters));
	return counters;
}

static inline struct memsafe_dev_page_info page_info(struct kunit *test,
						     u64 pgoff)
{
	struct memsafe_dev_page_info info = { .pgoff = pgoff };

	KUNIT_ASSERT_EQ(test, 0L,
			dev_ioctl(test, MEMSAFE_DEV_PAGE_INFO, &info));
	return info;
}

/* The next `times` calls of `handler` for page `pgoff` do `action`. */
static inline void inject(struct kunit *test, u32 handler, u32 action,
			  u64 pgoff, u32 times)
{
	struct memsafe_dev_inject inject = {
		.pgoff = pgoff,
		.handler = handler,
		.action = action,
		.times = times,
	};
	long ret = dev_ioctl(test, MEMSAFE_DEV_INJECT, &inject);

	if (ret == -EOPNOTSUPP)
		kunit_skip(test, "needs CONFIG_MEMORY_FAILURE=y");
	KUNIT_ASSERT_EQ(test, 0L, ret);
}

/* Maps `npages` of the buffer from page `pgoff` on, read-write. */
static inline unsigned long map_pages(struct kunit *test, unsigned long pgoff,
				      unsigned long npages, unsigned long sharing)
{
	struct dev_file *dev = test->priv;
	unsigned long addr = user_map(test, dev->file, npages << PAGE_SHIFT,
				      PROT_READ | PROT_WRITE, sharing,
				      pgoff << PAGE_SHIFT);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR_VALUE(addr), "mmap: %ld", addr);
	return addr;
}

/* The buffer without a mapping: one byte of it. */
static inline void buffer_poke(struct kunit *test, loff_t pos, u8 value)
{
	struct dev_file *dev = test->priv;

	KUNIT_ASSERT_EQ(test, 1, kernel_write(dev->file, &value, 1, &pos));
}

static inline u8 buffer_peek(struct kunit *test, loff_t pos)
{
	struct dev_file *dev = test->priv;
	u8 value = 0;

	KUNIT_ASSERT_EQ(test, 1, kernel_read(dev->file, &value, 1, &pos));
	return value;
}

#endif
