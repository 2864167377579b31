// SPDX-License-Identifier: GPL-2.0
/*
 * The buffer of a trace instance that records nothing: a page that describes it, and
 * pages that only the kernel writes (Documentation/trace/ring-buffer-map.rst).
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "memsafe_driver.h"

#define TRACING "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/memsafe"
#define BUFFER INSTANCE "/per_cpu/cpu0/trace_pipe_raw"

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 &&
		    write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static const char *trace_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	if (access(INSTANCE, F_OK)) {
		if (access(TRACING "/instances", F_OK) &&
		    mount("tracefs", TRACING, "tracefs", 0, NULL))
			return "CONFIG_TRACING=y";
		if (mkdir(INSTANCE, 0700))
			return "CONFIG_TRACING=y";
		put(INSTANCE "/tracing_on", "0");
		put(INSTANCE "/buffer_size_kb", "8");
	}
	return NULL;
}

/* struct trace_buffer_meta of include/uapi/linux/trace_mmap.h, its beginning. */
struct meta {
	uint32_t page_size;
	uint32_t struct_len;
	uint32_t subbuf_size;
	uint32_t subbufs;
};

static int trace_open(struct driver_object *object)
{
	int err = driver_open_node(object, BUFFER, O_RDWR | O_NONBLOCK);
	size_t ps = getpagesize();
	const struct meta *meta;

	if (err)
		return err;
	meta = mmap(NULL, ps, PROT_READ, MAP_SHARED, object->fd, 0);
	if (meta == MAP_FAILED)
		return driver_opened(object, -1);
	object->size = ps + (size_t)meta->subbufs * meta->subbuf_size;
	return driver_opened(object, munmap((void *)meta, ps));
}

static struct memsafe_driver trace = {
	.name = "trace",
	.needs = trace_needs,
	.open = trace_open,
	.past_end = EINVAL,
	/* __rb_map_vma(), kernel/trace/ring_buffer.c */
	.write = EPERM,
	.exec = EPERM,
	.private = EPERM,
	/* tracing_buffers_may_split(), kernel/trace/trace.c */
	.split = EINVAL,
	.grow = EFAULT,
	.flags = DRIVER_CHANGES | DRIVER_IS_SHARED | DRIVER_NOT_ZEROED |
		 DRIVER_NOT_IN_CHILD | DRIVER_AT_ONCE,
};
MEMSAFE_DRIVER(trace);
