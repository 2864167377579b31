// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers of video devices that are none: videobuf2 on vmalloc memory (vim2m), and on
 * memory for coherent DMA (vivid).
 */
#include <linux/videodev2.h>

#include "memsafe_driver.h"
#include "memsafe_module.h"

#define NODES 4

/* A device of this driver, number *@from or a later one, opened; an errno. */
static int open_device(struct driver_object *object, const char *driver,
		       int *from)
{
	struct v4l2_capability has = {0};
	char node[16];
	int err;

	for (; *from < NODES; ++*from) {
		snprintf(node, sizeof(node), "/dev/video%d", *from);
		err = driver_open_node(object, node, O_RDWR);
		if (err == ENOENT)
			continue;
		err = err
			      ?: driver_opened(object,
					       ioctl(object->fd,
						     VIDIOC_QUERYCAP, &has));
		if (err || !strcmp((char *)has.driver, driver))
			return err;
		close(object->fd);
	}
	object->fd = -1;
	return ENODEV;
}

static const char *needs(const char *driver, const char *parameters,
			 const char *lacks)
{
	struct driver_object object;
	int any = 0;

	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	if (open_device(&object, driver, &any)) {
		load_module(driver, parameters);
		any = 0;
		if (open_device(&object, driver, &any))
			return lacks;
	}
	close(object.fd);
	return NULL;
}

/* One buffer for pictures of this size, 16 bits a pixel, of an opened device. */
static int make_buffer(struct driver_object *object, int width, int height)
{
	struct v4l2_format format = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.fmt.pix = {.width = width,
			    .height = height,
			    .pixelformat = V4L2_PIX_FMT_RGB565,
			    .field = V4L2_FIELD_NONE},
	};
	struct v4l2_requestbuffers request = {
		.count = 1,
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
	};
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
	};
	int err =
		driver_opened(object, ioctl(object->fd, VIDIOC_S_FMT, &format));

	err = err
		      ?: driver_opened(object, ioctl(object->fd, VIDIOC_REQBUFS,
						     &request));
	err = err
		      ?: driver_opened(object, ioctl(object->fd,
						     VIDIOC_QUERYBUF, &buffer));
	object->size = buffer.length;
	object->offset = buffer.m.offset;
	return err;
}

/* Of the first device whose buffers are nobody's. */
static int buffer_open(struct driver_object *object, const char *driver,
		       int width, int height)
{
	int err = EBUSY;

	for (int from = 0; err == EBUSY; from++) {
		err = open_device(object, driver, &from);
		err = err ?: make_buffer(object, width, height);
	}
	return err;
}

/*
 * vb2_mmap(): an offset is the name of a buffer, and never inside of one. All pages are
 * inserted at once, whatever the memory is.
 */
#define VIDEO_CONTRACT                                                         \
	.part = DRIVER_ANY, .past_end = EINVAL, .private = EINVAL,             \
	.grow = EFAULT, .flags = DRIVER_AT_ONCE

static const char *vim2m_needs(void)
{
	return needs("vim2m", "", "CONFIG_VIDEO_VIM2M=m");
}

static int vim2m_open(struct driver_object *object)
{
	return buffer_open(object, "vim2m", 64, 128);
}

static struct memsafe_driver vim2m = {
	.name = "vim2m",
	.needs = vim2m_needs,
	.open = vim2m_open,
	VIDEO_CONTRACT,
};
MEMSAFE_DRIVER(vim2m);

/* Webcams, each for one user at a time, whose smallest picture this is. */
static const char *vivid_needs(void)
{
	return needs("vivid",
		     "n_devs=2 node_types=1,1 num_inputs=1,1 input_types=0,0 "
		     "allocators=1,1",
		     "CONFIG_VIDEO_VIVID=m");
}

static int vivid_open(struct driver_object *object)
{
	return buffer_open(object, "vivid", 320, 180);
}

static struct memsafe_driver vivid = {
	.name = "vivid",
	.needs = vivid_needs,
	.open = vivid_open,
	VIDEO_CONTRACT,
	/* dma_direct_mmap(): remap_pfn_range(), and there is no ->access. */
	.pages = EFAULT,
	.proc_mem = EIO,
};
MEMSAFE_DRIVER(vivid);
