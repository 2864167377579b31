// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of a file are dirty when somebody wrote to them through a mapping, the kernel
 * on behalf of a system call and a disk by direct I/O as well, and no others are
 * (Documentation/admin-guide/mm/pagemap.rst on DIRTY, open(2) on O_DIRECT).
 */
#include "memsafe.h"

#define OLD 0x11

/* Two pages of a file on a disk, clean and present. */
FIXTURE(user_dirty)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
	int pipe[2];
};

FIXTURE_SETUP(user_dirty)
{
	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	self->ps = page_size();
	self->len = 2 * self->ps;
	self->fd = backing_open(DISK, self->len);
	ASSERT_LE(0, self->fd);
	self->p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	memset(self->p, OLD, self->len);
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_EQ(0, fcntl(self->pipe[0], F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, smaps_kb(self->p, "Private_Dirty"));
	ASSERT_EQ(2, present_pages(self->p, self->len));
}

FIXTURE_TEARDOWN(user_dirty)
{
}

TEST_F(user_dirty, copy_to_a_mapping_dirties_exactly_its_page)
{
	ACT(read);
	EXPECT_EQ(1, read(self->pipe[0], self->p + self->ps, 1));
	EXPECT_EQ((long)self->ps / 1024, smaps_kb(self->p, "Private_Dirty"));
	EXPECT_EQ('x', peek(self->p + self->ps));
	EXPECT_EQ(OLD, peek(self->p));
}

TEST_F(user_dirty, copy_from_a_mapping_dirties_nothing)
{
	unsigned char c = 0;

	ACT(writev);
	EXPECT_EQ(1, gather(self->pipe[1], self->p + self->ps, 1));
	EXPECT_EQ(0, smaps_kb(self->p, "Private_Dirty"));
	EXPECT_EQ(1, read(self->pipe[0], &c, 1));
	EXPECT_EQ(1, read(self->pipe[0], &c, 1));
	EXPECT_EQ(OLD, c);
}

TEST_F(user_dirty, copy_that_is_refused_dirties_nothing)
{
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	ACT(read);
	EXPECT_ERRNO(EFAULT, read(self->pipe[0], self->p, 1));
	EXPECT_EQ(0, smaps_kb(self->p, "Private_Dirty"));
	EXPECT_EQ(self->len, first_other(self->p, self->len, OLD));
}

/* The disk writes to the pages of a mapping: they are dirty, though no CPU stored. */
TEST_F(user_dirty, direct_io_to_a_mapping_reaches_its_file)
{
	int source = backing_open(DISK, 0);
	unsigned char c = 0;

	ASSERT_LE(0, source);
	ASSERT_EQ(self->ps, write(source, self->p, self->ps));
	ASSERT_EQ(1, pwrite(source, "y", 1, self->ps - 1));
	ASSERT_EQ(0, fsync(source));
	ASSERT_EQ(0, fcntl(source, F_SETFL, O_DIRECT));

	ACT(pread64);
	EXPECT_EQ(self->ps, pread(source, self->p + self->ps, self->ps, 0));
	EXPECT_EQ('y', peek(self->p + self->len - 1));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, munmap(self->p, self->len));
	ASSERT_TRUE(drop_cache(self->fd, self->len));
	ASSERT_EQ(self->len - 1, lseek(self->fd, self->len - 1, SEEK_SET));
	EXPECT_EQ(1, read(self->fd, &c, 1));
	EXPECT_EQ('y', c);
}

TEST_HARNESS_MAIN
