// SPDX-License-Identifier: GPL-2.0
/*
 * What a disk failed to write is EIO from msync() and fdatasync(), once for each
 * descriptor that was open, and never again; what it fails to read is SIGBUS
 * (Documentation/filesystems/vfs.rst, "Handling errors during writeback").
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "memsafe.h"
#include "memsafe_dm.h"

#define MOUNT "/tmp/memsafe-failing"
#define FILE_NAME MOUNT "/file"

/* A file of one page, on a disk that can fail, mapped shared. */
FIXTURE(disk_error)
{
	size_t ps;
	struct dm_disk disk;
	int fd;
	unsigned char *p;
};

FIXTURE_SETUP(disk_error)
{
	if (dm_needs())
		SKIP(return, "needs %s", dm_needs());
	self->ps = page_size();
	ASSERT_TRUE(dm_create(&self->disk));
	mkdir(MOUNT, 0700);
	/* No barrier: the flush that goes with one would fail by itself. */
	ASSERT_EQ(0, mount(self->disk.path, MOUNT, "ext4", 0, "barrier=0"));
	self->fd =
		open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, self->ps));
	self->p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	*self->p = 0x11;
	ASSERT_EQ(0, fsync(self->fd));
}

/* The disk and the mount outlive the process of a test. */
FIXTURE_TEARDOWN_PARENT(disk_error)
{
	struct dm_disk disk = {};

	disk.control = open(DM_CONTROL, O_RDWR | O_CLOEXEC);
	if (disk.control < 0 || !find_spare(&disk))
		return;
	dm_works(&disk);
	umount2(MOUNT, 0);
	dm_remove(&disk);
}

/* A store that the disk can't take. Only the data: the journal has to go on. */
static int store_and_fail(FIXTURE_DATA(disk_error) * self)
{
	int err = dm_fails_writes(&self->disk);

	*self->p = 0x22;
	return err;
}

TEST_F(disk_error, msync_of_a_store_that_was_not_written_is_eio)
{
	ASSERT_EQ(0, store_and_fail(self));

	ACT(msync);
	EXPECT_ERRNO(EIO, msync(self->p, self->ps, MS_SYNC));
}

TEST_F(disk_error, error_is_reported_once)
{
	ASSERT_EQ(0, store_and_fail(self));

	ACT(msync);
	EXPECT_ERRNO(EIO, msync(self->p, self->ps, MS_SYNC));
	ASSERT_EQ(0, dm_works(&self->disk));
	EXPECT_ERRNO(0, msync(self->p, self->ps, MS_SYNC));
}

TEST_F(disk_error, each_descriptor_is_told_once)
{
	int other = open(FILE_NAME, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, store_and_fail(self));
	ASSERT_ERRNO(EIO, msync(self->p, self->ps, MS_SYNC));
	ASSERT_EQ(0, dm_works(&self->disk));

	ACT(fdatasync);
	EXPECT_ERRNO(EIO, fdatasync(other));
	EXPECT_ERRNO(0, fdatasync(other));
	EXPECT_ERRNO(0, fdatasync(self->fd));
}

/* The next one who asks is told, though nobody had it open. */
TEST_F(disk_error, error_that_nobody_saw_waits_for_the_next_descriptor)
{
	int other;

	ASSERT_EQ(0, store_and_fail(self));
	ASSERT_EQ(0, sync_file_range(self->fd, 0, self->ps,
				     SYNC_FILE_RANGE_WRITE));
	while (kpageflags(self->p) & KPF_WRITEBACK)
		sched_yield();
	ASSERT_EQ(0, dm_works(&self->disk));
	ASSERT_EQ(0, munmap(self->p, self->ps));
	ASSERT_EQ(0, close(self->fd));
	other = open(FILE_NAME, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, other);

	ACT(fdatasync);
	EXPECT_ERRNO(EIO, fdatasync(other));
	EXPECT_ERRNO(0, fdatasync(other));
}

TEST_F(disk_error, descriptor_opened_after_the_report_is_not_told)
{
	int other;

	ASSERT_EQ(0, store_and_fail(self));

	ACT(msync);
	EXPECT_ERRNO(EIO, msync(self->p, self->ps, MS_SYNC));
	ASSERT_EQ(0, dm_works(&self->disk));
	other = open(FILE_NAME, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, other);
	EXPECT_ERRNO(0, fdatasync(other));
}

/* The byte of the file that the disk has. */
static int byte_on_disk(FIXTURE_DATA(disk_error) * self)
{
	unsigned char *block = mmap(NULL, self->ps, PROT_RW,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(FILE_NAME, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ssize_t got = pread(fd, block, self->ps, 0);

	close(fd);
	return got == (ssize_t)self->ps ? block[0] : -1;
}

TEST_F(disk_error, msync_writes_again_when_the_disk_works_again)
{
	ASSERT_EQ(0, store_and_fail(self));
	ASSERT_ERRNO(EIO, msync(self->p, self->ps, MS_SYNC));
	ASSERT_EQ(0, dm_works(&self->disk));
	*self->p = 0x33;

	ACT(msync);
	EXPECT_ERRNO(0, msync(self->p, self->ps, MS_SYNC));
	EXPECT_EQ(0, kpageflags(self->p) & KPF_DIRTY);
	EXPECT_EQ(0x33, byte_on_disk(self));
}

TEST_F(disk_error, page_that_can_not_be_read_is_sigbus)
{
	ASSERT_EQ(0, munmap(self->p, self->ps));
	ASSERT_TRUE(drop_cache(self->fd, self->ps));
	self->p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	ASSERT_EQ(0, dm_fails(&self->disk));

	ACT_PROBE();
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, self->p, probe_read(self->p));
	ASSERT_EQ(0, dm_works(&self->disk));
	EXPECT_EQ(0x11, peek(self->p));
}

TEST_HARNESS_MAIN
