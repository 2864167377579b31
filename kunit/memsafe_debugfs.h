/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Write to a debugfs file as a user would, whether debugfs is mounted anywhere or
 * not.
 */
#ifndef MEMSAFE_DEBUGFS_H
#define MEMSAFE_DEBUGFS_H

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/uaccess.h>

/* kernel_write() refuses files that have only a ->write: it wants user memory. */
static inline ssize_t write_as_user(struct kunit *test, struct file *file, const char *text)
{
	size_t len = strlen(text);
	unsigned long user = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
					   MAP_ANONYMOUS | MAP_PRIVATE, 0);
	loff_t pos = 0;

	if (IS_ERR_VALUE(user))
		return user;
	if (copy_to_user((void __user *)user, text, len))
		return -EFAULT;
	return file->f_op->write(file, (const char __user *)user, len, &pos);
}

/* 0, or a negative error: -ENOENT where the kernel has no such file. */
static inline int write_debugfs(struct kunit *test, const char *path, const char *text)
{
	struct file_system_type *type = get_fs_type("debugfs");
	struct vfsmount *mount;
	struct file *file;
	ssize_t written;

	if (!type)
		return -ENOENT;
	mount = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(mount))
		return PTR_ERR(mount);

	file = file_open_root_mnt(mount, path, O_WRONLY, 0);
	if (IS_ERR(file)) {
		kern_unmount(mount);
		return PTR_ERR(file);
	}
	written = write_as_user(test, file, text);
	fput(file);
	kern_unmount(mount);
	return written < 0 ? written : 0;
}

#endif
