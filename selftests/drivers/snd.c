// SPDX-License-Identifier: GPL-2.0
/*
 * A playback stream of the sound card that is none, snd-dummy: its buffer, the page
 * that only the kernel writes, and the one that both sides do.
 */
#include <sound/asound.h>

#include "memsafe_driver.h"
#include "memsafe_module.h"

#define NODE "/dev/snd/pcmC0D0p"
/* 16 bits, two channels. */
#define FRAME_BYTES 4
#define PERIODS 4

static const char *snd_needs(void)
{
	if (!driver_kernel_since(6, 12))
		return "Linux 6.12";
	/* Buffers of its own, not one page of nothing for all of them. */
	if (access(NODE, F_OK) && load_module("snd_dummy", "fake_buffer=0"))
		return "CONFIG_SND_DUMMY=m";
	return access(NODE, F_OK) ? "a first sound card" : NULL;
}

static void set_mask(struct snd_pcm_hw_params *params, int which, unsigned int bit)
{
	struct snd_mask *mask =
		&params->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];

	memset(mask, 0, sizeof(*mask));
	mask->bits[bit / 32] = 1U << (bit % 32);
}

static void set_number(struct snd_pcm_hw_params *params, int which,
		       unsigned int value)
{
	params->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL] =
		(struct snd_interval){.min = value, .max = value, .integer = 1};
}

static struct snd_pcm_hw_params buffer_of_four_pages(void)
{
	struct snd_pcm_hw_params params = {.rmask = ~0U};

	memset(params.masks, 0xff, sizeof(params.masks));
	for (int i = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL;
	     i <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL; i++)
		params.intervals[i - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL].max =
			UINT32_MAX;
	set_mask(&params, SNDRV_PCM_HW_PARAM_ACCESS,
		 (unsigned int)SNDRV_PCM_ACCESS_MMAP_INTERLEAVED);
	set_mask(&params, SNDRV_PCM_HW_PARAM_FORMAT,
		 (unsigned int)SNDRV_PCM_FORMAT_S16_LE);
	set_number(&params, SNDRV_PCM_HW_PARAM_CHANNELS, 2);
	set_number(&params, SNDRV_PCM_HW_PARAM_RATE, 48000);
	set_number(&params, SNDRV_PCM_HW_PARAM_PERIOD_SIZE,
		   getpagesize() / FRAME_BYTES);
	set_number(&params, SNDRV_PCM_HW_PARAM_PERIODS, PERIODS);
	return params;
}

static int snd_open(struct driver_object *object)
{
	struct snd_pcm_hw_params params = buffer_of_four_pages();
	int err = driver_open_node(object, NODE, O_RDWR | O_NONBLOCK);

	return err ?: driver_opened(object,
				    ioctl(object->fd, SNDRV_PCM_IOCTL_HW_PARAMS,
					  &params));
}

static int snd_data_open(struct driver_object *object)
{
	object->size = PERIODS * getpagesize();
	object->offset = SNDRV_PCM_MMAP_OFFSET_DATA;
	return snd_open(object);
}

static int snd_status_open(struct driver_object *object)
{
	object->size = getpagesize();
	object->offset = SNDRV_PCM_MMAP_OFFSET_STATUS_NEW;
	return snd_open(object);
}

static int snd_control_open(struct driver_object *object)
{
	object->size = getpagesize();
	object->offset = SNDRV_PCM_MMAP_OFFSET_CONTROL_NEW;
	return snd_open(object);
}

static struct memsafe_driver snd_data = {
	.name = "snd_data",
	.needs = snd_needs,
	.open = snd_data_open,
	/* snd_pcm_mmap_data() and snd_dma_continuous_mmap(): remap_pfn_range(). */
	.past_end = EINVAL,
	.grow = EFAULT,
	.pages = EFAULT,
	.proc_mem = EIO,
	.flags = DRIVER_AT_ONCE,
};
MEMSAFE_DRIVER(snd_data);

static struct memsafe_driver snd_status = {
	.name = "snd_status",
	.needs = snd_needs,
	.open = snd_status_open,
	.past_end = EINVAL,
	/* snd_pcm_mmap_status() takes the right to write from what is asked for. */
	.write = EACCES,
	.grow = EFAULT,
	.flags = DRIVER_CHANGES | DRIVER_WRITE_DROPPED,
};
MEMSAFE_DRIVER(snd_status);

static struct memsafe_driver snd_control = {
	.name = "snd_control",
	.needs = snd_needs,
	.open = snd_control_open,
	/* snd_pcm_mmap_control() */
	.past_end = EINVAL,
	.grow = EFAULT,
	/* The kernel has set a threshold in it. */
	.flags = DRIVER_NOT_ZEROED,
};
MEMSAFE_DRIVER(snd_control);
