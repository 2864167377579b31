/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Write to a debugfs file, and read one, as a user would, whether debugfs is mounted
 * anywhere or not.
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

/* kernel_read() and kernel_write() refuse files that take user memory only. */
static inline unsigned long debugfs_user_page(struct kunit *test)
{
	return kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
}

static inline ssize_t write_as_user(struct kunit *test, struct file *file, const char *text)
{
	unsigned long user = debugfs_user_page(test);
	size_t len = strlen(text);
	loff_t pos = 0;

	if (IS_ERR_VALUE(user))
		return user;
	if (copy_to_user((void __user *)user, text, len))
		return -EFAULT;
	return file->f_op->write(file, (const char __user *)user, len, &pos);
}

/* As much as there is, up to @size bytes. */
static inline ssize_t read_as_user(struct kunit *test, struct file *file, char *text, size_t size)
{
	unsigned long user = debugfs_user_page(test);
	ssize_t len = 0, nr = 0;
	loff_t pos = 0;

	if (IS_ERR_VALUE(user))
		return user;
	while (len < size) {
		nr = file->f_op->read(file, (char __user *)user, min(size - len, PAGE_SIZE), &pos);
		if (nr <= 0)
			break;
		if (copy_from_user(text + len, (const void __user *)user, nr))
			return -EFAULT;
		len += nr;
	}
	return nr < 0 ? nr : len;
}

/* Where debugfs is while one of its files is open. */
struct debugfs_file {
	struct vfsmount *mount;
	struct file *file;
};

/* 0, or a negative error: -ENOENT where the kernel has no such file. */
static inline int open_debugfs(struct debugfs_file *at, const char *path, int flags)
{
	struct file_system_type *type = get_fs_type("debugfs");

	if (!type)
		return -ENOENT;
	at->mount = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(at->mount))
		return PTR_ERR(at->mount);
	at->file = file_open_root_mnt(at->mount, path, flags, 0);
	if (!IS_ERR(at->file))
		return 0;
	kern_unmount(at->mount);
	return PTR_ERR(at->file);
}

static inline void close_debugfs(struct debugfs_file *at)
{
	fput(at->file);
	kern_unmount(at->mount);
}

/* 0, or a negative error: -ENOENT where the kernel has no such file. */
static inline int write_debugfs(struct kunit *test, const char *path, const char *text)
{
	struct debugfs_file at;
	ssize_t written = open_debugfs(&at, path, O_WRONLY);

	if (written)
		return written;
	written = write_as_user(test, at.file, text);
	close_debugfs(&at);
	return written < 0 ? written : 0;
}

/* The file's length, up to @size - 1, and a string of it; or a negative error. */
static inline ssize_t read_debugfs(struct kunit *test, const char *path, char *text, size_t size)
{
	struct debugfs_file at;
	ssize_t len = open_debugfs(&at, path, O_RDONLY);

	if (len)
		return len;
	len = read_as_user(test, at.file, text, size - 1);
	close_debugfs(&at);
	text[max(len, 0)] = '\0';
	return len;
}

#endif
