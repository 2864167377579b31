// SPDX-License-Identifier: GPL-2.0
/* What /dev/memsafe_toy promises (toy/memsafe_toy.c). */
#include "memsafe_driver.h"

static int toy_open(struct driver_object *object)
{
	object->size = 64 << 10;
	return driver_open_node(object, "/dev/memsafe_toy", O_RDWR);
}

static struct memsafe_driver toy = {
	.name = "toy",
	.open = toy_open,
	/* toy_mmap() */
	.past_end = EINVAL,
	/* VM_DONTEXPAND (vma_to_resize(), mm/mremap.c). */
	.grow = EFAULT,
};
MEMSAFE_DRIVER(toy);
