// SPDX-License-Identifier: GPL-2.0
/*
 * A tmpfs of a certain size gives its blocks to whoever touches a page, no more than it
 * has, and has each back when the page is gone (Documentation/filesystems/tmpfs.rst).
 */
#include "memsafe.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* In a mount namespace of the test's own. */
#define MOUNT "/tmp"
#define FILE_NAME MOUNT "/file"
#define PAGES 64
#define HALF (PAGES / 2)

/* A tmpfs of PAGES pages, and a file of as many, mapped shared. */
FIXTURE(tmpfs_space)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
};

FIXTURE_SETUP(tmpfs_space)
{
	char options[64];

	if (!has_capability(CAP_SYS_ADMIN))
		SKIP(return, "needs CAP_SYS_ADMIN");
	self->ps = page_size();
	self->len = PAGES * self->ps;
	snprintf(options, sizeof(options), "size=%zu,huge=never", self->len);
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("memsafe", MOUNT, "tmpfs", 0, options)) {
		snprintf(options, sizeof(options), "size=%zu", self->len);
		ASSERT_EQ(0, mount("memsafe", MOUNT, "tmpfs", 0, options));
	}
	self->fd = open(FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, ftruncate(self->fd, self->len));
	self->p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
}

FIXTURE_TEARDOWN(tmpfs_space)
{
}

/* Free blocks of a page each; -1: can't be read. */
static long free_pages(void)
{
	struct statfs all;

	return statfs(MOUNT, &all) ? -1 : (long)all.f_bfree;
}

/* st_blocks are of 512 bytes. */
static long pages_of(int fd)
{
	struct stat its;

	return fstat(fd, &its) ? -1 : (long)(its.st_blocks * 512 / page_size());
}

TEST_F(tmpfs_space, page_that_is_touched_takes_a_block)
{
	ASSERT_EQ(PAGES, free_pages());

	ACT_PROBE();
	for (int i = 0; i < HALF; i++)
		EXPECT_NO_FAULT(probe_write(self->p + i * self->ps));

	EXPECT_EQ(PAGES - HALF, free_pages());
	EXPECT_EQ(HALF, pages_of(self->fd));
}

/* Two files want more than there is: the last page has no block. */
TEST_F(tmpfs_space, page_without_a_block_is_sigbus)
{
	int other = open(MOUNT "/other", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ASSERT_LE(0, other);
	ASSERT_EQ(1, pwrite(other, "x", 1, 0));
	for (int i = 0; i < PAGES - 1; i++)
		ASSERT_NO_FAULT(probe_write(self->p + i * self->ps));
	ASSERT_EQ(0, free_pages());

	ACT_PROBE();
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, self->p + self->len - 1,
		     probe_write(self->p + self->len - 1));
	EXPECT_ERRNO(ENOSPC, pwrite(other, "x", 1, self->ps));
	EXPECT_EQ(0, free_pages());
	/* A block that comes free is as good as any. */
	ASSERT_EQ(0, ftruncate(other, 0));
	EXPECT_NO_FAULT(probe_write(self->p + self->len - 1));
}

TEST_F(tmpfs_space, truncation_gives_all_blocks_back)
{
	memset(self->p, 1, self->len);
	ASSERT_EQ(0, free_pages());

	ACT(ftruncate);
	ASSERT_EQ(0, ftruncate(self->fd, HALF * self->ps));
	EXPECT_EQ(HALF, free_pages());
	EXPECT_EQ(HALF, pages_of(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(PAGES, free_pages());
	EXPECT_EQ(0, pages_of(self->fd));
}

TEST_F(tmpfs_space, hole_gives_its_blocks_back)
{
	memset(self->p, 1, self->len);

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p + self->ps, HALF * self->ps, MADV_REMOVE));
	EXPECT_EQ(HALF, free_pages());
	EXPECT_EQ(PAGES - HALF, pages_of(self->fd));
	EXPECT_EQ(1, peek(self->p));
	EXPECT_EQ(1, peek(self->p + (1 + HALF) * self->ps));
}

TEST_F(tmpfs_space, file_without_a_name_keeps_its_blocks_while_it_is_mapped)
{
	memset(self->p, 1, self->len);
	ASSERT_EQ(0, unlink(FILE_NAME));
	ASSERT_EQ(0, close(self->fd));
	ASSERT_EQ(0, free_pages());
	EXPECT_EQ(1, peek(self->p + self->len - 1));

	ACT(munmap);
	ASSERT_EQ(0, munmap(self->p, self->len));
	EXPECT_EQ(PAGES, free_pages());
}

/* A copy is memory of the program's own. */
TEST_F(tmpfs_space, private_copy_takes_no_block)
{
	unsigned char *copy;

	memset(self->p, 1, self->len);
	copy = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(copy, self->len);

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_write(copy));
	EXPECT_EQ(7, (poke(copy, 7), peek(copy)));
	EXPECT_EQ(1, peek(self->p));
	EXPECT_EQ(0, free_pages());
}

TEST_F(tmpfs_space, full_file_can_be_filled_again_and_again)
{
	ACT(ftruncate);
	for (int round = 0; round < 16; round++) {
		for (int i = 0; i < PAGES; i++)
			ASSERT_NO_FAULT(probe_write(self->p + i * self->ps));
		ASSERT_EQ(0, ftruncate(self->fd, 0));
		ASSERT_EQ(PAGES, free_pages());
		ASSERT_EQ(0, ftruncate(self->fd, self->len));
	}
}

TEST_HARNESS_MAIN
