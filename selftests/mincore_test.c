// SPDX-License-Identifier: GPL-2.0
/*
 * mincore(2): one byte for each page says whether an access would need the
 * disk: the same as the page table for private memory, the page cache for a
 * file, mapped or not, and nothing about files one may not write to. Each errno
 * has its own cause.
 */
#include <linux/capability.h>
#include <sys/stat.h>

#include "memsafe.h"

#define PAGES 4

/* What no mincore() writes. */
#define UNTOUCHED 0xee

/* Four pages; the second was stored to, the third read. */
FIXTURE(mincore)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
	unsigned char vec[PAGES + 1];
};

FIXTURE_VARIANT(mincore)
{
	enum backing backing;
	int sharing;
};

BACKINGS(mincore);
BACKING(mincore, shmem_private, SHMEM, MAP_PRIVATE);

FIXTURE_SETUP(mincore)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, self->fd);
	self->p = map_alone(self->len, PROT_RW, variant->sharing, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	/* Neither read ahead nor mapped around a fault. */
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_RANDOM));
	memset(self->vec, UNTOUCHED, sizeof(self->vec));
	ASSERT_TRUE(poke(self->p + self->ps, 7));
	ASSERT_NO_FAULT(probe_read(self->p + 2 * self->ps));
}

FIXTURE_TEARDOWN(mincore)
{
}

TEST_F(mincore, touched_pages_are_in_memory_and_others_not)
{
	ACT(mincore);
	ASSERT_EQ(0, mincore(self->p, self->len, self->vec));

	EXPECT_EQ(0, self->vec[0] & 1);
	EXPECT_EQ(1, self->vec[1] & 1);
	EXPECT_EQ(1, self->vec[2] & 1);
	EXPECT_EQ(0, self->vec[3] & 1);
}

TEST_F(mincore, one_byte_is_written_for_each_page_begun)
{
	ACT(mincore);
	ASSERT_EQ(0, mincore(self->p, 2 * self->ps + 1, self->vec));

	EXPECT_EQ(1, self->vec[1] & 1);
	EXPECT_EQ(1, self->vec[2] & 1);
	EXPECT_EQ(UNTOUCHED, self->vec[3]);
}

TEST_F(mincore, asking_brings_no_page)
{
	int present = present_pages(self->p, self->len);

	ACT(mincore);
	ASSERT_EQ(0, mincore(self->p, self->len, self->vec));
	ASSERT_EQ(1, self->vec[1] & 1);

	EXPECT_EQ(present, present_pages(self->p, self->len));
}

/* The page cache and shared memory keep what a process drops. */
TEST_F(mincore, dropped_page_is_in_memory_if_it_is_in_a_cache)
{
	bool cached = variant->sharing == MAP_SHARED ||
		      has_file(variant->backing);

	ASSERT_EQ(0, madvise(self->p + self->ps, self->ps, MADV_DONTNEED));
	ASSERT_FALSE(is_present(self->p + self->ps));

	ACT(mincore);
	ASSERT_EQ(0, mincore(self->p + self->ps, self->ps, self->vec));

	EXPECT_EQ(cached, self->vec[0]);
}

TEST_F(mincore, range_that_ends_in_a_hole_is_enomem)
{
	unsigned char *last = self->p + 3 * self->ps;

	ASSERT_EQ(0, munmap(last, self->ps));

	ACT(mincore);
	EXPECT_ERRNO(ENOMEM, mincore(self->p, self->len, self->vec));
	EXPECT_ERRNO(ENOMEM, mincore(last, 1, self->vec));
	EXPECT_EQ(0, mincore(self->p, self->len - self->ps, self->vec));
	EXPECT_EQ(1, self->vec[1]);
}

TEST_F(mincore, address_inside_a_page_is_einval)
{
	ACT(mincore);
	EXPECT_ERRNO(EINVAL, mincore(self->p + 1, 1, self->vec));
	EXPECT_EQ(UNTOUCHED, self->vec[0]);
}

TEST_F(mincore, length_past_the_address_space_is_enomem)
{
	ACT(mincore);
	EXPECT_ERRNO(ENOMEM, mincore(self->p, -self->ps, self->vec));
	EXPECT_EQ(UNTOUCHED, self->vec[0]);
}

/* Two pages may be told of before the byte of the third one faults. */
TEST_F(mincore, vector_that_can_not_be_written_is_efault)
{
	unsigned char *vec = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	unsigned char *last = vec + self->ps - 2;

	ASSERT_NE(MAP_FAILED, vec);
	memset(vec, UNTOUCHED, self->ps);

	ACT(mincore);
	EXPECT_ERRNO(EFAULT, mincore(self->p, self->len, last));
	EXPECT_ERRNO(EFAULT, mincore(self->p, self->len, (void *)-1));
	EXPECT_EQ(0, mincore(self->p, 2 * self->ps, last));
	EXPECT_EQ(1, last[1]);
}

/* A file on a disk, its first two pages in the page cache. */
FIXTURE(mincore_file)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
	unsigned char vec[PAGES];
};

FIXTURE_SETUP(mincore_file)
{
	char c = 'x';

	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = backing_open(DISK, self->len);
	ASSERT_LE(0, self->fd);
	for (size_t at = 0; at < self->len; at += self->ps)
		ASSERT_EQ(1, pwrite(self->fd, &c, 1, at));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_RANDOM));
	ASSERT_TRUE(drop_cache(self->fd, self->len));
	ASSERT_EQ(1, pread(self->fd, &c, 1, 0));
	ASSERT_EQ(1, pread(self->fd, &c, 1, self->ps));
	self->p = map_alone(self->len, PROT_READ, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	memset(self->vec, UNTOUCHED, sizeof(self->vec));
}

FIXTURE_TEARDOWN(mincore_file)
{
}

TEST_F(mincore_file, cached_pages_are_in_memory_without_being_mapped)
{
	ACT(mincore);
	ASSERT_EQ(0, mincore(self->p, self->len, self->vec));

	EXPECT_EQ(0, present_pages(self->p, self->len));
	EXPECT_EQ(1, self->vec[0]);
	EXPECT_EQ(1, self->vec[1]);
	EXPECT_EQ(0, self->vec[2]);
	EXPECT_EQ(0, self->vec[3]);
}

TEST_F(mincore_file, dropping_the_cache_is_seen)
{
	ASSERT_TRUE(drop_cache(self->fd, self->ps));

	ACT(mincore);
	ASSERT_EQ(0, mincore(self->p, self->len, self->vec));

	EXPECT_EQ(0, self->vec[0]);
	EXPECT_EQ(1, self->vec[1]);
}

/* Someone else's accesses are not for one to see who may only read. */
TEST_F(mincore_file, cache_of_a_file_of_others_is_not_told)
{
	const int nobody = 65534;

	if (!has_capability(CAP_SETUID) || !has_capability(CAP_FOWNER))
		SKIP(return, "needs CAP_SETUID and CAP_FOWNER");
	ASSERT_EQ(0, fchmod(self->fd, 0444));
	ASSERT_EQ(0, setresuid(nobody, nobody, nobody));

	ACT(mincore);
	ASSERT_EQ(0, mincore(self->p, self->len, self->vec));

	EXPECT_EQ(PAGES, first_other(self->vec, PAGES, 1));
}

TEST_HARNESS_MAIN
