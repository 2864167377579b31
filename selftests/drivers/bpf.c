// SPDX-License-Identifier: GPL-2.0
/* Maps of BPF: an array, and a ring buffer as its reader sees it. */
#include <linux/bpf.h>
#include <sys/syscall.h>

#include "memsafe_driver.h"

static int map_create(uint32_t type, uint32_t value, uint32_t entries)
{
	union bpf_attr attr = {
		.map_type = type,
		.key_size = value ? sizeof(uint32_t) : 0,
		.value_size = value,
		.max_entries = entries,
		.map_flags = value ? BPF_F_MMAPABLE : 0,
	};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static const char *bpf_needs(void)
{
	int fd;

	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	fd = map_create(BPF_MAP_TYPE_ARRAY, 8, 1);
	if (fd < 0)
		return "CONFIG_BPF_SYSCALL=y";
	close(fd);
	return NULL;
}

static int bpf_array_open(struct driver_object *object)
{
	object->size = 4 * getpagesize();
	object->fd = map_create(BPF_MAP_TYPE_ARRAY, getpagesize(), 4);
	return object->fd < 0 ? errno : 0;
}

static struct memsafe_driver bpf_array = {
	.name = "bpf_array",
	.needs = bpf_needs,
	.open = bpf_array_open,
	/* array_map_mmap(), kernel/bpf/arraymap.c */
	.past_end = EINVAL,
	/* bpf_map_mmap(), kernel/bpf/syscall.c: shared only. */
	.private = EINVAL,
	.grow = EFAULT,
	/* remap_vmalloc_range() inserts all pages. */
	.flags = DRIVER_AT_ONCE,
};
MEMSAFE_DRIVER(bpf_array);

static int bpf_ringbuf_open(struct driver_object *object)
{
	/* A page for each side's position, and the data twice in a row. */
	object->size = 6 * getpagesize();
	object->fd = map_create(BPF_MAP_TYPE_RINGBUF, 0, 2 * getpagesize());
	return object->fd < 0 ? errno : 0;
}

static struct memsafe_driver bpf_ringbuf = {
	.name = "bpf_ringbuf",
	.needs = bpf_needs,
	.open = bpf_ringbuf_open,
	/* ringbuf_map_mmap_kern(), kernel/bpf/ringbuf.c: only its first page. */
	.write = EPERM,
	.past_end = EINVAL,
	.private = EINVAL,
	.grow = EFAULT,
	.flags = DRIVER_AT_ONCE | DRIVER_CHANGES,
};
MEMSAFE_DRIVER(bpf_ringbuf);
