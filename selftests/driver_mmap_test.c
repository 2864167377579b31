// SPDX-License-Identifier: GPL-2.0
/*
 * A mapping of a driver's object is the bytes that were asked for and no others:
 * the whole, each part at its own offset, and nothing on either side of it, by
 * whatever sum of offset and length (mmap(2); the contract of each adapter in
 * drivers/).
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

DRIVER_FIXTURE(driver_mmap, all_drivers);

SEEN_TO_FAIL(whole_object_is_mapped_page_by_page, first_page_everywhere);
TEST_F(driver_mmap, whole_object_is_mapped_page_by_page)
{
	unsigned char *p;

	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mmap);
	p = driver_map(DRIVER(self), self->len, 0);
	ASSERT_MAPPED(p, self->len);

	for (size_t at = 0; at < self->len; at += self->ps)
		EXPECT_TRUE(driver_shows(DRIVER(self), p + at, at / self->ps));
}

/* The last page alone, whose neighbour before it is the rest. */
SEEN_TO_FAIL(part_starts_at_its_offset, offset_ignored);
TEST_F(driver_mmap, part_starts_at_its_offset)
{
	size_t at = self->len - self->ps;
	unsigned char *p;
	int err;

	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mmap);
	p = driver_map(DRIVER(self), self->ps, at);
	EXPECT_PROMISED(at ? self->driver->part : 0, err, p);
	if (!err) {
		ASSERT_MAPPED(p, self->ps);
		EXPECT_TRUE(driver_shows(DRIVER(self), p, at / self->ps));
	}
}

SEEN_TO_FAIL(part_before_the_end_is_mapped, end_is_too_early);
TEST_F(driver_mmap, part_before_the_end_is_mapped)
{
	size_t at = self->len > self->ps ? self->ps : 0;
	unsigned char *p;
	int err;

	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mmap);
	p = driver_map(DRIVER(self), self->len - at, at);
	EXPECT_PROMISED(at ? self->driver->part : 0, err, p);
	if (!err) {
		ASSERT_MAPPED(p, self->len - at);
		for (; at < self->len; at += self->ps, p += self->ps)
			EXPECT_TRUE(
				driver_shows(DRIVER(self), p, at / self->ps));
	}
}

/*
 * A range outside of the object, at its byte @outside: refused, without a mapping
 * that is left, or SIGBUS where it is outside. Then the whole is mapped: who
 * refuses everything checks nothing.
 */
#define EXPECT_OUTSIDE(length, at, outside)                                    \
	do {                                                                   \
		unsigned char *__p = driver_map(DRIVER(self), length, at);     \
		int __err;                                                     \
                                                                               \
		/* The core may be the first to refuse: file_mmap_ok(). */     \
		__err = errno_of(__p);                                         \
		if (__err != EOVERFLOW)                                        \
			EXPECT_PROMISED(self->driver->past_end, __err, __p);   \
		EXPECT_EQ(__err ? 0 : !!self->driver->mappings,                \
			  driver_mappings(DRIVER(self)));                      \
		if (!__err)                                                    \
			EXPECT_FAULT(SIGBUS, BUS_ADRERR, __p + (outside),      \
				     probe_read(__p + (outside)));             \
		EXPECT_MAPPED(driver_map(DRIVER(self), self->len, 0),          \
			      self->len);                                      \
	} while (0)

SEEN_TO_FAIL(map_past_the_end_fails, end_is_too_late);
TEST_F(driver_mmap, map_past_the_end_fails)
{
	ACT(mmap);
	EXPECT_OUTSIDE(self->len + self->ps, 0, self->len);
}

SEEN_TO_FAIL(map_past_the_end_at_an_offset_fails, offset_not_checked);
TEST_F(driver_mmap, map_past_the_end_at_an_offset_fails)
{
	ACT(mmap);
	EXPECT_OUTSIDE(self->len, self->ps, self->len - self->ps);
}

SEEN_TO_FAIL(map_behind_the_end_fails, offset_not_checked);
TEST_F(driver_mmap, map_behind_the_end_fails)
{
	ACT(mmap);
	EXPECT_OUTSIDE(self->ps, self->len, 0);
}

/* Behind it mmap() takes no offset: 2^32 pages with 32 bits, 2^64 bytes else. */
static off_t end_of_offsets(size_t ps)
{
	return sizeof(long) < sizeof(off_t) ? (off_t)ps << 32 : 0;
}

/* Offset and length add up to something negative. */
SEEN_TO_FAIL(map_at_the_last_offset_fails, offset_is_signed);
TEST_F(driver_mmap, map_at_the_last_offset_fails)
{
	off_t last = end_of_offsets(self->ps) - 2 * (off_t)self->ps;

	ACT(mmap);
	EXPECT_OUTSIDE(self->ps, last - self->object.offset, 0);
}

/* A page before the object: for most, the other end of all offsets. */
SEEN_TO_FAIL(map_from_before_the_start_fails, offset_is_signed);
TEST_F(driver_mmap, map_from_before_the_start_fails)
{
	off_t start = end_of_offsets(self->ps) - (off_t)(self->len + self->ps);

	ACT(mmap);
	EXPECT_OUTSIDE(self->len, start, 0);
}

/* What 32 bits leave of the offset is a good one. */
SEEN_TO_FAIL(map_4_gib_further_fails, offset_in_32_bits);
TEST_F(driver_mmap, map_4_gib_further_fails)
{
	ACT(mmap);
	EXPECT_OUTSIDE(self->ps, UINT64_C(1) << 32, 0);
}

/* And of the length; an address space of 32 bits has no room for it. */
SEEN_TO_FAIL(map_of_4_gib_more_fails, size_in_32_bits);
TEST_F(driver_mmap, map_of_4_gib_more_fails)
{
	size_t more =
		sizeof(size_t) > 4 ? (size_t)(UINT64_C(1) << 32) : self->ps;

	ACT(mmap);
	EXPECT_OUTSIDE(more + self->len, 0, self->len);
}

SEEN_TO_FAIL(refusal_says_its_own_errno, other_errno);
TEST_F(driver_mmap, refusal_says_its_own_errno)
{
	ACT(mmap);
	EXPECT_OUTSIDE(2 * self->len, self->len, 0);
}

/* mmap() returns an address or MAP_FAILED, and an errno is neither. */
SEEN_TO_FAIL(refusal_gives_no_address, positive_errno);
TEST_F(driver_mmap, refusal_gives_no_address)
{
	unsigned char *p;

	ACT(mmap);
	p = driver_map(DRIVER(self), self->len + self->ps, 0);
	if (p != MAP_FAILED)
		ASSERT_MAPPED(p, self->len);
	EXPECT_MAPPED(driver_map(DRIVER(self), self->len, 0), self->len);
}

SEEN_TO_FAIL(second_mapping_is_the_same_memory, page_of_its_own);
TEST_F(driver_mmap, second_mapping_is_the_same_memory)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *q;
	int err;

	ASSERT_MAPPED(p, self->len);

	ACT(mmap);
	q = driver_map(DRIVER(self), self->len, 0);
	EXPECT_PROMISED(self->driver->second, err, q);
	if (!err) {
		ASSERT_MAPPED(q, self->len);
		ASSERT_TRUE(driver_fill(DRIVER(self)));
		EXPECT_TRUE(driver_shows(DRIVER(self), p, 0));
		EXPECT_TRUE(driver_shows(DRIVER(self), q, 0));
	}
}

TEST_HARNESS_MAIN
