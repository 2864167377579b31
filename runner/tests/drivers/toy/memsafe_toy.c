// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/memsafe_toy: 64 KiB of zeroed memory for each open.  It keeps its promises,
 * unless the parameter "bug" names one that it breaks.
 */
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define NPAGES	((64 << 10) / PAGE_SIZE)

static char *bug = "none";
module_param(bug, charp, 0444);

static DECLARE_COMPLETION(never);
static void *lost;

static int toy_open(struct inode *inode, struct file *file)
{
	if (!strcmp(bug, "oops_at_open"))
		BUG();
	if (!strcmp(bug, "hang_at_open"))
		wait_for_completion(&never);
	if (!strcmp(bug, "stays"))
		__module_get(THIS_MODULE);
	if (!strcmp(bug, "leak"))
		lost = kmalloc(128, GFP_KERNEL);
	file->private_data = vmalloc_user(NPAGES * PAGE_SIZE);
	return file->private_data ? 0 : -ENOMEM;
}

static int toy_release(struct inode *inode, struct file *file)
{
	vfree(file->private_data);
	return 0;
}

static vm_fault_t toy_fault(struct vm_fault *vmf)
{
	unsigned long index = vmf->pgoff;

	if (!strcmp(bug, "offset"))
		index = linear_page_index(vmf->vma, vmf->address) -
			vmf->vma->vm_pgoff;
	if (index >= NPAGES)
		return VM_FAULT_SIGBUS;
	vmf->page = vmalloc_to_page(vmf->vma->vm_private_data +
				    index * PAGE_SIZE);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct toy_vm_ops = {
	.fault = toy_fault,
};

static int toy_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff >= NPAGES ||
	    vma_pages(vma) > NPAGES - vma->vm_pgoff)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = file->private_data;
	vma->vm_ops = &toy_vm_ops;
	return 0;
}

static const struct file_operations toy_fops = {
	.owner = THIS_MODULE,
	.open = toy_open,
	.release = toy_release,
	.mmap = toy_mmap,
};

static struct miscdevice toy = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "memsafe_toy",
	.fops = &toy_fops,
};

static int __init toy_init(void)
{
	return strcmp(bug, "refuse") ? misc_register(&toy) : -ENXIO;
}
module_init(toy_init);

static void __exit toy_exit(void)
{
	misc_deregister(&toy);
}
module_exit(toy_exit);

MODULE_DESCRIPTION("A driver for the tests of memsafe.py drive");
MODULE_LICENSE("GPL");
