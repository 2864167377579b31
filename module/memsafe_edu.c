// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/memsafe_edu: a model driver for QEMU's PCI device "edu".  Its registers
 * are mapped into user space, its memory is read and written by DMA, and it may
 * be taken away at any time, while it is open and mapped too.
 *
 * mmap() maps BAR 0.  read() and write() reach the memory of the device.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "memsafe_compat.h"
#include "memsafe_edu.h"

/* Configuring it into a kernel is a choice; loading a module is made one. */
#ifdef MODULE
static bool enable;
#else
static bool enable = true;
#endif
module_param(enable, bool, 0444);
MODULE_PARM_DESC(enable, "drive edu devices (default: 0 as a module)");

/* Ten times what a transfer takes, and more on a host that is busy. */
#define MEMSAFE_EDU_TIMEOUT	(10 * HZ)

/*
 * One bound device.  Whoever has it open keeps this structure, not the device:
 * everything but @ref and @lock is for those who have seen, under the lock, that
 * the device is not gone.
 */
struct memsafe_edu {
	struct kref ref;
	struct mutex lock;
	bool gone;
	struct file *file;		/* who has it open, or NULL */

	struct pci_dev *pdev;
	void __iomem *regs;
	struct completion done;		/* the device has ended a transfer */
	void *out;			/* coherent: filled here, read by the device */
	dma_addr_t out_dma;
	struct page *in;		/* streaming: filled by the device, read here */
	dma_addr_t in_dma;
	struct miscdevice misc;
};

static void memsafe_edu_free(struct kref *ref)
{
	struct memsafe_edu *edu = container_of(ref, struct memsafe_edu, ref);

	mutex_destroy(&edu->lock);
	kfree(edu);
}

/*
 * The line may be shared: an interrupt of another device, and one that comes
 * when ours no longer answers (all bits read as 1), is not for us.
 */
static irqreturn_t memsafe_edu_irq(int irq, void *data)
{
	struct memsafe_edu *edu = data;
	u32 status = ioread32(edu->regs + EDU_IRQ_STATUS);

	if (!status || status == ~0U)
		return IRQ_NONE;

	iowrite32(status, edu->regs + EDU_IRQ_ACK);
	/* The write may be on its way still: the line is down when this returns. */
	ioread32(edu->regs + EDU_IRQ_STATUS);

	if (status & EDU_IRQ_DMA)
		complete(&edu->done);
	return IRQ_HANDLED;
}

/* After this the device can't reach memory, whatever it was told to do. */
static void memsafe_edu_stop(struct memsafe_edu *edu)
{
	pci_clear_master(edu->pdev);
}

/*
 * Under the lock.  One address is the bus address of a buffer, the other lies in
 * the device; the caller has checked that the range does.  The device cuts bits
 * off an address that is too wide for it, without a word: only addresses that
 * the DMA API has made for its mask may get here.
 */
static int memsafe_edu_transfer(struct memsafe_edu *edu, u32 src, u32 dst,
				u32 count, u32 direction)
{
	/* Whoever maps the registers can have started one as well. */
	if (ioread32(edu->regs + EDU_DMA_CMD) & EDU_DMA_START)
		return -EBUSY;

	reinit_completion(&edu->done);
	iowrite32(src, edu->regs + EDU_DMA_SRC);
	iowrite32(dst, edu->regs + EDU_DMA_DST);
	iowrite32(count, edu->regs + EDU_DMA_COUNT);
	/*
	 * iowrite32() comes after all earlier writes to coherent memory: no
	 * wmb() (Documentation/memory-barriers.txt, "KERNEL I/O BARRIER
	 * EFFECTS").
	 */
	iowrite32(EDU_DMA_START | EDU_DMA_RAISE | direction,
		  edu->regs + EDU_DMA_CMD);

	if (wait_for_completion_timeout(&edu->done, MEMSAFE_EDU_TIMEOUT) &&
	    !(ioread32(edu->regs + EDU_DMA_CMD) & EDU_DMA_START))
		return 0;
	/* It may still write: nobody could ever use the buffer again. */
	memsafe_edu_stop(edu);
	return -EIO;
}

/* Into the device, through coherent memory. */
static int memsafe_edu_put(struct memsafe_edu *edu, size_t pos,
			   const void *data, size_t count)
{
	memcpy(edu->out, data, count);
	return memsafe_edu_transfer(edu, edu->out_dma, EDU_MEMORY + pos, count,
				    EDU_DMA_TO_DEVICE);
}

/*
 * Out of the device, through a streaming mapping: the memory belongs either to
 * the device or to the CPU, and each change of hands is said.
 */
static int memsafe_edu_get(struct memsafe_edu *edu, size_t pos, void *data,
			   size_t count)
{
	struct device *dev = &edu->pdev->dev;
	int err;

	dma_sync_single_for_device(dev, edu->in_dma, count, DMA_FROM_DEVICE);
	err = memsafe_edu_transfer(edu, EDU_MEMORY + pos, edu->in_dma, count,
				   EDU_DMA_FROM_DEVICE);
	dma_sync_single_for_cpu(dev, edu->in_dma, count, DMA_FROM_DEVICE);
	if (!err)
		memcpy(data, page_address(edu->in), count);
	return err;
}

/*
 * misc_open() holds the lock that misc_deregister() takes: the device is not
 * gone yet, and the reference is there to be copied.
 */
static int memsafe_edu_open(struct inode *inode, struct file *file)
{
	struct memsafe_edu *edu =
		container_of(file->private_data, struct memsafe_edu, misc);
	void *zero;
	int err;

	/* Whoever can write the registers can make the device write anywhere. */
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	err = security_locked_down(LOCKDOWN_PCI_ACCESS);
	if (err)
		return err;
	zero = kzalloc(EDU_MEMORY_SIZE, GFP_KERNEL);
	if (!zero)
		return -ENOMEM;

	/* One at a time; nobody sees what the one before has left there. */
	mutex_lock(&edu->lock);
	err = edu->file ? -EBUSY :
			  memsafe_edu_put(edu, 0, zero, EDU_MEMORY_SIZE);
	if (!err) {
		kref_get(&edu->ref);
		edu->file = file;
		file->private_data = edu;
	}
	mutex_unlock(&edu->lock);

	kfree(zero);
	return err;
}

/* Not before the last mapping is gone: each holds the file. */
static int memsafe_edu_release(struct inode *inode, struct file *file)
{
	struct memsafe_edu *edu = file->private_data;

	mutex_lock(&edu->lock);
	edu->file = NULL;
	mutex_unlock(&edu->lock);
	kref_put(&edu->ref, memsafe_edu_free);
	return 0;
}

/*
 * The lock is never held while user memory is touched: that may be a mapping of
 * this device, whose fault handler takes it.
 */
static ssize_t memsafe_edu_read(struct file *file, char __user *user,
				size_t count, loff_t *pos)
{
	struct memsafe_edu *edu = file->private_data;
	u8 *data = kmalloc(EDU_MEMORY_SIZE, GFP_KERNEL);
	ssize_t ret = -ENODEV;

	if (!data)
		return -ENOMEM;
	mutex_lock(&edu->lock);
	if (!edu->gone)
		ret = memsafe_edu_get(edu, 0, data, EDU_MEMORY_SIZE);
	mutex_unlock(&edu->lock);

	if (!ret)
		ret = simple_read_from_buffer(user, count, pos, data,
					      EDU_MEMORY_SIZE);
	kfree(data);
	return ret;
}

static ssize_t memsafe_edu_write(struct file *file, const char __user *user,
				 size_t count, loff_t *pos)
{
	struct memsafe_edu *edu = file->private_data;
	u8 *data;
	ssize_t ret;

	if (!count)
		return 0;
	/* So that the range is checked before it is used for anything. */
	if (*pos < 0 || *pos >= EDU_MEMORY_SIZE)
		return -ENOSPC;
	count = min_t(size_t, count, EDU_MEMORY_SIZE - *pos);
	data = memdup_user(user, count);
	if (IS_ERR(data))
		return PTR_ERR(data);

	mutex_lock(&edu->lock);
	ret = edu->gone ? -ENODEV : memsafe_edu_put(edu, *pos, data, count);
	mutex_unlock(&edu->lock);

	kfree(data);
	if (ret)
		return ret;
	*pos += count;
	return count;
}

static loff_t memsafe_edu_llseek(struct file *file, loff_t offset, int whence)
{
	return fixed_size_llseek(file, offset, whence, EDU_MEMORY_SIZE);
}

/*
 * Not in ->mmap: a VMA is in the file's list of mappings only after that, so
 * memsafe_edu_remove() could miss one that it must take away.  Here it is in the
 * list, and with the device not gone the removal comes later and finds it.
 *
 * VMAs are inside the BAR from ->mmap on: they may be split and moved, but can't
 * grow.
 */
static vm_fault_t memsafe_edu_fault(struct vm_fault *vmf)
{
	struct memsafe_edu *edu = vmf->vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	mutex_lock(&edu->lock);
	if (!edu->gone)
		ret = vmf_insert_pfn(vmf->vma, vmf->address,
				     (pci_resource_start(edu->pdev, EDU_BAR) >>
				      PAGE_SHIFT) + vmf->pgoff);
	mutex_unlock(&edu->lock);
	return ret;
}

/*
 * No ->access: ptrace() would read registers in widths that they don't have,
 * and a read of a register may change it.
 */
static const struct vm_operations_struct memsafe_edu_vm_ops = {
	.fault = memsafe_edu_fault,
};

/* -EINVAL outside the BAR, and for a private copy, which registers can't have. */
static int memsafe_edu_mmap(struct file *file, struct vm_area_struct *vma)
{
	const unsigned long npages = EDU_BAR_SIZE >> PAGE_SHIFT;
	struct memsafe_edu *edu = file->private_data;
	bool gone;

	/* Not VM_SHARED: a file that is open for reading only has lost that. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	/* Subtracts instead of adding: offset plus length may wrap around. */
	if (vma->vm_pgoff > npages || vma_pages(vma) > npages - vma->vm_pgoff)
		return -EINVAL;
	mutex_lock(&edu->lock);
	gone = edu->gone;
	mutex_unlock(&edu->lock);
	if (gone)
		return -ENODEV;

	/*
	 * No struct page, nothing to read ahead or to dump, and no growing past
	 * the end.
	 */
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	/*
	 * As io_remap_pfn_range() has it: what is not RAM is not encrypted
	 * either.  The memory type is the one of pcim_iomap_regions(): two
	 * mappings of a page with two types are undefined on x86 and arm.
	 */
	vma->vm_page_prot =
		pgprot_decrypted(pgprot_noncached(vma->vm_page_prot));
	vma->vm_private_data = edu;
	vma->vm_ops = &memsafe_edu_vm_ops;
	return 0;
}

static const struct file_operations memsafe_edu_fops = {
	.owner = THIS_MODULE,
	.open = memsafe_edu_open,
	.release = memsafe_edu_release,
	.llseek = memsafe_edu_llseek,
	.read = memsafe_edu_read,
	.write = memsafe_edu_write,
	.mmap = memsafe_edu_mmap,
};

static void memsafe_edu_put_ref(void *data)
{
	struct memsafe_edu *edu = data;

	kref_put(&edu->ref, memsafe_edu_free);
}

static struct memsafe_edu *memsafe_edu_alloc(struct pci_dev *pdev)
{
	struct memsafe_edu *edu = kzalloc(sizeof(*edu), GFP_KERNEL);

	if (!edu)
		return NULL;
	kref_init(&edu->ref);
	mutex_init(&edu->lock);
	init_completion(&edu->done);
	edu->pdev = pdev;
	edu->misc.minor = MISC_DYNAMIC_MINOR;
	edu->misc.name = MEMSAFE_EDU_NAME;
	edu->misc.fops = &memsafe_edu_fops;
	edu->misc.mode = 0600;
	edu->misc.parent = &pdev->dev;
	return edu;
}

static void memsafe_edu_free_in(void *data)
{
	struct memsafe_edu *edu = data;

	dma_free_pages(&edu->pdev->dev, EDU_MEMORY_SIZE, edu->in, edu->in_dma,
		       DMA_FROM_DEVICE);
}

/*
 * A mask of 28 bits: on x86 this memory comes from ZONE_DMA, where ZONE_DMA32
 * has given some that lies too high.
 */
static int memsafe_edu_alloc_buffers(struct memsafe_edu *edu)
{
	struct device *dev = &edu->pdev->dev;
	int err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(EDU_DMA_BITS));

	if (err)
		return err;
	edu->out = dmam_alloc_coherent(dev, EDU_MEMORY_SIZE, &edu->out_dma,
				       GFP_KERNEL);
	if (!edu->out)
		return -ENOMEM;
	/* Not kmalloc() and dma_map_single(): that can lie above the mask. */
	edu->in = dma_alloc_pages(dev, EDU_MEMORY_SIZE, &edu->in_dma,
				  DMA_FROM_DEVICE, GFP_KERNEL);
	if (!edu->in)
		return -ENOMEM;
	return devm_add_action_or_reset(dev, memsafe_edu_free_in, edu);
}

/* All is managed: released in reverse on failure, and after ->remove. */
static int memsafe_edu_probe(struct pci_dev *pdev,
			     const struct pci_device_id *id)
{
	struct memsafe_edu *edu = memsafe_edu_alloc(pdev);
	int err;

	if (!edu)
		return -ENOMEM;
	err = devm_add_action_or_reset(&pdev->dev, memsafe_edu_put_ref, edu);
	if (err)
		return err;
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	err = pcim_iomap_regions(pdev, BIT(EDU_BAR), MEMSAFE_EDU_NAME);
	if (err)
		return err;
	edu->regs = pcim_iomap_table(pdev)[EDU_BAR];
	if (pci_resource_len(pdev, EDU_BAR) != EDU_BAR_SIZE ||
	    (ioread32(edu->regs + EDU_ID) & EDU_ID_MASK) != EDU_ID_VALUE)
		return -ENODEV;
	err = memsafe_edu_alloc_buffers(edu);
	if (err)
		return err;

	/* Nothing that was pending may come as the first interrupt of ours. */
	iowrite32(ioread32(edu->regs + EDU_IRQ_STATUS),
		  edu->regs + EDU_IRQ_ACK);
	/* For DMA, and for MSI, which is a write to memory too. */
	pci_set_master(pdev);
	/* MSI, or the shared line; given back by pcim_enable_device()'s release. */
	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES);
	if (err < 0)
		return err;
	err = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0),
			       memsafe_edu_irq, IRQF_SHARED, MEMSAFE_EDU_NAME,
			       edu);
	if (err)
		return err;

	pci_set_drvdata(pdev, edu);
	/* Last: somebody may open it before this returns. */
	return misc_register(&edu->misc);
}

/*
 * Can't fail and can't wait for user space: whoever has the device open keeps a
 * file that says ENODEV, and a mapping that says SIGBUS.  The device is silent
 * before its interrupt handler and its buffers go.
 */
static void memsafe_edu_remove(struct pci_dev *pdev)
{
	struct memsafe_edu *edu = pci_get_drvdata(pdev);

	misc_deregister(&edu->misc);

	mutex_lock(&edu->lock);
	edu->gone = true;
	if (edu->file)
		unmap_mapping_range(edu->file->f_mapping, 0, 0, true);
	memsafe_edu_stop(edu);
	mutex_unlock(&edu->lock);
}

/* No MODULE_DEVICE_TABLE(): nothing loads it because a device is there. */
static const struct pci_device_id memsafe_edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{}
};

static struct pci_driver memsafe_edu_driver = {
	.name = MEMSAFE_EDU_NAME,
	.id_table = memsafe_edu_ids,
	.probe = memsafe_edu_probe,
	.remove = memsafe_edu_remove,
};

static int __init memsafe_edu_init(void)
{
	if (!enable) {
		pr_err("not loaded: a driver for tests, it needs enable=1\n");
		return -EPERM;
	}
	return pci_register_driver(&memsafe_edu_driver);
}
module_init(memsafe_edu_init);

static void __exit memsafe_edu_exit(void)
{
	pci_unregister_driver(&memsafe_edu_driver);
}
module_exit(memsafe_edu_exit);

MODULE_DESCRIPTION("Model PCI driver of the memory-safety tests");
MODULE_LICENSE("GPL");
/* Taints the kernel, as everything that is not for production does. */
MODULE_INFO(test, "Y");
