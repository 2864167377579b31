// SPDX-License-Identifier: GPL-2.0
/*
 * A file mapping and the end of its file (mmap(2), ftruncate(2)): the page
 * that the end lies in is zero behind it, whole pages behind it are SIGBUS
 * with BUS_ADRERR and the exact address, and truncate, extend and punch take
 * effect under the mapping.
 */
#include "memsafe.h"

/* Bytes of the file in its last page. */
#define TAIL 100

/*
 *	| page 0 | page 1 | TAIL bytes, then zeros | past the end |
 *	^shared                   ^end of file     ^past
 *
 * Page 0 and 1 are 0x11 throughout, the TAIL bytes are 0x22.
 */
FIXTURE(mmap_eof)
{
	size_t ps;
	size_t len; /* of the mapping */
	size_t size; /* of the file */
	int fd;
	unsigned char *shared;
	unsigned char *past;
};

FIXTURE_VARIANT(mmap_eof)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(mmap_eof, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(mmap_eof, file)
{
	.backing = DISK,
};

FIXTURE_SETUP(mmap_eof)
{
	const char *needs = backing_needs(variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = 4 * self->ps;
	self->size = 2 * self->ps + TAIL;
	self->fd = backing_open(variant->backing, self->size);
	ASSERT_LE(0, self->fd);
	self->shared = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->shared);
	self->past = self->shared + 3 * self->ps;
	memset(self->shared, 0x11, 2 * self->ps);
	memset(self->shared + 2 * self->ps, 0x22, TAIL);
}

FIXTURE_TEARDOWN(mmap_eof)
{
}

TEST_F(mmap_eof, page_past_the_end_is_sigbus)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(p, self->len);
	p += 3 * self->ps;

	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p, probe_read(p));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p + TAIL, probe_write(p + TAIL));
	EXPECT_EQ(0, peek(p - 1));
}

TEST_F(mmap_eof, private_page_past_the_end_is_sigbus)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->len);
	p += 3 * self->ps;

	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p, probe_read(p));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p + TAIL, probe_write(p + TAIL));
	EXPECT_EQ(0, peek(p - 1));
}

TEST_F(mmap_eof, rest_of_the_last_page_is_zero)
{
	unsigned char *p;

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 2 * self->ps);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_EQ(TAIL, first_other(p, self->ps, 0x22));
	EXPECT_EQ(self->ps - TAIL, first_nonzero(p + TAIL, self->ps - TAIL));
}

TEST_F(mmap_eof, store_behind_the_end_does_not_reach_the_file)
{
	unsigned char *p;
	char byte;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_SHARED, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_TRUE(poke(p + self->size, 7));
	EXPECT_EQ(7, peek(p + self->size));
	EXPECT_EQ(0, pread(self->fd, &byte, 1, self->size));
	EXPECT_EQ(self->size, lseek(self->fd, 0, SEEK_END));
}

TEST_F(mmap_eof, population_stops_at_the_end)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->len, PROT_RW, MAP_SHARED | MAP_POPULATE, self->fd);
	ASSERT_MAPPED(p, self->len);

	EXPECT_TRUE(is_present(p));
	EXPECT_TRUE(is_present(p + 2 * self->ps));
	EXPECT_FALSE(is_present(p + 3 * self->ps));
}

TEST_F(mmap_eof, mapping_wholly_past_the_end_is_sigbus)
{
	unsigned char *p;

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 8 * self->ps);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p, probe_read(p));
	ASSERT_EQ(0, ftruncate(self->fd, 9 * self->ps));
	EXPECT_EQ(0, peek(p));
}

TEST_F(mmap_eof, past_the_end_as_buffer_is_efault)
{
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(1, write(fds[1], "x", 1));

	ACT(read);
	EXPECT_ERRNO(EFAULT, read(fds[0], self->past, 1));
	EXPECT_ERRNO(EFAULT, write(fds[1], self->past, 1));
	EXPECT_EQ(1, read(fds[0], self->shared, 1));
	EXPECT_EQ('x', peek(self->shared));
}

TEST_F(mmap_eof, truncation_takes_mapped_pages_away)
{
	unsigned char *gone = self->shared + self->ps;

	ACT(ftruncate);
	ASSERT_EQ(0, ftruncate(self->fd, self->ps));

	EXPECT_FAULT(SIGBUS, BUS_ADRERR, gone, probe_read(gone));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, gone + 1, probe_write(gone + 1));
	EXPECT_EQ(0x11, peek(gone - 1));
	EXPECT_EQ(1, count_vmas(self->shared, self->len));
}

TEST_F(mmap_eof, truncation_inside_a_page_zeroes_its_rest)
{
	unsigned char *page = self->shared + self->ps;

	ACT(ftruncate);
	ASSERT_EQ(0, ftruncate(self->fd, self->ps + TAIL));

	EXPECT_EQ(TAIL, first_other(page, self->ps, 0x11));
	EXPECT_EQ(self->ps - TAIL, first_nonzero(page + TAIL, self->ps - TAIL));
}

TEST_F(mmap_eof, truncated_data_does_not_come_back)
{
	unsigned char *gone = self->shared + self->ps;

	ACT(ftruncate);
	ASSERT_EQ(0, ftruncate(self->fd, self->ps));
	ASSERT_EQ(0, ftruncate(self->fd, self->size));

	EXPECT_EQ(2 * self->ps, first_nonzero(gone, 2 * self->ps));
	EXPECT_EQ(0x11, peek(gone - 1));
}

TEST_F(mmap_eof, truncation_takes_private_copies_away)
{
	unsigned char *p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p + self->ps, 7));

	ACT(ftruncate);
	ASSERT_EQ(0, ftruncate(self->fd, self->ps));

	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p + self->ps,
		     probe_read(p + self->ps));
	EXPECT_EQ(0x11, peek(p));
}

TEST_F(mmap_eof, extension_makes_the_mapping_usable)
{
	ASSERT_FAULT(SIGBUS, BUS_ADRERR, self->past, probe_read(self->past));

	ACT(ftruncate);
	ASSERT_EQ(0, ftruncate(self->fd, self->len));

	EXPECT_EQ(0, peek(self->past));
	EXPECT_TRUE(poke(self->past, 7));
	EXPECT_EQ(7, peek(self->past));
}

TEST_F(mmap_eof, punched_hole_reads_as_zeros)
{
	unsigned char *hole = self->shared + self->ps;

	ACT(fallocate);
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       self->ps, self->ps));

	EXPECT_EQ(self->ps, first_nonzero(hole, self->ps));
	EXPECT_EQ(0x11, peek(hole - 1));
	EXPECT_EQ(0x22, peek(hole + self->ps));
}

/* Unlike truncation: a hole is no end of the file. */
TEST_F(mmap_eof, punched_hole_spares_private_copies)
{
	unsigned char *p = map_alone(self->len, PROT_RW, MAP_PRIVATE, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p + self->ps, 7));

	ACT(fallocate);
	ASSERT_EQ(0, fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       2 * self->ps));

	EXPECT_EQ(7, peek(p + self->ps));
	EXPECT_EQ(0, peek(self->shared + self->ps));
}

TEST_HARNESS_MAIN
