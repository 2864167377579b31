// SPDX-License-Identifier: GPL-2.0
/*
 * dma_mmap_coherent() shows user space the buffer of a device, all of it or a
 * part that starts at vm_pgoff, and refuses what is not inside with ENXIO
 * (kernel-doc of dma_mmap_attrs()).
 */
#include <kunit/test.h>
#include <linux/anon_inodes.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "memsafe_user.h"

#define DEVICE_NAME "memsafe_dma_mmap"

/* No power of two: what the allocator has beyond the end is not the buffer. */
enum { NPAGES = 5 };

struct buffer {
	struct platform_device *pdev;
	u8 *cpu;
	dma_addr_t dma;
	struct file *file;
	int mapped;		/* what dma_mmap_coherent() said last */
};

static int map_buffer(struct file *file, struct vm_area_struct *vma)
{
	struct buffer *buf = file->private_data;

	buf->mapped = dma_mmap_coherent(&buf->pdev->dev, vma, buf->cpu, buf->dma,
					NPAGES * PAGE_SIZE);
	return buf->mapped;
}

static const struct file_operations buffer_fops = {
	.owner = THIS_MODULE,
	.mmap = map_buffer,
};

/* After the case's user memory is gone: nobody maps the buffer any more. */
static void free_buffer(void *ctx)
{
	struct buffer *buf = ctx;

	/* Now: fput() of a kernel thread puts it later, and it holds the module. */
	if (!IS_ERR_OR_NULL(buf->file))
		__fput_sync(buf->file);
	if (buf->cpu)
		dma_free_coherent(&buf->pdev->dev, NPAGES * PAGE_SIZE, buf->cpu, buf->dma);
	platform_device_unregister(buf->pdev);
}

/* Page i holds the byte 'a' + i, from the first to the last. */
static int create_buffer(struct kunit *test)
{
	struct buffer *buf = kunit_kzalloc(test, sizeof(*buf), GFP_KERNEL);
	int i;

	if (!IS_ENABLED(CONFIG_HAS_DMA))
		kunit_skip(test, "needs CONFIG_HAS_DMA=y");
	if (!buf)
		return -ENOMEM;
	buf->pdev = platform_device_register_simple(DEVICE_NAME, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(buf->pdev))
		return PTR_ERR(buf->pdev);
	test->priv = buf;
	if (kunit_add_action_or_reset(test, free_buffer, buf))
		return -ENOMEM;

	buf->cpu = dma_alloc_coherent(&buf->pdev->dev, NPAGES * PAGE_SIZE, &buf->dma, GFP_KERNEL);
	if (!buf->cpu)
		return -ENOMEM;
	for (i = 0; i < NPAGES; i++)
		memset(buf->cpu + i * PAGE_SIZE, 'a' + i, PAGE_SIZE);
	buf->file = anon_inode_getfile(DEVICE_NAME, &buffer_fops, buf, O_RDWR);
	return PTR_ERR_OR_ZERO(buf->file);
}

static unsigned long map(struct kunit *test, unsigned long pgoff, unsigned long npages)
{
	struct buffer *buf = test->priv;

	buf->mapped = 1;
	return user_map(test, buf->file, npages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			pgoff << PAGE_SHIFT);
}

static unsigned long map_ok(struct kunit *test, unsigned long pgoff, unsigned long npages)
{
	unsigned long addr = map(test, pgoff, npages);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR_VALUE(addr), "mmap: %ld", addr);
	return addr;
}

static void full_range_is_the_buffer_page_by_page(struct kunit *test)
{
	unsigned long addr = map_ok(test, 0, NPAGES);
	int i;

	for (i = 0; i < NPAGES; i++) {
		KUNIT_EXPECT_EQ_MSG(test, 'a' + i, user_peek(addr + i * PAGE_SIZE), "page %d", i);
		KUNIT_EXPECT_EQ_MSG(test, 'a' + i, user_peek(addr + (i + 1) * PAGE_SIZE - 1),
				    "end of page %d", i);
	}
}

static void write_of_user_space_is_in_the_buffer_and_back(struct kunit *test)
{
	struct buffer *buf = test->priv;
	unsigned long addr = map_ok(test, 0, NPAGES);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + 2 * PAGE_SIZE + 7, 'x'));
	buf->cpu[3 * PAGE_SIZE + 7] = 'y';

	KUNIT_EXPECT_EQ(test, 'x', buf->cpu[2 * PAGE_SIZE + 7]);
	KUNIT_EXPECT_EQ(test, 'y', user_peek(addr + 3 * PAGE_SIZE + 7));
	KUNIT_EXPECT_EQ(test, 'c', buf->cpu[2 * PAGE_SIZE + 6]);
	KUNIT_EXPECT_EQ(test, 'c', buf->cpu[2 * PAGE_SIZE + 8]);
}

static void sub_range_starts_at_its_offset(struct kunit *test)
{
	unsigned long addr = map_ok(test, 1, 2);

	KUNIT_EXPECT_EQ(test, 'b', user_peek(addr));
	KUNIT_EXPECT_EQ(test, 'c', user_peek(addr + PAGE_SIZE));
	addr = map_ok(test, NPAGES - 1, 1);
	KUNIT_EXPECT_EQ(test, 'a' + NPAGES - 1, user_peek(addr));
}

static void two_mappings_show_the_same_page(struct kunit *test)
{
	unsigned long whole = map_ok(test, 0, NPAGES);
	unsigned long part = map_ok(test, 2, 1);

	KUNIT_EXPECT_EQ(test, 0, user_poke(part + 9, 'z'));
	KUNIT_EXPECT_EQ(test, 'z', user_peek(whole + 2 * PAGE_SIZE + 9));

	vm_munmap(whole, NPAGES * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 'z', user_peek(part + 9));
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(whole + 2 * PAGE_SIZE + 9));
}

/* { 0, NPAGES } is the largest that fits, in full_range above. */
static const struct outside {
	const char *name;
	unsigned long pgoff;
	unsigned long npages;
} outsides[] = {
	{ "one page too long", 0, NPAGES + 1 },
	{ "up to the end of the allocation", 0, 8 },
	{ "the last page and one more", NPAGES - 1, 2 },
	{ "right behind the end", NPAGES, 1 },
	{ "far behind the end", 1UL << 16, 1 },
	/* offset + length does not fit into the offsets there are, all but. */
	{ "the last offset there is", (ULONG_MAX >> PAGE_SHIFT) - NPAGES, NPAGES },
};

static void describe_outside(const struct outside *outside, char *desc)
{
	strscpy(desc, outside->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(outside, outsides, describe_outside);

static void range_that_is_not_inside_is_enxio(struct kunit *test)
{
	const struct outside *outside = test->param_value;
	struct buffer *buf = test->priv;
	unsigned long addr = map(test, outside->pgoff, outside->npages);

	KUNIT_EXPECT_EQ(test, -ENXIO, (long)addr);
	/* It was asked, and nobody before it said no. */
	KUNIT_EXPECT_EQ(test, -ENXIO, buf->mapped);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(full_range_is_the_buffer_page_by_page),
	KUNIT_CASE(write_of_user_space_is_in_the_buffer_and_back),
	KUNIT_CASE(sub_range_starts_at_its_offset),
	KUNIT_CASE(two_mappings_show_the_same_page),
	KUNIT_CASE_PARAM(range_that_is_not_inside_is_enxio, outside_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_dma_mmap",
	.init = create_buffer,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of mappings of DMA buffers");
MODULE_LICENSE("GPL");
