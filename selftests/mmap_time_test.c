// SPDX-License-Identifier: GPL-2.0
/*
 * When a file was last written, if that was through a mapping: mmap(2), "Timestamps
 * changes for file-backed mappings". A private mapping writes no file.
 */
#include "memsafe.h"

#include <sys/stat.h>

/* Before any of our stores, on a machine without a clock as well. */
#define PAST 1

/* A page of a file that was last written in the past. */
FIXTURE(mmap_time)
{
	size_t ps;
	int fd;
	unsigned char *page;
};

FIXTURE_VARIANT(mmap_time)
{
	enum backing backing;
	bool tells_again; /* after msync() stores are seen as the first one was */
};

FIXTURE_VARIANT_ADD(mmap_time, shmem){ .backing = SHMEM };
FIXTURE_VARIANT_ADD(mmap_time, file){ .backing = DISK, .tells_again = true };

static bool age(int fd)
{
	struct timespec past[2] = { { .tv_sec = PAST }, { .tv_sec = PAST } };

	return !futimens(fd, past);
}

/* Seconds of the last modification; -1: it has none. */
static time_t modified(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? -1 : stat.st_mtime;
}

FIXTURE_SETUP(mmap_time)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->fd = backing_open(variant->backing, self->ps);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(age(self->fd));
}

FIXTURE_TEARDOWN(mmap_time)
{
}

TEST_F(mmap_time, store_to_a_shared_mapping_is_a_modification)
{
	self->page = map_alone(self->ps, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_EQ(PAST, modified(self->fd));

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_write(self->page));
	EXPECT_EQ(0, msync(self->page, self->ps, MS_SYNC));
	EXPECT_LT(PAST, modified(self->fd));
}

TEST_F(mmap_time, store_after_msync_is_one_again)
{
	if (!variant->tells_again)
		SKIP(return, "needs a file system that writes back");
	self->page = map_alone(self->ps, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_TRUE(poke(self->page, 1));

	ACT(msync);
	EXPECT_EQ(0, msync(self->page, self->ps, MS_SYNC));
	ASSERT_TRUE(age(self->fd));
	ASSERT_TRUE(poke(self->page, 2));
	EXPECT_LT(PAST, modified(self->fd));
}

TEST_F(mmap_time, load_is_no_modification)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(self->page, self->ps);
	EXPECT_NO_FAULT(probe_read(self->page));
	EXPECT_EQ(0, munmap(self->page, self->ps));
	EXPECT_EQ(PAST, modified(self->fd));
}

TEST_F(mmap_time, store_to_a_private_mapping_is_none)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(self->page, self->ps);
	EXPECT_TRUE(poke(self->page, 1));
	EXPECT_EQ(0, munmap(self->page, self->ps));
	EXPECT_EQ(PAST, modified(self->fd));
}

TEST_HARNESS_MAIN
