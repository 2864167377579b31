// SPDX-License-Identifier: GPL-2.0
/*
 * A bus address never lies beyond what the device said it can reach, coherent
 * memory is zero and aligned, pools keep within their boundary, memory that the
 * device can't reach is an error, and misuse is reported
 * (Documentation/core-api/dma-api-howto.rst, dma-api.rst).
 */
#include <kunit/test.h>
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>
#include <linux/string.h>

#define MEMSAFE_SUITE "memsafe_dma"
#include "memsafe_report.h"
#include "memsafe_debugfs.h"

static void remove_device(void *pdev)
{
	platform_device_unregister(pdev);
}

/*
 * A device that only asks for memory: no hardware needs to be there.  It goes
 * after everything that cases register for release, hence not in ->exit.
 */
static int add_device(struct kunit *test)
{
	struct platform_device *pdev;

	if (!IS_ENABLED(CONFIG_HAS_DMA))
		kunit_skip(test, "needs CONFIG_HAS_DMA=y");
	pdev = platform_device_register_simple(MEMSAFE_SUITE, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	test->priv = pdev;
	return kunit_add_action_or_reset(test, remove_device, pdev);
}

static struct device *device(struct kunit *test)
{
	return &((struct platform_device *)test->priv)->dev;
}

static const unsigned int mask_bits[] = { 24, 28, 32, 64 };

static void describe_bits(const unsigned int *bits, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bits", *bits);
}
KUNIT_ARRAY_PARAM(mask, mask_bits, describe_bits);

/* The mask of this parameter, which the device has from now on. */
static u64 set_mask(struct kunit *test)
{
	unsigned int bits = *(const unsigned int *)test->param_value;

	if (dma_set_mask_and_coherent(device(test), DMA_BIT_MASK(bits)))
		kunit_skip(test, "needs memory below 2^%u for devices", bits);
	return DMA_BIT_MASK(bits);
}

static void mask_is_for_both_kinds_of_mapping(struct kunit *test)
{
	struct device *dev = device(test);
	u64 mask = set_mask(test);

	KUNIT_EXPECT_EQ(test, mask, dma_get_mask(dev));
	KUNIT_EXPECT_EQ(test, mask, dev->coherent_dma_mask);
}

/* No memory at all lies in the first 4 KiB. */
static void mask_without_memory_is_refused_and_changes_nothing(struct kunit *test)
{
	struct device *dev = device(test);
	u64 mask;

	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32)));
	mask = dma_get_mask(dev);

	KUNIT_EXPECT_EQ(test, -EIO, dma_set_mask(dev, DMA_BIT_MASK(12)));
	KUNIT_EXPECT_EQ(test, -EIO, dma_set_coherent_mask(dev, DMA_BIT_MASK(12)));

	KUNIT_EXPECT_EQ(test, mask, dma_get_mask(dev));
	KUNIT_EXPECT_EQ(test, mask, dev->coherent_dma_mask);
}

/* More than one: the first could be right by luck. */
enum { BLOCKS = 16, BLOCK_BYTES = 4 * PAGE_SIZE };

static void coherent_memory_is_within_the_mask(struct kunit *test)
{
	u64 mask = set_mask(test);
	dma_addr_t dma[BLOCKS];
	void *block[BLOCKS];
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		block[i] = dma_alloc_coherent(device(test), BLOCK_BYTES, &dma[i], GFP_KERNEL);
		KUNIT_EXPECT_NOT_NULL_MSG(test, block[i], "block %u", i);
		if (block[i])
			KUNIT_EXPECT_LE_MSG(test, (u64)dma[i] + BLOCK_BYTES - 1, mask,
					    "block %u", i);
	}

	while (i--)
		if (block[i])
			dma_free_coherent(device(test), BLOCK_BYTES, block[i], dma[i]);
}

static void pages_for_streaming_are_within_the_mask(struct kunit *test)
{
	u64 mask = set_mask(test);
	dma_addr_t dma[BLOCKS];
	struct page *block[BLOCKS];
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		block[i] = dma_alloc_pages(device(test), BLOCK_BYTES, &dma[i], DMA_FROM_DEVICE,
					   GFP_KERNEL);
		KUNIT_EXPECT_NOT_NULL_MSG(test, block[i], "block %u", i);
		if (block[i])
			KUNIT_EXPECT_LE_MSG(test, (u64)dma[i] + BLOCK_BYTES - 1, mask,
					    "block %u", i);
	}

	while (i--)
		if (block[i])
			dma_free_pages(device(test), BLOCK_BYTES, block[i], dma[i],
				       DMA_FROM_DEVICE);
}

/* Guests start with memory that is zero anyway: soil it first. */
static void coherent_memory_is_zero(struct kunit *test)
{
	unsigned int round;
	dma_addr_t dma;
	void *p;

	for (round = 0; round < 4 * BLOCKS; round++) {
		p = dma_alloc_coherent(device(test), BLOCK_BYTES, &dma, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, p);
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(p, 0, BLOCK_BYTES), "round %u", round);
		memset(p, 0x5a, BLOCK_BYTES);
		dma_free_coherent(device(test), BLOCK_BYTES, p, dma);
	}
}

/* 1 byte, and 1 page and a bit: the alignment is that of the order above. */
static const size_t block_sizes[] = { 1, PAGE_SIZE, PAGE_SIZE + 1, 5 * PAGE_SIZE, SZ_64K };

static void describe_size(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}
KUNIT_ARRAY_PARAM(block_size, block_sizes, describe_size);

static void coherent_memory_is_aligned_to_its_order(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	size_t align = PAGE_SIZE << get_order(size);
	dma_addr_t dma[BLOCKS];
	void *block[BLOCKS];
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		block[i] = dma_alloc_coherent(device(test), size, &dma[i], GFP_KERNEL);
		KUNIT_EXPECT_NOT_NULL_MSG(test, block[i], "block %u", i);
		KUNIT_EXPECT_EQ_MSG(test, 0, (u64)dma[i] & (align - 1), "block %u", i);
		KUNIT_EXPECT_EQ_MSG(test, 0, (unsigned long)block[i] & (PAGE_SIZE - 1),
				    "block %u", i);
	}

	while (i--)
		if (block[i])
			dma_free_coherent(device(test), size, block[i], dma[i]);
}

/* Inside a page too, where no page boundary is crossed. */
static void streaming_address_keeps_the_offset_in_the_page(struct kunit *test)
{
	enum { OFFSET = 123, LEN = 45 };
	u8 *p = kunit_kmalloc(test, PAGE_SIZE, GFP_KERNEL | GFP_DMA);
	struct device *dev = device(test);
	dma_addr_t whole, part;

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32)));
	whole = dma_map_single(dev, p, PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(dev, whole));

	part = dma_map_single(dev, p + OFFSET, LEN, DMA_TO_DEVICE);

	KUNIT_EXPECT_EQ(test, 0, dma_mapping_error(dev, part));
	KUNIT_EXPECT_EQ(test, offset_in_page(p), offset_in_page(whole));
	KUNIT_EXPECT_EQ(test, offset_in_page(p + OFFSET), offset_in_page(part));
	KUNIT_EXPECT_LE(test, (u64)whole + PAGE_SIZE - 1, dma_get_mask(dev));
	dma_unmap_single(dev, part, LEN, DMA_TO_DEVICE);
	dma_unmap_single(dev, whole, PAGE_SIZE, DMA_TO_DEVICE);
}

/*
 * Not an address that is cut short.  A bounce buffer could help, but the guest
 * has too little memory for the kernel to keep some (swiotlb).
 */
static void memory_beyond_the_mask_is_a_mapping_error(struct kunit *test)
{
	static const struct memsafe_report overflow = {
		.kind = "WARNING", .function = "dma_map_page_attrs",
	};
	const u64 mask = DMA_BIT_MASK(24);
	struct device *dev = device(test);
	dma_addr_t dma = 0;
	struct page *page;

	skip_without_console(test);
	if (dma_set_mask_and_coherent(dev, mask))
		kunit_skip(test, "needs memory below 2^24 for devices");
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_GT(test, (u64)page_to_phys(page), mask);
	/* The warning comes once a boot otherwise. */
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "clear_warn_once", "1"));

	EXPECT_REPORT(test, &overflow,
		      dma = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE));

	KUNIT_EXPECT_EQ(test, -ENOMEM, dma_mapping_error(dev, dma));
	__free_page(page);
}

/*
 * Blocks of 96 bytes in a pool whose blocks may not cross a multiple of 256: the
 * third of each does not fit.
 */
enum { POOL_BYTES = 96, POOL_ALIGN = 32, POOL_BOUNDARY = 256, POOL_BLOCKS = 48 };

static void destroy_pool(void *pool)
{
	dma_pool_destroy(pool);
}

static struct dma_pool *create_pool(struct kunit *test)
{
	struct dma_pool *pool = dma_pool_create(MEMSAFE_SUITE, device(test), POOL_BYTES,
						POOL_ALIGN, POOL_BOUNDARY);

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, destroy_pool, pool));
	return pool;
}

static void pool_blocks_are_aligned_and_cross_no_boundary(struct kunit *test)
{
	struct dma_pool *pool = create_pool(test);
	dma_addr_t dma[POOL_BLOCKS];
	void *block[POOL_BLOCKS];
	unsigned int i;

	for (i = 0; i < POOL_BLOCKS; i++) {
		block[i] = dma_pool_alloc(pool, GFP_KERNEL, &dma[i]);
		KUNIT_ASSERT_NOT_NULL(test, block[i]);
		KUNIT_EXPECT_EQ_MSG(test, 0, dma[i] % POOL_ALIGN, "block %u", i);
		KUNIT_EXPECT_LE_MSG(test, dma[i] % POOL_BOUNDARY + POOL_BYTES, POOL_BOUNDARY,
				    "block %u", i);
	}

	while (i--)
		dma_pool_free(pool, block[i], dma[i]);
}

/* Each block is filled to its last byte with its number, and holds it. */
static void pool_blocks_do_not_overlap(struct kunit *test)
{
	struct dma_pool *pool = create_pool(test);
	dma_addr_t dma[POOL_BLOCKS];
	void *block[POOL_BLOCKS];
	unsigned int i;

	for (i = 0; i < POOL_BLOCKS; i++) {
		block[i] = dma_pool_alloc(pool, GFP_KERNEL, &dma[i]);
		KUNIT_ASSERT_NOT_NULL(test, block[i]);
		memset(block[i], i, POOL_BYTES);
	}

	while (i--) {
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(block[i], i, POOL_BYTES), "block %u", i);
		dma_pool_free(pool, block[i], dma[i]);
	}
}

static void pool_zalloc_clears_what_was_used_before(struct kunit *test)
{
	struct dma_pool *pool = create_pool(test);
	unsigned int round;
	dma_addr_t dma;
	void *p;

	for (round = 0; round < 4; round++) {
		p = dma_pool_zalloc(pool, GFP_KERNEL, &dma);
		KUNIT_ASSERT_NOT_NULL(test, p);
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(p, 0, POOL_BYTES), "round %u", round);
		memset(p, 0x5a, POOL_BYTES);
		dma_pool_free(pool, p, dma);
	}
}

/* What CONFIG_DMA_API_DEBUG is for: a driver that gives back something else. */
static void unmap_never_mapped(struct device *dev, dma_addr_t dma)
{
	dma_unmap_single(dev, dma + PAGE_SIZE, 64, DMA_TO_DEVICE);
}

static void unmap_other_size(struct device *dev, dma_addr_t dma)
{
	dma_unmap_single(dev, dma, 32, DMA_TO_DEVICE);
}

static void unmap_other_direction(struct device *dev, dma_addr_t dma)
{
	dma_unmap_single(dev, dma, 64, DMA_FROM_DEVICE);
}

static void sync_never_mapped(struct device *dev, dma_addr_t dma)
{
	dma_sync_single_for_cpu(dev, dma + PAGE_SIZE, 64, DMA_TO_DEVICE);
}

static void sync_past_the_end(struct device *dev, dma_addr_t dma)
{
	dma_sync_single_for_device(dev, dma, 65, DMA_TO_DEVICE);
}

static const struct misuse {
	const char *name;
	void (*act)(struct device *dev, dma_addr_t dma);
	const char *function;
	bool unmaps;
} misuses[] = {
	{ "unmap of what was never mapped", unmap_never_mapped, "check_unmap", false },
	{ "unmap of another size", unmap_other_size, "check_unmap", true },
	{ "unmap in another direction", unmap_other_direction, "check_unmap", true },
	{ "sync of what was never mapped", sync_never_mapped, "check_sync", false },
	{ "sync past the end", sync_past_the_end, "check_sync", false },
};

static void describe_misuse(const struct misuse *misuse, char *desc)
{
	strscpy(desc, misuse->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(misuse, misuses, describe_misuse);

static void misuse_is_reported(struct kunit *test)
{
	const struct misuse *misuse = test->param_value;
	const struct memsafe_report report = { .kind = "WARNING", .function = misuse->function };
	void *p = kunit_kmalloc(test, 64, GFP_KERNEL | GFP_DMA);
	struct device *dev = device(test);
	dma_addr_t dma;

	if (!IS_ENABLED(CONFIG_DMA_API_DEBUG))
		kunit_skip(test, "needs CONFIG_DMA_API_DEBUG=y");
	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, p);
	/* It stops after the first one otherwise. */
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "dma-api/all_errors", "1"));
	dma = dma_map_single(dev, p, 64, DMA_TO_DEVICE);
	KUNIT_ASSERT_EQ(test, 0, dma_mapping_error(dev, dma));

	EXPECT_REPORT(test, &report, misuse->act(dev, dma));

	if (!misuse->unmaps)
		EXPECT_NO_REPORT(test, dma_unmap_single(dev, dma, 64, DMA_TO_DEVICE));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(mask_is_for_both_kinds_of_mapping, mask_gen_params),
	KUNIT_CASE(mask_without_memory_is_refused_and_changes_nothing),
	KUNIT_CASE_PARAM(coherent_memory_is_within_the_mask, mask_gen_params),
	KUNIT_CASE_PARAM(pages_for_streaming_are_within_the_mask, mask_gen_params),
	KUNIT_CASE(coherent_memory_is_zero),
	KUNIT_CASE_PARAM(coherent_memory_is_aligned_to_its_order, block_size_gen_params),
	KUNIT_CASE(streaming_address_keeps_the_offset_in_the_page),
	KUNIT_CASE(memory_beyond_the_mask_is_a_mapping_error),
	KUNIT_CASE(pool_blocks_are_aligned_and_cross_no_boundary),
	KUNIT_CASE(pool_blocks_do_not_overlap),
	KUNIT_CASE(pool_zalloc_clears_what_was_used_before),
	KUNIT_CASE_PARAM(misuse_is_reported, misuse_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.init = add_device,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of bus addresses");
MODULE_LICENSE("GPL");
