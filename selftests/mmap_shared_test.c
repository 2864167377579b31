// SPDX-License-Identifier: GPL-2.0
/*
 * Who sees a store (mmap(2), fork(2)): through MAP_SHARED every mapping, every
 * process and read(); through MAP_PRIVATE nobody else. A mapping shows what
 * read() gives, byte for byte, and fresh memory holds nobody's data.
 */
#include "memsafe.h"

/* One page that a child inherits. */
FIXTURE(forked)
{
	size_t ps;
	int fd;
	int gate[2]; /* a pipe that the child waits on */
	unsigned char *page;
};

FIXTURE_VARIANT(forked)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(forked, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(forked, zero)
{
	.backing = ZERO,
};

FIXTURE_VARIANT_ADD(forked, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(forked, file)
{
	.backing = DISK,
};

FIXTURE_SETUP(forked)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->fd = backing_open(variant->backing, self->ps);
	ASSERT_NE(-2, self->fd);
	ASSERT_EQ(0, pipe(self->gate));
}

FIXTURE_TEARDOWN(forked)
{
}

/* Waits until the parent opens the gate. */
static int load_after_gate(void *arg)
{
	FIXTURE_DATA(forked) *self = arg;
	char c;

	if (read(self->gate[0], &c, 1) != 1)
		return 255;
	return peek(self->page);
}

TEST_F(forked, shared_store_of_a_child_is_seen)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(self->page, self->ps);

	EXPECT_EQ(7, in_child(store_seven, self->page));
	EXPECT_EQ(7, peek(self->page));
}

TEST_F(forked, shared_store_is_seen_by_a_child)
{
	pid_t child;

	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(self->page, self->ps);

	child = child_start(load_after_gate, self);
	EXPECT_TRUE(poke(self->page, 7));
	EXPECT_EQ(1, write(self->gate[1], "", 1));
	EXPECT_EQ(7, child_end(child));
}

TEST_F(forked, private_store_of_a_child_stays_there)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(self->page, self->ps);
	ASSERT_TRUE(poke(self->page, 5));

	EXPECT_EQ(7, in_child(store_seven, self->page));
	EXPECT_EQ(5, peek(self->page));
}

TEST_F(forked, private_store_is_not_seen_by_a_child)
{
	pid_t child;

	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(self->page, self->ps);
	ASSERT_TRUE(poke(self->page, 5));

	child = child_start(load_after_gate, self);
	EXPECT_TRUE(poke(self->page, 7));
	EXPECT_EQ(1, write(self->gate[1], "", 1));
	EXPECT_EQ(5, child_end(child));
}

/* Pages no one wrote to before the fork are private too. */
TEST_F(forked, untouched_private_page_is_private_to_a_child)
{
	ACT(mmap);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(self->page, self->ps);

	EXPECT_EQ(7, in_child(store_seven, self->page));
	EXPECT_EQ(self->ps, first_nonzero(self->page, self->ps));
}

static int map_and_store(void *p)
{
	size_t ps = page_size();

	if (mmap(p, ps, PROT_RW,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != p)
		return 255;
	return store_seven(p);
}

/* A mapping belongs to the process that makes it, be it shared. */
TEST_F(forked, mapping_of_a_child_is_not_in_its_parent)
{
	unsigned char *p = free_range(self->ps, self->ps);

	ASSERT_NE(MAP_FAILED, p);

	ACT(mmap);
	ASSERT_EQ(7, in_child(map_and_store, p));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_read(p));
}

/* Three pages of fill(..., SEED). */
#define SEED 0x5a

FIXTURE(file_map)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *read_back; /* memory for what read() gives */
};

FIXTURE_VARIANT(file_map)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(file_map, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(file_map, file)
{
	.backing = DISK,
};

FIXTURE_SETUP(file_map)
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

FIXTURE_TEARDOWN(file_map)
{
}

TEST_F(file_map, mapping_shows_what_was_written)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_READ, MAP_SHARED, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(self->len, first_difference(p, self->len, SEED));
}

TEST_F(file_map, private_mapping_shows_what_was_written)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_READ, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(self->len, first_difference(p, self->len, SEED));
}

TEST_F(file_map, read_gives_what_was_stored)
{
	unsigned char *p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	fill(p, self->len, ~SEED);

	ACT(pread64);
	EXPECT_EQ(self->len, pread(self->fd, self->read_back, self->len, 0));
	EXPECT_EQ(self->len,
		  first_difference(self->read_back, self->len, ~SEED));
}

TEST_F(file_map, write_is_seen_through_the_mapping)
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

TEST_F(file_map, store_is_seen_through_a_second_mapping)
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

TEST_F(file_map, offset_maps_the_page_at_that_offset)
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

TEST_F(file_map, private_store_leaves_the_file_alone)
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

TEST_F(file_map, private_store_is_not_seen_through_a_shared_mapping)
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
TEST_F(file_map, private_page_keeps_its_data_after_a_store)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	fill(p, self->ps, ~SEED);
	ASSERT_EQ(self->ps, pwrite(self->fd, self->read_back, self->ps, 0));
	EXPECT_EQ(self->ps, first_difference(p, self->ps, ~SEED));
}

TEST_F(file_map, mapping_outlives_its_descriptor)
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

TEST_F(file_map, shared_store_outlives_its_mapping)
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

/* Enough pages that some of those just freed come back. */
#define SECRET_PAGES 256

TEST(fresh_memory_is_zero_after_a_secret_was_there)
{
	size_t len = SECRET_PAGES * page_size();
	unsigned char *p =
		mmap(NULL, len, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0xa5, len);
	ASSERT_EQ(0, munmap(p, len));

	ACT(mmap);
	p = mmap(NULL, len, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(p, len);

	EXPECT_EQ(len, first_nonzero(p, len));
}

TEST_HARNESS_MAIN
