// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a mapping: it holds what it shows, whatever becomes of the descriptor,
 * of its other half, of a child's copy or of its address (mmap(2), munmap(2),
 * fork(2), mremap(2)).
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

DRIVER_FIXTURE(driver_life, all_drivers);

/* Not before: a page that was there could hide that the object has gone. */
#define EXPECT_SHOWN(p, from)                                                  \
	for (size_t __at = (from); __at < self->len; __at += self->ps)         \
	EXPECT_TRUE(driver_shows(DRIVER(self), (p) + __at, __at / self->ps))

SEEN_TO_FAIL(mapping_outlives_its_descriptor, gone_after_close);
TEST_F(driver_life, mapping_outlives_its_descriptor)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));
	driver_release(DRIVER(self));

	ACT(munmap);
	EXPECT_SHOWN(p, 0);
	EXPECT_EQ(0, munmap(p, self->len));
	EXPECT_UNMAPPED(p, self->len);
}

static int read_byte(void *p)
{
	return peek(p) >= 0;
}

SEEN_TO_FAIL(child_has_the_mapping_or_not, not_in_child);
TEST_F(driver_life, child_has_the_mapping_or_not)
{
	bool has = !(self->driver->flags & DRIVER_NOT_IN_CHILD);
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);

	ASSERT_MAPPED(p, self->len);

	ACT(clone);
	EXPECT_EQ(has, in_child(read_byte, p));
	EXPECT_EQ(!!self->driver->mappings, driver_mappings(DRIVER(self)));
}

struct range {
	void *p;
	size_t len;
};

static int unmap_range(void *arg)
{
	struct range *range = arg;

	return munmap(range->p, range->len);
}

SEEN_TO_FAIL(mapping_stays_when_a_child_unmaps_its_own, gone_after_munmap);
TEST_F(driver_life, mapping_stays_when_a_child_unmaps_its_own)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	struct range range = {p, self->len};

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(clone);
	EXPECT_EQ(0, in_child(unmap_range, &range));
	EXPECT_SHOWN(p, 0);
}

static int wait_for_ever(void *arg)
{
	(void)arg;
	while (pause())
		;
	return 0;
}

SEEN_TO_FAIL(killed_child_takes_nothing_along, gone_after_munmap);
TEST_F(driver_life, killed_child_takes_nothing_along)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	pid_t child = child_start(wait_for_ever, NULL);

	ASSERT_MAPPED(p, self->len);
	ASSERT_NE(NO_CHILD, child);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(munmap);
	kill(child, SIGKILL);
	EXPECT_EQ(-SIGKILL, child_end(child));
	EXPECT_SHOWN(p, 0);
	EXPECT_EQ(0, munmap(p, self->len));
	EXPECT_UNMAPPED(p, self->len);
	EXPECT_EQ(0, driver_mappings(DRIVER(self)));
}

/* | 0 | 1 | 2 | 3 |, of which the first page goes */
SEEN_TO_FAIL(part_goes_or_all_stays, splits);
TEST_F(driver_life, part_goes_or_all_stays)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	int split = self->len > self->ps ? self->driver->split : 0;
	int err;

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(munmap);
	EXPECT_PROMISED(split, err, munmap(p, self->ps));
	if (!err)
		EXPECT_UNMAPPED(p, self->ps);
	EXPECT_SHOWN(p, err ? 0 : self->ps);
	EXPECT_EQ(0, munmap(p, self->len));
	EXPECT_UNMAPPED(p, self->len);
	EXPECT_EQ(0, driver_mappings(DRIVER(self)));
}

/* The last page goes first, and the rest still has the object. */
SEEN_TO_FAIL(rest_stays_when_the_end_goes, gone_after_munmap);
TEST_F(driver_life, rest_stays_when_the_end_goes)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	int split = self->len > self->ps ? self->driver->split : 0;
	size_t last = self->len - self->ps;
	int err;

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(munmap);
	EXPECT_PROMISED(split, err, munmap(p + last, self->ps));
	if (!err)
		EXPECT_UNMAPPED(p + last, self->ps);
	for (size_t at = 0; at < last; at += self->ps)
		EXPECT_TRUE(driver_shows(DRIVER(self), p + at, at / self->ps));
	EXPECT_EQ(0, munmap(p, self->len));
	EXPECT_UNMAPPED(p, self->len);
}

/* Each page becomes a mapping of its own, at the same place in the object. */
SEEN_TO_FAIL(split_mapping_keeps_its_place, offset_from_the_mapping);
TEST_F(driver_life, split_mapping_keeps_its_place)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *last = p + self->len - self->ps;
	int split = self->len > self->ps ? self->driver->split : 0;
	int err;

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mprotect);
	EXPECT_PROMISED(split, err, mprotect(last, self->ps, PROT_NONE));
	if (!err) {
		EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, last, probe_read(last));
		EXPECT_EQ(0, mprotect(last, self->ps, PROT_READ));
	}
	EXPECT_SHOWN(p, 0);
}

SEEN_TO_FAIL(moved_mapping_is_the_same_memory, moves);
TEST_F(driver_life, moved_mapping_is_the_same_memory)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *to = free_range(self->len, self->ps);
	int err;

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mremap);
	EXPECT_PROMISED(self->driver->move, err,
			mremap(p, self->len, self->len,
			       MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_MAPPED(err ? p : to, self->len);
	EXPECT_UNMAPPED(err ? to : p, self->len);
	EXPECT_SHOWN(err ? p : to, 0);
}

SEEN_TO_FAIL(content_survives_munmap, page_of_its_own);
TEST_F(driver_life, content_survives_munmap)
{
	unsigned char *p;

	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(munmap);
	for (int round = 0; round < 2; round++) {
		p = driver_map(DRIVER(self), self->len, 0);
		ASSERT_MAPPED(p, self->len);
		EXPECT_SHOWN(p, 0);
		EXPECT_EQ(0, munmap(p, self->len));
		EXPECT_UNMAPPED(p, self->len);
	}
}

TEST_HARNESS_MAIN
