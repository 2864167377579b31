// SPDX-License-Identifier: GPL-2.0
/*
 * madvise(2) about where pages are: MADV_POPULATE_READ and MADV_POPULATE_WRITE
 * fault the whole range in, MADV_WILLNEED reads a file ahead, MADV_COLD makes
 * pages look unused and MADV_PAGEOUT takes them out of memory. None changes
 * what the range holds.
 */
#include <time.h>

#include "memsafe.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define PAGES 4
#define BEHIND 0x22

/* Four pages that nobody touched; a file holds BEHIND. */
FIXTURE(madvise_populate)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char behind;
	unsigned char *p;
};

FIXTURE_VARIANT(madvise_populate)
{
	enum backing backing;
	int sharing;
};

BACKINGS(madvise_populate);

/* Fills the first @len bytes of @fd with @value. */
static bool write_file(int fd, size_t len, unsigned char value)
{
	char buf[256];

	memset(buf, value, sizeof(buf));
	for (size_t at = 0; at < len; at += sizeof(buf))
		if (pwrite(fd, buf, sizeof(buf), at) != sizeof(buf))
			return false;
	return true;
}

FIXTURE_SETUP(madvise_populate)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, self->fd);
	if (has_file(variant->backing)) {
		self->behind = BEHIND;
		ASSERT_TRUE(write_file(self->fd, self->len, BEHIND));
	}
	self->p = map_alone(self->len, PROT_RW, variant->sharing, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, present_pages(self->p, self->len));
	ASSERT_TRUE(poke(&(char){ 0 }, 1));
	faults_so_far();
}

FIXTURE_TEARDOWN(madvise_populate)
{
}

/* Page faults of a one-byte access to each page. */
static long faults_of(FIXTURE_DATA(madvise_populate) * self,
		      struct fault (*access)(volatile void *))
{
	struct fault_count before = faults_so_far();
	struct fault_count after;

	for (size_t at = 0; at < self->len; at += self->ps)
		access(self->p + at);
	after = faults_so_far();
	return after.minor - before.minor + after.major - before.major;
}

static struct fault read_of(volatile void *p)
{
	return probe_read(p);
}

TEST_F(madvise_populate, populate_read_makes_pages_readable_without_a_fault)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_POPULATE_READ));

	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(0, faults_of(self, read_of));
	EXPECT_EQ(self->len, first_other(self->p, self->len, self->behind));
}

/* A private mapping of a file shows the file's own page until it is stored to. */
TEST_F(madvise_populate, populate_read_copies_nothing)
{
	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_POPULATE_READ));

	EXPECT_TRUE(is_present(self->p));
	EXPECT_EQ(0, smaps_kb(self->p, "Anonymous"));
	EXPECT_EQ(has_file(variant->backing) || variant->sharing == MAP_SHARED,
		  !!(pagemap_entry(self->p) & PAGEMAP_FILE));
}

TEST_F(madvise_populate, populate_write_makes_pages_writable_without_a_fault)
{
	bool own = variant->sharing == MAP_PRIVATE;

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_POPULATE_WRITE));

	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(self->len, first_other(self->p, self->len, self->behind));
	EXPECT_EQ(0, faults_of(self, probe_write));
	EXPECT_EQ(own ? (long)self->len / 1024 : 0,
		  smaps_kb(self->p, "Anonymous"));
}

TEST_F(madvise_populate, populate_write_of_a_part_leaves_the_rest)
{
	ACT(madvise);
	ASSERT_EQ(0,
		  madvise(self->p + self->ps, self->ps, MADV_POPULATE_WRITE));

	EXPECT_EQ(1, present_pages(self->p, self->len));
	EXPECT_TRUE(is_present(self->p + self->ps));
}

TEST_F(madvise_populate, populate_keeps_what_was_stored)
{
	ASSERT_TRUE(poke(self->p + self->ps, 7));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_POPULATE_WRITE));

	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(7, peek(self->p + self->ps));
	EXPECT_EQ(self->behind, peek(self->p));
}

TEST_F(madvise_populate, populate_without_permission_is_einval)
{
	ASSERT_EQ(0, mprotect(self->p, self->ps, PROT_NONE));
	ASSERT_EQ(0, mprotect(self->p + self->ps, self->ps, PROT_READ));

	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->ps, MADV_POPULATE_READ));
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->ps, MADV_POPULATE_WRITE));
	EXPECT_ERRNO(EINVAL, madvise(self->p + self->ps, self->ps,
				     MADV_POPULATE_WRITE));
	EXPECT_EQ(0, present_pages(self->p, self->len));
	EXPECT_EQ(0, madvise(self->p + self->ps, self->ps, MADV_POPULATE_READ));
	EXPECT_EQ(1, present_pages(self->p, self->len));
}

TEST_F(madvise_populate, populate_across_a_hole_is_enomem)
{
	ASSERT_EQ(0, munmap(self->p + self->ps, self->ps));

	ACT(madvise);
	EXPECT_ERRNO(ENOMEM, madvise(self->p, self->len, MADV_POPULATE_WRITE));
	EXPECT_TRUE(is_present(self->p));
	EXPECT_UNMAPPED(self->p + self->ps, self->ps);
}

TEST_F(madvise_populate, populate_past_the_end_of_a_file_is_efault)
{
	int err = has_file(variant->backing) ? EFAULT : 0;

	if (has_file(variant->backing))
		ASSERT_EQ(0, ftruncate(self->fd, self->ps));

	ACT(madvise);
	EXPECT_ERRNO(err, madvise(self->p, self->len, MADV_POPULATE_READ));
	EXPECT_EQ(err ? 1 : PAGES, present_pages(self->p, self->len));
}

TEST_F(madvise_populate, cold_pages_look_unused_and_stay)
{
	long all = (long)self->len / 1024;

	memset(self->p, 0x11, self->len);
	ASSERT_EQ(all, smaps_kb(self->p, "Referenced"));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_COLD));

	EXPECT_EQ(0, smaps_kb(self->p, "Referenced"));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(0x11, peek(self->p));
	EXPECT_EQ(all / PAGES, smaps_kb(self->p, "Referenced"));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
}

/* A file on a disk, clean, in the page cache, and mapped. */
FIXTURE(madvise_cache)
{
	size_t len;
	int fd;
	unsigned char *p;
};

FIXTURE_SETUP(madvise_cache)
{
	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	ASSERT_TRUE(stay_on_this_cpu());
	self->len = PAGES * page_size();
	self->fd = backing_open(DISK, self->len);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(write_file(self->fd, self->len, BEHIND));
	ASSERT_EQ(0, fsync(self->fd));
	self->p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(PAGES, resident_pages(self->p, self->len));
}

FIXTURE_TEARDOWN(madvise_cache)
{
}

#define DEADLINE_SECONDS 10

/* Does it become true that all pages are in the cache? */
static bool become_resident(const void *p, size_t len)
{
	time_t deadline = time(NULL) + DEADLINE_SECONDS;

	while (resident_pages(p, len) < len / page_size()) {
		if (time(NULL) > deadline)
			return false;
		usleep(1000);
	}
	return true;
}

TEST_F(madvise_cache, willneed_reads_a_file_ahead_and_maps_nothing)
{
	struct fault_count before, after;

	ASSERT_TRUE(drop_cache(self->fd, self->len));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_WILLNEED));

	EXPECT_TRUE(become_resident(self->p, self->len));
	EXPECT_EQ(0, present_pages(self->p, self->len));
	before = faults_so_far();
	EXPECT_EQ(self->len, first_other(self->p, self->len, BEHIND));
	after = faults_so_far();
	EXPECT_EQ(before.major, after.major);
}

TEST_F(madvise_cache, pageout_takes_clean_pages_out_of_the_cache)
{
	EXPECT_EQ(self->len, first_other(self->p, self->len, BEHIND));
	ASSERT_EQ(PAGES, present_pages(self->p, self->len));

	ACT(madvise);
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_PAGEOUT));

	EXPECT_EQ(0, present_pages(self->p, self->len));
	EXPECT_EQ(0, resident_pages(self->p, self->len));
	EXPECT_EQ(self->len, first_other(self->p, self->len, BEHIND));
}

TEST_HARNESS_MAIN
