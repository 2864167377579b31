// SPDX-License-Identifier: GPL-2.0
/*
 * madvise(2) on the memory of a driver: it is the driver's, so no advice drops,
 * frees or wipes it; what can't be taken from a page table is refused; and a
 * child that gets no mapping is none for the driver, either.
 */
#include "memsafe_device.h"

#define NPAGES 4

/* A buffer whose page i is fill()ed with seed i, mapped and touched. */
FIXTURE(dev_madvise)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
};

FIXTURE_VARIANT(dev_madvise)
{
	uint32_t memory;
	uint32_t map;
};

DEVICE_MODE(dev_madvise, pages_fault, PAGES, FAULT);
DEVICE_MODE(dev_madvise, pages_insert_pages, PAGES, INSERT_PAGES);
DEVICE_MODE(dev_madvise, pages_remap_pfn, PAGES, REMAP_PFN);
DEVICE_MODE(dev_madvise, vmalloc_fault_pfn, VMALLOC, FAULT_PFN);
DEVICE_MODE(dev_madvise, kmalloc_remap_pfn, KMALLOC, REMAP_PFN);

/* Page faults of a read of each page. pagemap does not show frame numbers. */
static long faults_of_reading(FIXTURE_DATA(dev_madvise) * self)
{
	struct fault_count before = faults_so_far();

	for (size_t at = 0; at < self->len; at += self->ps)
		probe_read(self->p + at);
	return faults_so_far().minor - before.minor;
}

FIXTURE_SETUP(dev_madvise)
{
	struct memsafe_dev_setup setup = {
		.memory = variant->memory,
		.map = variant->map,
	};

	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	self->len = NPAGES * self->ps;
	setup.size = self->len;
	self->fd = device_open(O_RDWR, &setup);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(device_fill(self->fd, NPAGES));
	self->p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	for (size_t at = 0; at < self->len; at += self->ps)
		ASSERT_NO_FAULT(probe_read(self->p + at));
	faults_of_reading(self);
}

FIXTURE_TEARDOWN(dev_madvise)
{
}

/* Buffer and mapping hold what they did, to the byte. */
#define EXPECT_UNCHANGED(self)                                                 \
	do {                                                                   \
		for (unsigned int i = 0; i < NPAGES; i++)                      \
			EXPECT_EQ((self)->ps,                                  \
				  first_difference((self)->p + i * (self)->ps, \
						   (self)->ps, i));            \
	} while (0)

TEST_F(dev_madvise, advice_that_gives_memory_up_is_refused)
{
	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->len, MADV_FREE));
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->len, MADV_WIPEONFORK));
	EXPECT_ERRNO(ENODEV, madvise(self->p, self->len, MADV_REMOVE));
	EXPECT_EQ(0, faults_of_reading(self));
	EXPECT_UNCHANGED(self);
}

/* Frame numbers without a page behind them can't be found again. */
TEST_F(dev_madvise, frames_without_references_stay_mapped)
{
	int err = maps_pfns(variant->map) ? EINVAL : 0;

	ACT(madvise);
	EXPECT_ERRNO(err, madvise(self->p, self->len, MADV_PAGEOUT));
	EXPECT_ERRNO(err, madvise(self->p, self->len, MADV_COLD));
	EXPECT_ERRNO(err, madvise(self->p, self->ps, MADV_DONTNEED));
	if (err)
		EXPECT_EQ(0, faults_of_reading(self));
	EXPECT_FALSE(!err && is_present(self->p));
	EXPECT_EQ(0, device_peek(self->fd, 0));
	EXPECT_EQ(1, device_peek(self->fd, 1));
}

static int signal_of_read(void *p)
{
	return probe_read(p).signal;
}

TEST_F(dev_madvise, child_without_the_mapping_is_none_for_the_driver)
{
	struct memsafe_dev_counters before = device_counters(self->fd);

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_DONTFORK));

	EXPECT_EQ(SIGSEGV, in_child(signal_of_read, self->p));
	EXPECT_EQ(before.opens, device_counters(self->fd).opens);
	EXPECT_EQ(before.closes, device_counters(self->fd).closes);
	EXPECT_EQ(1, device_vmas(self->fd));
	EXPECT_UNCHANGED(self);
}

TEST_F(dev_madvise, mark_on_a_part_splits_the_drivers_mapping)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p + self->ps, self->ps, MADV_RANDOM));

	EXPECT_EQ(3, count_vmas(self->p, self->len));
	EXPECT_EQ(3, device_vmas(self->fd));
	EXPECT_UNCHANGED(self);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

TEST_F(dev_madvise, populate_is_for_pages_with_references)
{
	int err = maps_pfns(variant->map) ? EINVAL : 0;

	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p + 1, self->ps, MADV_NORMAL));
	EXPECT_ERRNO(err, madvise(self->p, self->len, MADV_POPULATE_WRITE));
	EXPECT_UNCHANGED(self);
}

TEST_HARNESS_MAIN
