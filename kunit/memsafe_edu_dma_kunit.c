// SPDX-License-Identifier: GPL-2.0
/*
 * A device reads and writes exactly the memory whose bus address it was given,
 * through each kind of mapping, and none when it may not master the bus
 * (Documentation/core-api/dma-api-howto.rst).
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "memsafe_guest.h"
#include "memsafe_pci.h"

MEMSAFE_GUEST("pc");

struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
};

static struct edu start_edu(struct kunit *test)
{
	struct edu edu = { .pdev = take_edu(test) };

	edu.regs = map_bar(test, edu.pdev, EDU_BAR);
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(&edu.pdev->dev,
							   DMA_BIT_MASK(EDU_DMA_BITS)));
	pci_set_master(edu.pdev);
	return edu;
}

/*
 * True when the transfer has ended.  QEMU aborts on a range that is not inside
 * the device's memory, and cuts bits off a bus address that is too wide.
 */
static bool transfer(struct edu *edu, dma_addr_t bus, u32 place, u32 count, u32 direction)
{
	const unsigned long deadline = jiffies + 20 * HZ;
	u32 device = EDU_MEMORY + place;

	if (count > EDU_MEMORY_SIZE || place > EDU_MEMORY_SIZE - count ||
	    bus + count - 1 > DMA_BIT_MASK(EDU_DMA_BITS))
		return false;
	writel(direction == EDU_DMA_TO_DEVICE ? (u32)bus : device, edu->regs + EDU_DMA_SRC);
	writel(direction == EDU_DMA_TO_DEVICE ? device : (u32)bus, edu->regs + EDU_DMA_DST);
	writel(count, edu->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_START | direction, edu->regs + EDU_DMA_CMD);
	while (readl(edu->regs + EDU_DMA_CMD) & EDU_DMA_START) {
		if (time_after(jiffies, deadline))
			return false;
		usleep_range(1000, 5000);
	}
	return true;
}

static bool to_device(struct edu *edu, dma_addr_t bus, u32 place, u32 count)
{
	return transfer(edu, bus, place, count, EDU_DMA_TO_DEVICE);
}

static bool from_device(struct edu *edu, dma_addr_t bus, u32 place, u32 count)
{
	return transfer(edu, bus, place, count, EDU_DMA_FROM_DEVICE);
}

/* A page that the device and the CPU see, filled, until the case ends. */
struct coherent {
	struct device *dev;
	u8 *cpu;
	dma_addr_t bus;
};

#define FILL 0xaa

static void free_coherent(void *ctx)
{
	struct coherent *page = ctx;

	dma_free_coherent(page->dev, PAGE_SIZE, page->cpu, page->bus);
}

static struct coherent *alloc_coherent(struct kunit *test, struct edu *edu)
{
	struct coherent *page = kunit_kzalloc(test, sizeof(*page), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	page->dev = &edu->pdev->dev;
	page->cpu = dma_alloc_coherent(page->dev, PAGE_SIZE, &page->bus, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page->cpu);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_coherent, page));
	memset(page->cpu, FILL, PAGE_SIZE);
	return page;
}

/* Pages for streaming mappings: low enough for the device, and filled. */
static u8 *alloc_low(struct kunit *test, size_t len)
{
	u8 *p = kunit_kmalloc(test, len, GFP_KERNEL | GFP_DMA);

	KUNIT_ASSERT_NOT_NULL(test, p);
	memset(p, FILL, len);
	return p;
}

static u8 nth_byte(size_t i)
{
	/* Not FILL: it has the top bit. */
	return (i * 7 + i / 128) & 0x7f;
}

static void write_pattern(u8 *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = nth_byte(i);
}

/*
 * The memory holds the pattern in [offset, offset + count) and FILL around it.
 * A macro, so that the line shown is the case's.
 */
#define EXPECT_PATTERN(test, p, len, offset, count) do {			\
	const u8 *__p = (p);							\
	size_t __offset = (offset), __count = (count), __i;			\
										\
	for (__i = 0; __i < __count && __p[__offset + __i] == nth_byte(__i); __i++)	\
		;								\
	KUNIT_EXPECT_EQ_MSG(test, __count, __i, "the first byte that differs");	\
	KUNIT_EXPECT_NULL(test, memchr_inv(__p, FILL, __offset));		\
	KUNIT_EXPECT_NULL(test, memchr_inv(__p + __offset + __count, FILL,	\
					   (len) - __offset - __count));	\
} while (0)

/* Where in a page, where in the device, and how much. */
static const struct stretch {
	u32 offset;
	u32 place;
	u32 count;
} stretches[] = {
	{ 0, 0, EDU_MEMORY_SIZE },
	{ 3, 1, 1 },
	{ 5, EDU_MEMORY_SIZE - 67, 67 },
};

static void describe_stretch(const struct stretch *stretch, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bytes at %u", stretch->count, stretch->offset);
}
KUNIT_ARRAY_PARAM(stretch, stretches, describe_stretch);

static void coherent_memory_is_read_and_written_in_place(struct kunit *test)
{
	const struct stretch *s = test->param_value;
	struct edu edu = start_edu(test);
	struct coherent *out = alloc_coherent(test, &edu);
	struct coherent *in = alloc_coherent(test, &edu);

	write_pattern(out->cpu + s->offset, s->count);

	KUNIT_EXPECT_TRUE(test, to_device(&edu, out->bus + s->offset, s->place, s->count));
	KUNIT_EXPECT_TRUE(test, from_device(&edu, in->bus + s->offset, s->place, s->count));

	EXPECT_PATTERN(test, in->cpu, PAGE_SIZE, s->offset, s->count);
	EXPECT_PATTERN(test, out->cpu, PAGE_SIZE, s->offset, s->count);
}

/* Two pages: the stretch may lie across both. */
static void streaming_memory_is_read_and_written_in_place(struct kunit *test)
{
	const struct stretch *s = test->param_value;
	const u32 offset = PAGE_SIZE - s->count / 2 + s->offset;
	struct edu edu = start_edu(test);
	struct device *dev = &edu.pdev->dev;
	u8 *out = alloc_low(test, 2 * PAGE_SIZE);
	u8 *in = alloc_low(test, 2 * PAGE_SIZE);
	dma_addr_t out_bus, in_bus;

	write_pattern(out + offset, s->count);
	out_bus = dma_map_single(dev, out + offset, s->count, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(dev, out_bus));
	in_bus = dma_map_single(dev, in + offset, s->count, DMA_FROM_DEVICE);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(dev, in_bus));

	KUNIT_EXPECT_TRUE(test, to_device(&edu, out_bus, s->place, s->count));
	KUNIT_EXPECT_TRUE(test, from_device(&edu, in_bus, s->place, s->count));

	dma_unmap_single(dev, in_bus, s->count, DMA_FROM_DEVICE);
	dma_unmap_single(dev, out_bus, s->count, DMA_TO_DEVICE);
	EXPECT_PATTERN(test, in, 2 * PAGE_SIZE, offset, s->count);
	EXPECT_PATTERN(test, out, 2 * PAGE_SIZE, offset, s->count);
}

/* One mapping, two transfers: the CPU looks in between, and writes again. */
static void sync_hands_memory_over_and_back(struct kunit *test)
{
	enum { LEN = 64 };
	struct edu edu = start_edu(test);
	struct device *dev = &edu.pdev->dev;
	u8 *p = alloc_low(test, PAGE_SIZE);
	dma_addr_t bus;

	write_pattern(p, LEN);
	bus = dma_map_single(dev, p, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(dev, bus));
	KUNIT_EXPECT_TRUE(test, to_device(&edu, bus, 0, LEN));

	dma_sync_single_for_cpu(dev, bus, PAGE_SIZE, DMA_BIDIRECTIONAL);
	EXPECT_PATTERN(test, p, PAGE_SIZE, 0, LEN);
	memset(p, FILL, LEN);
	dma_sync_single_for_device(dev, bus, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, from_device(&edu, bus + LEN, 0, LEN));

	dma_sync_single_for_cpu(dev, bus, PAGE_SIZE, DMA_BIDIRECTIONAL);
	EXPECT_PATTERN(test, p, PAGE_SIZE, LEN, LEN);
	dma_unmap_single(dev, bus, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

/* Scattered pieces that the device gets one after the other are one whole. */
static void scattered_pieces_arrive_as_one(struct kunit *test)
{
	enum { PIECES = 3, LEN = 100 };
	struct edu edu = start_edu(test);
	struct device *dev = &edu.pdev->dev;
	struct coherent *in = alloc_coherent(test, &edu);
	struct scatterlist sgl[PIECES], *sg;
	u8 pattern[PIECES * LEN];
	u32 place = 0;
	int i, n;

	write_pattern(pattern, sizeof(pattern));
	sg_init_table(sgl, PIECES);
	for (i = 0; i < PIECES; i++) {
		u8 *piece = alloc_low(test, PAGE_SIZE) + 7 * i;

		memcpy(piece, pattern + i * LEN, LEN);
		sg_set_buf(&sgl[i], piece, LEN);
	}
	n = dma_map_sg(dev, sgl, PIECES, DMA_TO_DEVICE);
	KUNIT_ASSERT_GT(test, n, 0);

	for_each_sg(sgl, sg, n, i) {
		KUNIT_EXPECT_TRUE(test, to_device(&edu, sg_dma_address(sg), place,
						  sg_dma_len(sg)));
		place += sg_dma_len(sg);
	}
	dma_unmap_sg(dev, sgl, PIECES, DMA_TO_DEVICE);

	KUNIT_EXPECT_EQ(test, sizeof(pattern), place);
	KUNIT_EXPECT_TRUE(test, from_device(&edu, in->bus, 0, sizeof(pattern)));
	EXPECT_PATTERN(test, in->cpu, PAGE_SIZE, 0, sizeof(pattern));
}

/* What a driver's removal rests on: nothing is written from then on. */
static void device_that_is_no_master_reaches_no_memory(struct kunit *test)
{
	struct edu edu = start_edu(test);
	struct coherent *page = alloc_coherent(test, &edu);

	write_pattern(page->cpu, PAGE_SIZE);
	KUNIT_ASSERT_TRUE(test, to_device(&edu, page->bus, 0, EDU_MEMORY_SIZE));
	memset(page->cpu, FILL, PAGE_SIZE);

	pci_clear_master(edu.pdev);
	KUNIT_EXPECT_TRUE(test, from_device(&edu, page->bus, 0, EDU_MEMORY_SIZE));
	EXPECT_PATTERN(test, page->cpu, PAGE_SIZE, 0, 0);

	/* The transfer that is written once it may. */
	pci_set_master(edu.pdev);
	KUNIT_EXPECT_TRUE(test, from_device(&edu, page->bus, 0, EDU_MEMORY_SIZE));
	EXPECT_PATTERN(test, page->cpu, PAGE_SIZE, 0, EDU_MEMORY_SIZE);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(coherent_memory_is_read_and_written_in_place, stretch_gen_params),
	KUNIT_CASE_PARAM(streaming_memory_is_read_and_written_in_place, stretch_gen_params),
	KUNIT_CASE(sync_hands_memory_over_and_back),
	KUNIT_CASE(scattered_pieces_arrive_as_one),
	KUNIT_CASE(device_that_is_no_master_reaches_no_memory),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_edu_dma",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of a device's DMA");
MODULE_LICENSE("GPL");
