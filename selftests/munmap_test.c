// SPDX-License-Identifier: GPL-2.0
/*
 * munmap(2): whole pages of exactly the range go, whatever mappings they
 * belong to, holes are no error, and what is left keeps its data and offset.
 */
#include "memsafe.h"

#define SEED 0x5a

/*
 *	| hole | page 0 | page 1 | page 2 | page 3 | hole |
 *	       ^p, filled with fill(SEED)
 */
FIXTURE(munmap)
{
	size_t ps;
	size_t len;
	unsigned char *p;
};

FIXTURE_VARIANT(munmap)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(munmap, anon)
{
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(munmap, shmem)
{
	.backing = SHMEM,
};

FIXTURE_SETUP(munmap)
{
	int fd;

	self->ps = page_size();
	self->len = 4 * self->ps;
	fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, fd);
	self->p = map_alone(self->len, PROT_RW,
			    backing_flags(variant->backing, MAP_SHARED), fd);
	ASSERT_NE(MAP_FAILED, self->p);
	fill(self->p, self->len, SEED);
}

FIXTURE_TEARDOWN(munmap)
{
}

TEST_F(munmap, middle_goes_and_both_ends_stay)
{
	unsigned char *gone = self->p + self->ps;
	unsigned char *end = gone + 2 * self->ps;

	ACT(munmap);
	ASSERT_EQ(0, munmap(gone, 2 * self->ps));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, gone, probe_read(gone));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, end - 1, probe_write(end - 1));
	EXPECT_EQ(self->ps, first_difference(self->p, self->ps, SEED));
	EXPECT_NO_FAULT(probe_write(end));
	EXPECT_EQ(2, count_vmas(self->p, self->len));
}

/* What a file page shows depends on it: checked by content and by /proc. */
TEST_F(munmap, upper_part_keeps_its_offset)
{
	unsigned char *rest = self->p + 3 * self->ps;
	unsigned char first = *rest;
	struct vma whole, vma;

	ASSERT_TRUE(find_vma(self->p, &whole));

	ACT(munmap);
	ASSERT_EQ(0, munmap(self->p, 3 * self->ps));

	ASSERT_TRUE(find_vma(rest, &vma));
	EXPECT_EQ((uintptr_t)rest, vma.start);
	EXPECT_EQ(whole.end, vma.end);
	EXPECT_EQ(whole.offset + 3 * self->ps, vma.offset);
	EXPECT_EQ(first, peek(rest));
}

TEST_F(munmap, length_is_rounded_up)
{
	unsigned char *next = self->p + self->ps;

	ACT(munmap);
	ASSERT_EQ(0, munmap(self->p, 1));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, next - 1, probe_read(next - 1));
	EXPECT_NO_FAULT(probe_read(next));
}

TEST_F(munmap, range_with_a_hole_is_unmapped)
{
	ASSERT_EQ(0, munmap(self->p + self->ps, self->ps));

	ACT(munmap);
	EXPECT_EQ(0, munmap(self->p, self->len));
	EXPECT_UNMAPPED(self->p, self->len);
}

TEST_F(munmap, several_mappings_go_at_once)
{
	ASSERT_EQ(0, mprotect(self->p + self->ps, self->ps, PROT_READ));
	ASSERT_EQ(3, count_vmas(self->p, self->len));

	ACT(munmap);
	EXPECT_EQ(0, munmap(self->p, self->len));
	EXPECT_UNMAPPED(self->p, self->len);
}

TEST_F(munmap, address_space_shrinks_by_the_range)
{
	long size = vm_status_kb("VmSize");

	ACT(munmap);
	ASSERT_EQ(0, munmap(self->p, 3 * self->ps));

	EXPECT_EQ(size - 3 * (long)self->ps / 1024, vm_status_kb("VmSize"));
	EXPECT_EQ((long)self->ps / 1024,
		  smaps_kb(self->p + 3 * self->ps, "Size"));
}

static int unmap_and_read(void *arg)
{
	FIXTURE_DATA(munmap) *self = arg;

	munmap(self->p, self->len);
	return probe_read(self->p).signal;
}

TEST_F(munmap, child_that_unmaps_leaves_its_parent_alone)
{
	ACT(munmap);
	EXPECT_EQ(SIGSEGV, in_child(unmap_and_read, self));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

TEST_F(munmap, address_inside_a_page_is_einval)
{
	ACT(munmap);
	EXPECT_ERRNO(EINVAL, munmap(self->p + 1, self->ps));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

TEST_F(munmap, length_zero_is_einval)
{
	ACT(munmap);
	EXPECT_ERRNO(EINVAL, munmap(self->p, 0));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

TEST_F(munmap, range_outside_the_address_space_is_einval)
{
	ACT(munmap);
	EXPECT_ERRNO(EINVAL, munmap(self->p, -(size_t)self->p - self->ps));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

TEST_HARNESS_MAIN
