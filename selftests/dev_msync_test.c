// SPDX-License-Identifier: GPL-2.0
/*
 * msync(MS_SYNC) on a shared mapping calls the ->fsync of its file, once a
 * VMA and with the bytes of the range; MS_ASYNC and MS_INVALIDATE call nothing
 * (msync(2), mm/msync.c). The driver counts, and can fail.
 */
#include "memsafe_device.h"

#include <limits.h>

#define NPAGES 4

/*
 *	buffer   | 0 | 1 | 2 | 3 |
 *	mapping      | 1 | 2 | 3 |
 *	             ^map
 */
FIXTURE(dev_msync)
{
	unsigned char *map;
	size_t len;
	size_t ps;
	int fd;
};

FIXTURE_VARIANT(dev_msync)
{
	uint32_t memory;
	uint32_t map;
};

FIXTURE_VARIANT_ADD(dev_msync, fault)
{
	.memory = MEMSAFE_DEV_PAGES,
	.map = MEMSAFE_DEV_FAULT,
};

FIXTURE_VARIANT_ADD(dev_msync, insert_page)
{
	.memory = MEMSAFE_DEV_VMALLOC,
	.map = MEMSAFE_DEV_INSERT_PAGE,
};

FIXTURE_VARIANT_ADD(dev_msync, remap_pfn)
{
	.memory = MEMSAFE_DEV_KMALLOC,
	.map = MEMSAFE_DEV_REMAP_PFN,
};

FIXTURE_SETUP(dev_msync)
{
	struct memsafe_dev_setup setup = {
		.memory = variant->memory,
		.map = variant->map,
	};

	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	self->len = (NPAGES - 1) * self->ps;
	setup.size = NPAGES * self->ps;
	self->fd = device_open(O_RDWR, &setup);
	ASSERT_LE(0, self->fd);
	self->map =
		mmap(NULL, self->len, PROT_RW, MAP_SHARED, self->fd, self->ps);
	ASSERT_NE(MAP_FAILED, self->map);
	ASSERT_TRUE(poke(self->map, 1));
}

FIXTURE_TEARDOWN(dev_msync)
{
}

/* The last ->fsync was for bytes @from to @to of the buffer. */
#define EXPECT_SYNCED(calls, from, to)                                       \
	do {                                                                 \
		struct memsafe_dev_counters now = device_counters(self->fd); \
                                                                             \
		EXPECT_EQ((uint64_t)(calls), now.fsyncs);                    \
		EXPECT_EQ((uint64_t)(from), now.fsync_start);                \
		EXPECT_EQ((uint64_t)(to), now.fsync_end);                    \
	} while (0)

#define EXPECT_FSYNCS(calls) \
	EXPECT_EQ((uint64_t)(calls), device_counters(self->fd).fsyncs)

TEST_F(dev_msync, sync_of_the_mapping_is_one_fsync_of_its_range)
{
	ASSERT_EQ(0, device_counters(self->fd).fsyncs);

	ACT(msync);
	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));

	EXPECT_SYNCED(1, self->ps, NPAGES * self->ps - 1);
	EXPECT_EQ(1, device_counters(self->fd).fsync_datasync);
}

TEST_F(dev_msync, sync_of_one_page_is_an_fsync_of_that_page)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->map + self->ps, self->ps, MS_SYNC));

	EXPECT_SYNCED(1, 2 * self->ps, 3 * self->ps - 1);
}

TEST_F(dev_msync, sync_of_one_byte_is_an_fsync_of_its_page)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->map, 1, MS_SYNC));

	EXPECT_SYNCED(1, self->ps, 2 * self->ps - 1);
}

TEST_F(dev_msync, each_sync_is_an_fsync_though_nothing_is_dirty)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));
	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));

	EXPECT_FSYNCS(2);
}

TEST_F(dev_msync, async_is_no_fsync)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->map, self->len, MS_ASYNC));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));
	EXPECT_FSYNCS(1);
}

TEST_F(dev_msync, invalidate_is_an_fsync_only_with_sync)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->map, self->len, MS_INVALIDATE));
	EXPECT_EQ(0, msync(self->map, self->len, MS_ASYNC | MS_INVALIDATE));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC | MS_INVALIDATE));
	EXPECT_FSYNCS(1);
}

TEST_F(dev_msync, sync_and_async_together_fail_without_an_fsync)
{
	ACT(msync);
	EXPECT_ERRNO(EINVAL, msync(self->map, self->len, MS_SYNC | MS_ASYNC));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));
	EXPECT_FSYNCS(1);
}

TEST_F(dev_msync, unaligned_address_fails_without_an_fsync)
{
	ACT(msync);
	EXPECT_ERRNO(EINVAL, msync(self->map + 1, self->ps, MS_SYNC));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, msync(self->map, self->ps, MS_SYNC));
	EXPECT_FSYNCS(1);
}

TEST_F(dev_msync, sync_of_no_bytes_is_no_fsync)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->map, 0, MS_SYNC));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, msync(self->map, self->ps, MS_SYNC));
	EXPECT_FSYNCS(1);
}

TEST_F(dev_msync, error_of_the_driver_is_the_error_of_sync)
{
	ASSERT_EQ(0, device_inject(self->fd, MEMSAFE_DEV_ON_FSYNC,
				   MEMSAFE_DEV_RETURN_EIO, 0, 1));

	ACT(msync);
	EXPECT_ERRNO(EIO, msync(self->map, self->len, MS_SYNC));
	EXPECT_FSYNCS(1);

	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));
	EXPECT_FSYNCS(2);
}

/* mprotect() of the middle page makes three VMAs. */
TEST_F(dev_msync, sync_of_a_split_mapping_is_one_fsync_each)
{
	ASSERT_EQ(0, mprotect(self->map + self->ps, self->ps, PROT_READ));
	ASSERT_EQ(3, count_vmas(self->map, self->len));

	ACT(msync);
	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));

	EXPECT_SYNCED(3, 3 * self->ps, 4 * self->ps - 1);
}

TEST_F(dev_msync, error_ends_the_sync_of_a_split_mapping)
{
	ASSERT_EQ(0, mprotect(self->map + self->ps, self->ps, PROT_READ));
	ASSERT_EQ(0, device_inject(self->fd, MEMSAFE_DEV_ON_FSYNC,
				   MEMSAFE_DEV_RETURN_EIO, 0, 1));

	ACT(msync);
	EXPECT_ERRNO(EIO, msync(self->map, self->len, MS_SYNC));

	EXPECT_SYNCED(1, self->ps, 2 * self->ps - 1);
}

TEST_F(dev_msync, sync_across_a_hole_fails_after_both_sides)
{
	ASSERT_EQ(0, munmap(self->map + self->ps, self->ps));

	ACT(msync);
	EXPECT_ERRNO(ENOMEM, msync(self->map, self->len, MS_SYNC));

	EXPECT_SYNCED(2, 3 * self->ps, 4 * self->ps - 1);
}

TEST_F(dev_msync, sync_after_unmap_fails_without_an_fsync)
{
	ASSERT_EQ(0, munmap(self->map, self->ps));

	ACT(msync);
	EXPECT_ERRNO(ENOMEM, msync(self->map, self->ps, MS_SYNC));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, msync(self->map + self->ps, self->ps, MS_SYNC));
	EXPECT_FSYNCS(1);
}

TEST_F(dev_msync, sync_of_a_private_mapping_is_no_fsync)
{
	unsigned char *private =
		mmap(NULL, self->ps, PROT_READ, MAP_PRIVATE, self->fd, 0);

	ASSERT_MAPPED(private, self->ps);

	ACT(msync);
	EXPECT_EQ(0, msync(private, self->ps, MS_SYNC));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, msync(self->map, self->ps, MS_SYNC));
	EXPECT_FSYNCS(1);
}

/* What counts is whether the file can be written, not the mapping. */
TEST_F(dev_msync, sync_of_a_read_only_mapping_is_an_fsync)
{
	ASSERT_EQ(0, mprotect(self->map, self->len, PROT_READ));

	ACT(msync);
	EXPECT_EQ(0, msync(self->map, self->len, MS_SYNC));

	EXPECT_FSYNCS(1);
}

static int errno_of_sync(void *p)
{
	return errno_of(msync(p, page_size(), MS_SYNC));
}

TEST_F(dev_msync, sync_in_a_child_reaches_the_same_file)
{
	ACT(msync);
	EXPECT_EQ(0, in_child(errno_of_sync, self->map));
	EXPECT_FSYNCS(1);

	EXPECT_EQ(0, msync(self->map, self->ps, MS_SYNC));
	EXPECT_FSYNCS(2);
}

TEST_F(dev_msync, fsync_is_of_the_whole_file)
{
	ACT(fsync);
	EXPECT_EQ(0, fsync(self->fd));

	EXPECT_SYNCED(1, 0, LLONG_MAX);
	EXPECT_EQ(0, device_counters(self->fd).fsync_datasync);
}

TEST_F(dev_msync, fdatasync_is_an_fsync_of_data_only)
{
	ACT(fdatasync);
	EXPECT_EQ(0, fdatasync(self->fd));

	EXPECT_SYNCED(1, 0, LLONG_MAX);
	EXPECT_EQ(1, device_counters(self->fd).fsync_datasync);
}

/* A file that can't be written has no VM_SHARED mapping: do_mmap(). */
FIXTURE(dev_msync_read_only)
{
	unsigned char *map;
	size_t ps;
	int fd;
};

FIXTURE_SETUP(dev_msync_read_only)
{
	struct memsafe_dev_setup setup = {};

	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	setup.size = self->ps;
	self->fd = device_open(O_RDONLY, &setup);
	ASSERT_LE(0, self->fd);
	self->map = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(dev_msync_read_only)
{
}

TEST_F(dev_msync_read_only, sync_is_no_fsync_but_fsync_is)
{
	ACT(fsync);
	EXPECT_EQ(0, msync(self->map, self->ps, MS_SYNC));
	EXPECT_FSYNCS(0);

	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_FSYNCS(1);
}

TEST_HARNESS_MAIN
