// SPDX-License-Identifier: GPL-2.0
/*
 * A DMA pool gives blocks that are aligned, cross no boundary and belong to no
 * one else, zeroed when asked, and uses again what has returned
 * (Documentation/core-api/dma-api.rst, part Ib).
 */
#include <kunit/test.h>
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/string.h>

/* Blocks for several pages, whatever the size below. */
enum { MANY = 96 };

struct shape {
	size_t size, align, boundary;
};

static const struct shape shapes[] = {
	{ 64, 64, 0 }, { 100, 4, 0 }, { 24, 16, 256 }, { 1000, 512, 2048 }, { 4096, 4096, 0 },
	/* Two and a half would fit between two boundaries. */
	{ 96, 32, 256 },
};

/* No power of two, a boundary inside of each block, nothing at all. */
static const struct shape bad_shapes[] = {
	{ 64, 24, 0 }, { 64, 8, 96 }, { 64, 64, 32 }, { 0, 8, 0 },
};

static void describe_shape(const struct shape *shape, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes, align %zu, boundary %zu", shape->size,
		 shape->align, shape->boundary);
}
KUNIT_ARRAY_PARAM(shape, shapes, describe_shape);
KUNIT_ARRAY_PARAM(bad_shape, bad_shapes, describe_shape);

struct pool {
	struct dma_pool *pool;
	size_t size;
	void *block[MANY];
	dma_addr_t handle[MANY];
	int nr;
};

static void give_back(struct pool *pool)
{
	while (pool->nr) {
		pool->nr--;
		dma_pool_free(pool->pool, pool->block[pool->nr], pool->handle[pool->nr]);
	}
}

static bool take_all(struct pool *pool, gfp_t gfp)
{
	while (pool->nr < MANY) {
		void *block = dma_pool_alloc(pool->pool, gfp, &pool->handle[pool->nr]);

		if (!block)
			return false;
		pool->block[pool->nr++] = block;
	}
	return true;
}

static void close_pool(void *ctx)
{
	struct pool *pool = ctx;

	give_back(pool);
	dma_pool_destroy(pool->pool);
}

static void unregister_device(void *device)
{
	platform_device_unregister(device);
}

/* Of the shape that the parameter says, for a device of its own; or NULL. */
static struct pool *open_pool(struct kunit *test)
{
	const struct shape *shape = test->param_value;
	struct pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);
	struct platform_device *device;

	device = platform_device_register_simple("memsafe_dma_pool", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(device) || kunit_add_action_or_reset(test, unregister_device, device))
		return NULL;
	if (!pool || dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(32)))
		return NULL;
	pool->size = shape->size;
	pool->pool = dma_pool_create("memsafe", &device->dev, shape->size, shape->align,
				     shape->boundary);
	if (!pool->pool || kunit_add_action_or_reset(test, close_pool, pool))
		return NULL;
	return pool;
}

static void shape_that_no_pool_can_have_is_refused(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, open_pool(test));
}

static void blocks_are_aligned(struct kunit *test)
{
	const struct shape *shape = test->param_value;
	struct pool *pool = open_pool(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);

	KUNIT_ASSERT_TRUE(test, take_all(pool, GFP_KERNEL));

	for (i = 0; i < MANY; i++) {
		KUNIT_EXPECT_EQ_MSG(test, 0, lower_32_bits(pool->handle[i]) & (shape->align - 1),
				    "block %d", i);
		KUNIT_EXPECT_TRUE_MSG(test, IS_ALIGNED((unsigned long)pool->block[i],
						       shape->align), "block %d", i);
		KUNIT_EXPECT_EQ_MSG(test, 0, upper_32_bits(pool->handle[i]), "block %d", i);
	}
}

static void blocks_cross_no_boundary(struct kunit *test)
{
	const struct shape *shape = test->param_value;
	size_t boundary = shape->boundary ?: max_t(size_t, shape->size, PAGE_SIZE);
	struct pool *pool = open_pool(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);

	KUNIT_ASSERT_TRUE(test, take_all(pool, GFP_KERNEL));

	for (i = 0; i < MANY; i++) {
		u32 offset = lower_32_bits(pool->handle[i]) & (boundary - 1);

		KUNIT_EXPECT_LE_MSG(test, offset + shape->size, boundary, "block %d", i);
	}
}

static void blocks_do_not_overlap(struct kunit *test)
{
	struct pool *pool = open_pool(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_TRUE(test, take_all(pool, GFP_KERNEL));

	for (i = 0; i < MANY; i++)
		memset(pool->block[i], i, pool->size);

	for (i = 0; i < MANY; i++)
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(pool->block[i], i, pool->size),
				      "block %d", i);
}

static int count_known(const struct pool *pool, const dma_addr_t known[MANY])
{
	int i, j, nr = 0;

	for (i = 0; i < MANY; i++)
		for (j = 0; j < MANY; j++)
			nr += pool->handle[i] == known[j];
	return nr;
}

static void returned_blocks_are_used_again(struct kunit *test)
{
	struct pool *pool = open_pool(test);
	dma_addr_t *before = kunit_kcalloc(test, MANY, sizeof(*before), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_NOT_NULL(test, before);
	KUNIT_ASSERT_TRUE(test, take_all(pool, GFP_KERNEL));
	memcpy(before, pool->handle, sizeof(pool->handle));

	give_back(pool);
	KUNIT_ASSERT_TRUE(test, take_all(pool, GFP_KERNEL));

	/* A page of the pool may hold more blocks than were taken. */
	KUNIT_EXPECT_GE(test, count_known(pool, before), MANY / 2);
}

static void zeroed_block_is_zero_after_another_user(struct kunit *test)
{
	struct pool *pool = open_pool(test);
	dma_addr_t *before = kunit_kcalloc(test, MANY, sizeof(*before), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_NOT_NULL(test, before);
	KUNIT_ASSERT_TRUE(test, take_all(pool, GFP_KERNEL));
	for (i = 0; i < MANY; i++)
		memset(pool->block[i], 0x5a, pool->size);
	memcpy(before, pool->handle, sizeof(pool->handle));
	give_back(pool);

	KUNIT_ASSERT_TRUE(test, take_all(pool, GFP_KERNEL | __GFP_ZERO));

	KUNIT_EXPECT_GT(test, count_known(pool, before), 0);
	for (i = 0; i < MANY; i++)
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(pool->block[i], 0, pool->size),
				      "block %d", i);
}

static int case_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_HAS_DMA))
		kunit_skip(test, "needs CONFIG_HAS_DMA=y");
	return 0;
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(shape_that_no_pool_can_have_is_refused, bad_shape_gen_params),
	KUNIT_CASE_PARAM(blocks_are_aligned, shape_gen_params),
	KUNIT_CASE_PARAM(blocks_cross_no_boundary, shape_gen_params),
	KUNIT_CASE_PARAM(blocks_do_not_overlap, shape_gen_params),
	KUNIT_CASE_PARAM(returned_blocks_are_used_again, shape_gen_params),
	KUNIT_CASE_PARAM(zeroed_block_is_zero_after_another_user, shape_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_dma_pool",
	.init = case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of DMA pools");
MODULE_LICENSE("GPL");
