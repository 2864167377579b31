// SPDX-License-Identifier: GPL-2.0
/*
 * Two devices of the UIO core, each with one region of plain memory: what mmap()
 * does with it is drivers/uio/uio.c alone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/uio_driver.h>
#include <linux/vmalloc.h>

/* Configuring it into a kernel is a choice; loading a module is made one. */
#ifdef MODULE
static bool enable;
#else
static bool enable = true;
#endif
module_param(enable, bool, 0444);
MODULE_PARM_DESC(enable, "add the devices (default: 0 as a module)");

#define MEMSAFE_UIO_SIZE	(4 * PAGE_SIZE)

struct memsafe_uio {
	struct uio_info info;
	void *memory;
	bool registered;
};

static struct memsafe_uio memsafe_uios[] = {
	{ .info.name = "memsafe_logical", .info.mem[0].memtype = UIO_MEM_LOGICAL },
	{ .info.name = "memsafe_virtual", .info.mem[0].memtype = UIO_MEM_VIRTUAL },
};

static struct device *memsafe_uio_root;

static void memsafe_uio_remove(struct memsafe_uio *uio)
{
	if (uio->registered)
		uio_unregister_device(&uio->info);
	if (!uio->memory)
		return;
	if (uio->info.mem[0].memtype == UIO_MEM_VIRTUAL)
		vfree(uio->memory);
	else
		free_pages_exact(uio->memory, MEMSAFE_UIO_SIZE);
}

/* On failure, what was made stays for memsafe_uio_remove(). */
static int memsafe_uio_add(struct memsafe_uio *uio)
{
	struct uio_mem *mem = &uio->info.mem[0];
	int err;

	if (mem->memtype == UIO_MEM_VIRTUAL)
		uio->memory = vmalloc_user(MEMSAFE_UIO_SIZE);
	else
		uio->memory = alloc_pages_exact(MEMSAFE_UIO_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!uio->memory)
		return -ENOMEM;

	mem->name = uio->info.name;
	mem->size = MEMSAFE_UIO_SIZE;
	mem->addr = (phys_addr_t)(unsigned long)uio->memory;
	uio->info.version = "1";
	uio->info.irq = UIO_IRQ_NONE;

	err = uio_register_device(memsafe_uio_root, &uio->info);
	uio->registered = !err;
	return err;
}

static void memsafe_uio_exit(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(memsafe_uios); i++)
		memsafe_uio_remove(&memsafe_uios[i]);
	root_device_unregister(memsafe_uio_root);
}
module_exit(memsafe_uio_exit);

static int __init memsafe_uio_init(void)
{
	int i, err = 0;

	if (!enable) {
		pr_err("not loaded: regions for tests, it needs enable=1\n");
		return -EPERM;
	}
	memsafe_uio_root = root_device_register(KBUILD_MODNAME);
	if (IS_ERR(memsafe_uio_root))
		return PTR_ERR(memsafe_uio_root);
	for (i = 0; i < ARRAY_SIZE(memsafe_uios) && !err; i++)
		err = memsafe_uio_add(&memsafe_uios[i]);
	if (err)
		memsafe_uio_exit();
	return err;
}
module_init(memsafe_uio_init);

MODULE_DESCRIPTION("Regions of memory for the tests of the UIO core");
MODULE_LICENSE("GPL");
/* Taints the kernel, as everything that is not for production does. */
MODULE_INFO(test, "Y");
