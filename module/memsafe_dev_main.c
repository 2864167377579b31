// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/memsafe: the reference driver.  Maps memory into user space in every
 * correct way, counts what the kernel asks of it, and fails on request.  This
 * file has the module, the open file and its ioctls.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "memsafe_compat.h"
#include "memsafe_dev.h"

/* Configuring it into a kernel is a choice; loading a module is made one. */
#ifdef MODULE
static bool enable;
#else
static bool enable = true;
#endif
module_param(enable, bool, 0444);
MODULE_PARM_DESC(enable, "create /dev/memsafe (default: 0 as a module)");

static int memsafe_dev_open(struct inode *inode, struct file *file)
{
	struct memsafe_dev_file *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return -ENOMEM;
	spin_lock_init(&dev->lock);
	file->private_data = dev;
	return 0;
}

/* Not before the last mapping is gone: each holds the file. */
static int memsafe_dev_release(struct inode *inode, struct file *file)
{
	struct memsafe_dev_file *dev = file->private_data;

	memsafe_dev_buffer_destroy(dev->buffer);
	kfree(dev);
	return 0;
}

static long memsafe_dev_setup(struct memsafe_dev_file *dev, void __user *arg)
{
	struct memsafe_dev_setup setup;
	struct memsafe_dev_buffer *buf;

	if (copy_from_user(&setup, arg, sizeof(setup)))
		return -EFAULT;
	buf = memsafe_dev_buffer_create(&setup);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	/* Two threads may race here; pairs with memsafe_dev_buffer(). */
	if (cmpxchg_release(&dev->buffer, NULL, buf)) {
		memsafe_dev_buffer_destroy(buf);
		return -EBUSY;
	}
	return 0;
}

static long memsafe_dev_counters(struct memsafe_dev_file *dev, void __user *arg)
{
	struct memsafe_dev_counters counters;

	spin_lock(&dev->lock);
	counters = dev->counters;
	spin_unlock(&dev->lock);
	memsafe_dev_buffer_totals(&counters.all_buffers, &counters.all_pages);

	return copy_to_user(arg, &counters, sizeof(counters)) ? -EFAULT : 0;
}

/* The core has a meaning only for these. */
static bool is_valid(const struct memsafe_dev_inject *inject)
{
	switch (inject->handler) {
	case MEMSAFE_DEV_ON_FAULT:
		return inject->action <= MEMSAFE_DEV_RETURN_MAJOR;
	case MEMSAFE_DEV_ON_MKWRITE:
		return inject->action <= MEMSAFE_DEV_RETURN_NOPAGE;
	case MEMSAFE_DEV_ON_FSYNC:
		return inject->action == MEMSAFE_DEV_RETURN_EIO &&
		       !inject->pgoff;
	}
	return false;
}

static long memsafe_dev_inject(struct memsafe_dev_file *dev, void __user *arg)
{
	struct memsafe_dev_inject inject;

	if (copy_from_user(&inject, arg, sizeof(inject)))
		return -EFAULT;
	if (inject.reserved || !is_valid(&inject))
		return -EINVAL;
	if (inject.action == MEMSAFE_DEV_RETURN_HWPOISON &&
	    !IS_ENABLED(CONFIG_MEMORY_FAILURE))
		return -EOPNOTSUPP;

	spin_lock(&dev->lock);
	dev->inject = inject;
	spin_unlock(&dev->lock);
	return 0;
}

/* True, with the action, as often as MEMSAFE_DEV_INJECT asked for. */
bool memsafe_dev_take(struct memsafe_dev_file *dev, u32 handler, u64 pgoff,
		      u32 *action)
{
	struct memsafe_dev_inject *inject = &dev->inject;
	bool taken;

	spin_lock(&dev->lock);
	taken = inject->times && inject->handler == handler &&
		inject->pgoff == pgoff;
	if (taken) {
		inject->times--;
		*action = inject->action;
	}
	spin_unlock(&dev->lock);
	return taken;
}

static long memsafe_dev_page_info(struct memsafe_dev_file *dev,
				  void __user *arg)
{
	struct memsafe_dev_buffer *buf = memsafe_dev_buffer(dev);
	struct memsafe_dev_page_info out;
	struct page *page;

	if (!buf)
		return -ENXIO;
	if (copy_from_user(&out, arg, sizeof(out)))
		return -EFAULT;
	/* In 64 bits: the low word alone could be a good offset. */
	if (out.reserved || out.pgoff >= buf->npages)
		return -EINVAL;

	page = memsafe_dev_buffer_page(buf, out.pgoff);
	out.pfn = page_to_pfn(page);
	out.refs = page_count(page);
	return copy_to_user(arg, &out, sizeof(out)) ? -EFAULT : 0;
}

static long memsafe_dev_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct memsafe_dev_file *dev = file->private_data;
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case MEMSAFE_DEV_SETUP:
		return memsafe_dev_setup(dev, user);
	case MEMSAFE_DEV_COUNTERS:
		return memsafe_dev_counters(dev, user);
	case MEMSAFE_DEV_INJECT:
		return memsafe_dev_inject(dev, user);
	case MEMSAFE_DEV_PAGE_INFO:
		return memsafe_dev_page_info(dev, user);
	}
	return -ENOTTY;
}

static ssize_t memsafe_dev_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct memsafe_dev_buffer *buf =
		memsafe_dev_buffer(iocb->ki_filp->private_data);

	return buf ? memsafe_dev_buffer_copy(buf, &iocb->ki_pos, iter) : -ENXIO;
}

static ssize_t memsafe_dev_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct memsafe_dev_buffer *buf =
		memsafe_dev_buffer(iocb->ki_filp->private_data);

	if (!buf)
		return -ENXIO;
	if (iov_iter_count(iter) && iocb->ki_pos >= buf->size)
		return -ENOSPC;
	return memsafe_dev_buffer_copy(buf, &iocb->ki_pos, iter);
}

static loff_t memsafe_dev_llseek(struct file *file, loff_t offset, int whence)
{
	struct memsafe_dev_buffer *buf = memsafe_dev_buffer(file->private_data);

	return fixed_size_llseek(file, offset, whence, buf ? buf->size : 0);
}

static int memsafe_dev_fsync(struct file *file, loff_t start, loff_t end,
			     int datasync)
{
	struct memsafe_dev_file *dev = file->private_data;
	u32 action;

	spin_lock(&dev->lock);
	dev->counters.fsyncs++;
	dev->counters.fsync_start = start;
	dev->counters.fsync_end = end;
	dev->counters.fsync_datasync = datasync;
	spin_unlock(&dev->lock);

	if (memsafe_dev_take(dev, MEMSAFE_DEV_ON_FSYNC, 0, &action))
		return -EIO;
	return 0;
}

static const struct file_operations memsafe_dev_fops = {
	.owner = THIS_MODULE,
	.open = memsafe_dev_open,
	.release = memsafe_dev_release,
	.llseek = memsafe_dev_llseek,
	.read_iter = memsafe_dev_read_iter,
	.write_iter = memsafe_dev_write_iter,
	.unlocked_ioctl = memsafe_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = memsafe_dev_mmap,
	.fsync = memsafe_dev_fsync,
};

static struct miscdevice memsafe_dev_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = MEMSAFE_DEV_NAME,
	.fops = &memsafe_dev_fops,
	.mode = 0600,
};

static int __init memsafe_dev_init(void)
{
	if (!enable) {
		pr_err("not loaded: a driver for tests, it needs enable=1\n");
		return -EPERM;
	}
	return misc_register(&memsafe_dev_misc);
}
module_init(memsafe_dev_init);

static void __exit memsafe_dev_exit(void)
{
	misc_deregister(&memsafe_dev_misc);
}
module_exit(memsafe_dev_exit);

MODULE_DESCRIPTION("Reference driver of the memory-safety tests");
MODULE_LICENSE("GPL");
/* Taints the kernel, as everything that is not for production does. */
MODULE_INFO(test, "Y");
