// SPDX-License-Identifier: GPL-2.0
/*
 * A file and its mappings (mmap(2)): a mapping shows what read() gives, byte for
 * byte, and a store is seen by read() and by every other mapping, or by nobody
 * through MAP_PRIVATE.
 */
#include "memsafe.h"

/* Three pages of fill(..., SEED). */
#define SEED 0x5a

FIXTURE(mmap_file)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *read_back; /* memory for what read() gives */
};

FIXTURE_VARIANT(mmap_file)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(mmap_file, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(mmap_file, file)
{
	.backing = DISK,
};

FIXTURE_SETUP(mmap_file)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = 3 * self->ps;
	self->fd = backing_open(variant->backing, self->len);
	ASSERT_LE(0, self->fd);
	self->read_back = malloc(self->len);
	ASSERT_NE(NULL, self->read_back);
	fill(self->read_back, self->len, SEED);
	ASSERT_EQ(self->len, pwrite(self->fd, self->read_back, self->len, 0));
	memset(self->read_back, 0, self->len);
}

FIXTURE_TEARDOWN(mmap_file)
{
}

TEST_F(mmap_file, mapping_shows_what_was_written)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_READ, MAP_SHARED, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(self->len, first_difference(p, self->len, SEED));
}

TEST_F(mmap_file, private_mapping_shows_what_was_written)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_READ, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(self->len, first_difference(p, self->len, SEED));
}

TEST_F(mmap_file, read_gives_what_was_stored)
{
	unsigned char *p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	fill(p, self->len, ~SEED);

	ACT(pread64);
	EXPECT_EQ(self->len, pread(self->fd, self->read_back, self->len, 0));
	EXPECT_EQ(self->len,
		  first_difference(self->read_back, self->len, ~SEED));
}

TEST_F(mmap_file, write_is_seen_through_the_mapping)
{
	unsigned char *p =
		map_alone(self->len, PROT_READ, MAP_SHARED, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(self->len, first_difference(p, self->len, SEED));
	fill(self->read_back, self->len, ~SEED);

	ACT(pwrite64);
	EXPECT_EQ(self->len, pwrite(self->fd, self->read_back, self->len, 0));
	EXPECT_EQ(self->len, first_difference(p, self->len, ~SEED));
}

/* O_DIRECT goes around the page cache, which the mapping shows. */
TEST_F(mmap_file, direct_write_is_seen_through_the_mapping)
{
	void *data = aligned_alloc(self->ps, self->len);
	unsigned char *p =
		map_alone(self->len, PROT_READ, MAP_SHARED, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(NULL, data);
	ASSERT_EQ(self->len, first_difference(p, self->len, SEED));
	fill(data, self->len, ~SEED);
	ASSERT_EQ(0, fsync(self->fd));
	if (fcntl(self->fd, F_SETFL, O_DIRECT))
		SKIP(return, "needs a file system with O_DIRECT");

	ACT(pwrite64);
	EXPECT_EQ(self->len, pwrite(self->fd, data, self->len, 0));
	EXPECT_EQ(self->len, first_difference(p, self->len, ~SEED));
}

TEST_F(mmap_file, store_is_seen_through_a_second_mapping)
{
	unsigned char *p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	unsigned char *q;

	ASSERT_NE(MAP_FAILED, p);

	ACT(mmap);
	q = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(q, self->len);

	EXPECT_TRUE(poke(p + self->ps, 7));
	EXPECT_EQ(7, peek(q + self->ps));
	EXPECT_TRUE(poke(q + self->ps, 8));
	EXPECT_EQ(8, peek(p + self->ps));
}

TEST_F(mmap_file, offset_maps_the_page_at_that_offset)
{
	unsigned char *p;
	struct vma vma;

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 2 * self->ps);
	ASSERT_MAPPED(p, self->ps);

	ASSERT_TRUE(find_vma(p, &vma));
	EXPECT_EQ(2 * self->ps, vma.offset);
	EXPECT_TRUE(poke(p + 1, 7));
	EXPECT_EQ(self->len, pread(self->fd, self->read_back, self->len, 0));
	EXPECT_EQ(2 * self->ps + 1,
		  first_difference(self->read_back, self->len, SEED));
	EXPECT_EQ(7, self->read_back[2 * self->ps + 1]);
}

TEST_F(mmap_file, private_store_leaves_the_file_alone)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	fill(p, self->len, ~SEED);
	EXPECT_EQ(self->len, first_difference(p, self->len, ~SEED));
	EXPECT_EQ(self->len, pread(self->fd, self->read_back, self->len, 0));
	EXPECT_EQ(self->len,
		  first_difference(self->read_back, self->len, SEED));
}

/* What was only read is the page of the file until then. */
TEST_F(mmap_file, private_store_after_a_load_leaves_the_file_alone)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);
	ASSERT_EQ(self->len, first_difference(p, self->len, SEED));

	fill(p, self->len, ~SEED);
	EXPECT_EQ(self->len, first_difference(p, self->len, ~SEED));
	EXPECT_EQ(self->len, pread(self->fd, self->read_back, self->len, 0));
	EXPECT_EQ(self->len,
		  first_difference(self->read_back, self->len, SEED));
}

TEST_F(mmap_file, private_store_is_not_seen_through_a_shared_mapping)
{
	unsigned char *shared =
		map_alone(self->len, PROT_READ, MAP_SHARED, self->fd);
	unsigned char *p;

	ASSERT_NE(MAP_FAILED, shared);

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	fill(p, self->len, ~SEED);
	EXPECT_EQ(self->len, first_difference(shared, self->len, SEED));
	EXPECT_FALSE(pagemap_entry(p) & PAGEMAP_FILE);
	EXPECT_TRUE(pagemap_entry(shared) & PAGEMAP_FILE);
}

/* Only then: mmap(2) leaves open what a page not stored to shows. */
TEST_F(mmap_file, private_page_keeps_its_data_after_a_store)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	fill(p, self->ps, ~SEED);
	ASSERT_EQ(self->ps, pwrite(self->fd, self->read_back, self->ps, 0));
	EXPECT_EQ(self->ps, first_difference(p, self->ps, ~SEED));
}

TEST_F(mmap_file, mapping_outlives_its_descriptor)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(p, self->len);
	ASSERT_EQ(0, close(self->fd));

	EXPECT_EQ(self->len, first_difference(p, self->len, SEED));
	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(7, peek(p));
}

TEST_F(mmap_file, shared_store_outlives_its_mapping)
{
	unsigned char *p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	fill(p, self->len, ~SEED);

	ACT(munmap);
	ASSERT_EQ(0, munmap(p, self->len));

	EXPECT_UNMAPPED(p, self->len);
	EXPECT_EQ(self->len, pread(self->fd, self->read_back, self->len, 0));
	EXPECT_EQ(self->len,
		  first_difference(self->read_back, self->len, ~SEED));
}

TEST_HARNESS_MAIN
