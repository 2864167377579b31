/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a file in /proc says, whether procfs is mounted anywhere or not.
 */
#ifndef MEMSAFE_PROC_FILE_H
#define MEMSAFE_PROC_FILE_H

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/string.h>

/* Enough for one line for each of a thousand areas; from kmalloc(), not vmalloc(). */
#define PROC_FILE_BYTES	(32 * PAGE_SIZE)

/* How many bytes were read, or a negative error. */
static inline ssize_t read_proc_file(const char *path, char *text, size_t size)
{
	struct file_system_type *type = get_fs_type("proc");
	struct vfsmount *mount;
	struct file *file;
	ssize_t len = 0, nr;
	loff_t pos = 0;

	if (!type)
		return -ENOENT;
	mount = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(mount))
		return PTR_ERR(mount);

	file = file_open_root_mnt(mount, path, O_RDONLY, 0);
	if (IS_ERR(file)) {
		kern_unmount(mount);
		return PTR_ERR(file);
	}
	while ((nr = kernel_read(file, text + len, size - len, &pos)) > 0)
		len += nr;
	fput(file);
	kern_unmount(mount);
	return nr < 0 ? nr : len;
}

/* The whole file as a string that is freed with the case, or NULL. */
static inline char *proc_text(struct kunit *test, const char *path)
{
	char *text = kunit_kmalloc(test, PROC_FILE_BYTES, GFP_KERNEL);
	ssize_t len = text ? read_proc_file(path, text, PROC_FILE_BYTES) : -ENOMEM;

	if (len < 0 || len == PROC_FILE_BYTES)
		return NULL;
	text[len] = '\0';
	return text;
}

/* A file that kernels may lack is a reason to skip, anything else is a failure. */
#define skip_without_proc_file(test, path) do {					\
	char __byte;								\
										\
	if (read_proc_file(path, &__byte, 1) == -ENOENT)			\
		kunit_skip(test, "needs /proc/%s", path);			\
} while (0)

#endif
