// SPDX-License-Identifier: GPL-2.0
/*
 * msync(2) with MS_SYNC: what was stored through a shared mapping is on the
 * disk when it returns, for exactly the pages asked for; a private mapping
 * writes nothing. Read from the flags of the page-cache pages (kpageflags) and
 * from the disk itself. MS_ASYNC, MS_INVALIDATE and
 * the errnos are in msync_errno_test.c.
 */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "memsafe.h"

#define PAGES 4

/*
 * A file of PAGES pages, all of them on the disk, mapped shared. Dirty pages
 * are written by themselves only after seconds (vm.dirty_expire_centisecs):
 * what a test stores is unwritten when it looks.
 */
FIXTURE(msync)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
	unsigned char *look; /* the file mapped once more, to look at */
};

/* How many pages of the file, from page @first, the disk does not have. */
static int unwritten(FIXTURE_DATA(msync) * self, int first, int count)
{
	const uint64_t on_the_way = KPF_DIRTY | KPF_WRITEBACK;
	int pages = 0;

	for (int i = first; i < first + count; i++)
		pages += !!(kpageflags(self->look + i * self->ps) & on_the_way);
	return pages;
}

FIXTURE_SETUP(msync)
{
	unsigned char *data;

	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = backing_open(DISK, self->len);
	ASSERT_LE(0, self->fd);
	data = malloc(self->ps);
	ASSERT_NE(NULL, data);
	memset(data, 0x11, self->ps);
	/* One page at a time: a large folio is dirty and written as a whole. */
	for (size_t off = 0; off < self->len; off += self->ps) {
		ASSERT_EQ(self->ps, pwrite(self->fd, data, self->ps, off));
	}
	ASSERT_EQ(0, fsync(self->fd));
	self->p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	self->look = map_alone(self->len, PROT_READ, MAP_SHARED | MAP_POPULATE,
			       self->fd);
	ASSERT_NE(MAP_FAILED, self->look);
	if (kpageflags(self->look) == KPF_UNKNOWN)
		SKIP(return, "needs /proc/kpageflags and CAP_SYS_ADMIN");
	ASSERT_EQ(0, unwritten(self, 0, PAGES));
}

FIXTURE_TEARDOWN(msync)
{
}

TEST_F(msync, ms_sync_writes_what_was_stored)
{
	memset(self->p, 0x22, self->len);
	ASSERT_EQ(PAGES, unwritten(self, 0, PAGES));

	ACT(msync);
	ASSERT_EQ(0, msync(self->p, self->len, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 0, PAGES));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x22));
}

TEST_F(msync, ms_sync_writes_only_the_range)
{
	memset(self->p, 0x22, self->len);
	ASSERT_EQ(PAGES, unwritten(self, 0, PAGES));

	ACT(msync);
	ASSERT_EQ(0, msync(self->p + self->ps, 2 * self->ps, MS_SYNC));

	EXPECT_EQ(1, unwritten(self, 0, 1));
	EXPECT_EQ(0, unwritten(self, 1, 2));
	EXPECT_EQ(1, unwritten(self, 3, 1));
}

TEST_F(msync, ms_sync_of_one_byte_writes_its_page)
{
	memset(self->p, 0x22, self->len);

	ACT(msync);
	ASSERT_EQ(0, msync(self->p + 2 * self->ps, 1, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 2, 1));
	EXPECT_EQ(PAGES - 1, unwritten(self, 0, PAGES));
}

/* The range is one of the mapping: the offset of the file comes on top. */
TEST_F(msync, ms_sync_honours_the_offset_of_the_mapping)
{
	unsigned char *q = mmap(NULL, 2 * self->ps, PROT_RW, MAP_SHARED,
				self->fd, 2 * self->ps);

	ASSERT_NE(MAP_FAILED, q);
	memset(self->p, 0x22, self->len);

	ACT(msync);
	ASSERT_EQ(0, msync(q, self->ps, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 2, 1));
	EXPECT_EQ(PAGES - 1, unwritten(self, 0, PAGES));
}

TEST_F(msync, ms_sync_covers_adjacent_mappings)
{
	ASSERT_EQ(0,
		  mprotect(self->p + self->ps, self->ps, PROT_RW | PROT_EXEC));
	ASSERT_EQ(3, count_vmas(self->p, self->len));
	memset(self->p, 0x22, self->len);

	ACT(msync);
	ASSERT_EQ(0, msync(self->p, self->len, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 0, PAGES));
}

TEST_F(msync, ms_sync_writes_the_store_of_another_process)
{
	ASSERT_EQ(7, in_child(store_seven, self->p));
	ASSERT_EQ(1, unwritten(self, 0, PAGES));

	ACT(msync);
	ASSERT_EQ(0, msync(self->p, self->ps, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 0, PAGES));
}

/* The page is written again after it was written: the store is noticed. */
TEST_F(msync, store_after_ms_sync_is_dirty_again)
{
	EXPECT_TRUE(poke(self->p, 0x22));
	ASSERT_EQ(1, unwritten(self, 0, PAGES));

	ACT(msync);
	ASSERT_EQ(0, msync(self->p, self->ps, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 0, PAGES));
	EXPECT_TRUE(poke(self->p, 0x33));
	EXPECT_EQ(1, unwritten(self, 0, PAGES));
}

/* What is mapped private has no file to go to. */
TEST_F(msync, ms_sync_of_a_private_mapping_writes_nothing)
{
	unsigned char *q = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	unsigned char byte = 0;

	ASSERT_NE(MAP_FAILED, q);
	memset(q, 0x33, self->len);
	EXPECT_TRUE(poke(self->p, 0x22));

	ACT(msync);
	ASSERT_EQ(0, msync(q, self->len, MS_SYNC));
	EXPECT_EQ(1, unwritten(self, 0, PAGES));
	ASSERT_EQ(0, msync(self->p, self->ps, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 0, PAGES));
	EXPECT_EQ(1, pread(self->fd, &byte, 1, self->ps));
	EXPECT_EQ(0x11, byte);
}

/* ENOMEM for the hole, after all that is mapped was written. */
TEST_F(msync, ms_sync_over_a_hole_writes_the_rest)
{
	memset(self->p, 0x22, self->len);
	ASSERT_EQ(0, munmap(self->p + self->ps, self->ps));

	ACT(msync);
	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len, MS_SYNC));

	EXPECT_EQ(0, unwritten(self, 0, 1));
	EXPECT_EQ(0, unwritten(self, 2, 2));
}

/* "Since Linux 2.6.19, MS_ASYNC is in fact a no-op" but for its errno. */
TEST_F(msync, ms_async_starts_no_write)
{
	memset(self->p, 0x22, self->len);

	ACT(msync);
	EXPECT_EQ(0, msync(self->p, self->len, MS_ASYNC));
	EXPECT_ERRNO(ENOMEM, msync(self->p, self->len + 1, MS_ASYNC));

	EXPECT_EQ(PAGES, unwritten(self, 0, PAGES));
}

/* The byte offset on the disk of the first byte of @fd; -1: unknown. */
static off_t place_on_disk(int fd)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent;
	} query = {
		.map = {
			.fm_length = 1,
			.fm_extent_count = 1,
		},
	};
	const unsigned int elsewhere =
		FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
		FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_NOT_ALIGNED;

	if (ioctl(fd, FS_IOC_FIEMAP, &query) || !query.map.fm_mapped_extents ||
	    query.map.fm_extents[0].fe_flags & elsewhere)
		return -1;
	return query.map.fm_extents[0].fe_physical;
}

/* The disk that @fd is a file on, past the page cache; -1: not possible. */
static int open_disk_of(int fd)
{
	char path[64], name[64] = "";
	struct line_reader lines;
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/uevent",
		 major(st.st_dev), minor(st.st_dev));
	if (!lines_open(&lines, path))
		return -1;
	while (lines_next(&lines))
		sscanf(lines.line, "DEVNAME=%63s", name);
	lines_close(&lines);
	snprintf(path, sizeof(path), "/dev/%.48s", name);
	return open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
}

FIXTURE(msync_disk)
{
	size_t ps;
	int disk;
	off_t place;
	unsigned char *p; /* the file's only page, mapped shared, 0x11 */
	unsigned char *block; /* memory for what the disk has there */
};

FIXTURE_SETUP(msync_disk)
{
	int fd;

	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	self->ps = page_size();
	fd = backing_open(DISK, self->ps);
	ASSERT_LE(0, fd);
	self->p = map_alone(self->ps, PROT_RW, MAP_SHARED, fd);
	ASSERT_NE(MAP_FAILED, self->p);
	memset(self->p, 0x11, self->ps);
	ASSERT_EQ(0, fsync(fd));
	self->disk = open_disk_of(fd);
	self->place = place_on_disk(fd);
	if (self->disk < 0 || self->place < 0)
		SKIP(return, "needs root and a file system right on a disk");
	self->block = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->block);
}

FIXTURE_TEARDOWN(msync_disk)
{
}

/* The bytes of the page that @self's disk has, or -1 for a mixture. */
static int byte_on_disk(FIXTURE_DATA(msync_disk) * self)
{
	size_t ps = self->ps;

	if (pread(self->disk, self->block, ps, self->place) != (ssize_t)ps)
		return -1;
	if (first_other(self->block, ps, self->block[0]) != ps)
		return -1;
	return self->block[0];
}

TEST_F(msync_disk, ms_sync_data_is_on_the_disk)
{
	ASSERT_EQ(0x11, byte_on_disk(self));
	memset(self->p, 0x22, self->ps);
	ASSERT_EQ(0x11, byte_on_disk(self));

	ACT(msync);
	ASSERT_EQ(0, msync(self->p, self->ps, MS_SYNC));

	EXPECT_EQ(0x22, byte_on_disk(self));
}

TEST_HARNESS_MAIN
