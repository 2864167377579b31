// SPDX-License-Identifier: GPL-2.0
/*
 * mremap(2): a mapping grows, shrinks and moves. Its pages come along as they
 * are (contents, page frames, dirty or clean, protection, flags), what it left
 * is not mapped any more, and maps shows exactly that. Errors are in
 * mremap_errno_test.c, locked memory in mlock_test.c.
 */
#include "memsafe.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define SEED 0x5a

/* Pages mapped, and pages to grow to. */
#define PAGES 3
#define GROWN 5

/* What files hold behind the pages that are mapped. */
#define BEHIND 'f'

/*
 *	| hole | page 0 | page 1 | page 2 | hole ... | room for GROWN pages | hole |
 *	       ^p, filled with SEED                  ^target
 */
FIXTURE(mremap)
{
	size_t ps;
	size_t len;
	size_t grown;
	int fd;
	unsigned char *p;
	unsigned char *target;
};

FIXTURE_VARIANT(mremap)
{
	enum backing backing;
	int sharing;
};

BACKINGS(mremap);
BACKING(mremap, zero, ZERO, MAP_PRIVATE);

static bool is_private_anon(const FIXTURE_VARIANT(mremap) * variant)
{
	return variant->sharing == MAP_PRIVATE &&
	       (variant->backing == ANON || variant->backing == ZERO);
}

FIXTURE_SETUP(mremap)
{
	const char *needs = backing_needs(variant->backing);
	unsigned char *room;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->grown = GROWN * self->ps;
	self->fd = backing_open(variant->backing, self->grown);
	ASSERT_NE(-2, self->fd);
	if (has_file(variant->backing))
		ASSERT_EQ(1, pwrite(self->fd, &(char){ BEHIND }, 1, self->len));
	room = free_range(2 * self->grown + 3 * self->ps, self->ps);
	ASSERT_NE(MAP_FAILED, room);
	self->target = room + self->grown + 2 * self->ps;
	self->p = mmap(room + self->ps, self->len, PROT_RW,
		       backing_flags(variant->backing, variant->sharing) |
			       MAP_FIXED_NOREPLACE,
		       self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->p);
	fill(self->p, self->len, SEED);
}

FIXTURE_TEARDOWN(mremap)
{
}

static void *move(void *from, size_t len, void *to)
{
	return mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

/* Nothing is at @p, and the probes say so too. */
#define EXPECT_GONE(p, len)                                           \
	do {                                                          \
		EXPECT_UNMAPPED(p, len);                              \
		EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_read(p)); \
		EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, (p) + (len)-1,     \
			     probe_write((p) + (len)-1));             \
	} while (0)

/*
 * The byte that a mapping shows where it was grown: fresh memory is zero, a
 * file goes on, and a shared object without a file keeps its size (-1).
 */
static int byte_behind(const FIXTURE_VARIANT(mremap) * variant)
{
	if (has_file(variant->backing))
		return BEHIND;
	return is_private_anon(variant) ? 0 : -1;
}

TEST_F(mremap, grows_in_place_where_there_is_room)
{
	unsigned char *end = self->p + self->grown;
	struct vma vma;

	ACT(mremap);
	ASSERT_EQ(self->p, mremap(self->p, self->len, self->grown, 0));

	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
	EXPECT_EQ(byte_behind(variant), peek(self->p + self->len));
	EXPECT_EQ(-1, peek(end));
	ASSERT_TRUE(find_vma(self->p, &vma));
	EXPECT_EQ((uintptr_t)self->p, vma.start);
	EXPECT_EQ((uintptr_t)end, vma.end);
}

TEST_F(mremap, growth_moves_away_from_a_neighbour)
{
	unsigned char *next = self->p + self->len;
	unsigned char *p;

	ASSERT_EQ(next, mmap(next, self->ps, PROT_RW,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			     -1, 0));
	ASSERT_TRUE(poke(next, 7));

	ACT(mremap);
	p = mremap(self->p, self->len, self->grown, MREMAP_MAYMOVE);
	ASSERT_MAPPED(p, self->grown);

	EXPECT_NE(self->p, p);
	EXPECT_EQ(self->len, first_difference(p, self->len, SEED));
	EXPECT_EQ(byte_behind(variant), peek(p + self->len));
	EXPECT_GONE(self->p, self->len);
	EXPECT_EQ(7, peek(next));
}

TEST_F(mremap, shrinking_unmaps_exactly_the_tail)
{
	unsigned char *tail = self->p + self->ps;
	long size = vm_status_kb("VmSize");

	ACT(mremap);
	ASSERT_EQ(self->p, mremap(self->p, self->len, self->ps, 0));

	EXPECT_EQ(self->ps, first_difference(self->p, self->ps, SEED));
	EXPECT_GONE(tail, self->len - self->ps);
	EXPECT_EQ(size - (long)(self->len - self->ps) / 1024,
		  vm_status_kb("VmSize"));
}

TEST_F(mremap, sizes_are_rounded_up_to_pages)
{
	unsigned char *second = self->p + self->ps;

	ACT(mremap);
	ASSERT_EQ(self->p, mremap(self->p, self->len - 1, self->ps + 1, 0));

	EXPECT_NO_FAULT(probe_read(second + self->ps - 1));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, second + self->ps,
		     probe_read(second + self->ps));
}

TEST_F(mremap, fixed_moves_to_the_address)
{
	struct vma vma;

	ACT(mremap);
	ASSERT_EQ(self->target, move(self->p, self->len, self->target));

	EXPECT_EQ(self->len, first_difference(self->target, self->len, SEED));
	EXPECT_GONE(self->p, self->len);
	ASSERT_TRUE(find_vma(self->target, &vma));
	EXPECT_EQ((uintptr_t)self->target, vma.start);
	EXPECT_EQ((uintptr_t)self->target + self->len, vma.end);
	EXPECT_TRUE(poke(self->target, 7));
	EXPECT_EQ(7, peek(self->target));
}

TEST_F(mremap, fixed_replaces_exactly_what_was_there)
{
	unsigned char *end = self->target + self->len;

	ASSERT_EQ(self->target,
		  mmap(self->target, self->grown, PROT_RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		       0));
	memset(self->target, 0x22, self->grown);

	ACT(mremap);
	ASSERT_EQ(self->target, move(self->p, self->len, self->target));

	EXPECT_EQ(self->len, first_difference(self->target, self->len, SEED));
	EXPECT_EQ(self->grown - self->len,
		  first_other(end, self->grown - self->len, 0x22));
}

TEST_F(mremap, fixed_moves_and_grows_at_once)
{
	unsigned char *behind = self->target + self->len;

	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(self->p, self->len, self->grown,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target));

	EXPECT_EQ(self->len, first_difference(self->target, self->len, SEED));
	EXPECT_EQ(byte_behind(variant), peek(behind));
	EXPECT_EQ(1, count_vmas(self->target, self->grown));
	EXPECT_GONE(self->p, self->len);
}

TEST_F(mremap, fixed_moves_and_shrinks_at_once)
{
	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(self->p, self->len, self->ps,
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->target));

	EXPECT_EQ(self->ps, first_difference(self->target, self->ps, SEED));
	EXPECT_GONE(self->p, self->len);
	EXPECT_GONE(self->target + self->ps, self->len - self->ps);
}

TEST_F(mremap, page_frames_come_along)
{
	uint64_t before[PAGES], after[PAGES];

	ASSERT_TRUE(pagemap_read(self->p, before, PAGES));
	if (!(before[0] & PAGEMAP_PFN_MASK))
		SKIP(return, "needs CAP_SYS_ADMIN, for pagemap");

	ACT(mremap);
	ASSERT_EQ(self->target, move(self->p, self->len, self->target));

	ASSERT_TRUE(pagemap_read(self->target, after, PAGES));
	for (int i = 0; i < PAGES; i++) {
		ASSERT_TRUE(after[i] & PAGEMAP_PRESENT)
		{
			TH_LOG("page %d is not present", i);
		}
		EXPECT_EQ(before[i] & PAGEMAP_PFN_MASK,
			  after[i] & PAGEMAP_PFN_MASK);
	}
}

TEST_F(mremap, untouched_pages_stay_untouched)
{
	unsigned char *last = self->p + 2 * self->ps;

	ASSERT_EQ(0, madvise(last, self->ps, MADV_DONTNEED));
	ASSERT_EQ(PAGES - 1, present_pages(self->p, self->len));

	ACT(mremap);
	ASSERT_EQ(self->target, move(self->p, self->len, self->target));

	EXPECT_EQ(PAGES - 1, present_pages(self->target, self->len));
	EXPECT_FALSE(is_present(self->target + 2 * self->ps));
}

/* A clean page that arrives dirty is written for nothing, the reverse is lost. */
TEST_F(mremap, dirty_pages_stay_dirty_and_clean_ones_clean)
{
	long page_kb = self->ps / 1024;
	long dirty = PAGES * page_kb;

	/* Only a disk has clean pages that were written. */
	if (variant->backing == DISK && variant->sharing == MAP_SHARED) {
		ASSERT_EQ(0, fsync(self->fd));
		dirty = page_kb;
		/* Writeback may clean it again at any time. */
		for (int i = 0; i < 10; i++)
			if (poke(self->p + self->ps, 7) &&
			    smaps_kb(self->p, "Private_Dirty") == dirty)
				break;
	}
	ASSERT_EQ(dirty, smaps_kb(self->p, "Private_Dirty"));

	ACT(mremap);
	ASSERT_EQ(self->target, move(self->p, self->len, self->target));

	EXPECT_EQ(dirty, smaps_kb(self->target, "Private_Dirty"));
	EXPECT_EQ(PAGES * page_kb - dirty,
		  smaps_kb(self->target, "Private_Clean"));
}

TEST_F(mremap, protection_and_flags_come_along)
{
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_DONTFORK));
	ASSERT_EQ(0, madvise(self->p, self->len, MADV_DONTDUMP));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	ACT(mremap);
	ASSERT_EQ(self->target, move(self->p, self->len, self->target));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->target,
		     probe_write(self->target));
	EXPECT_EQ(self->len, first_difference(self->target, self->len, SEED));
	EXPECT_TRUE(has_vm_flag(self->target, "dc"));
	EXPECT_TRUE(has_vm_flag(self->target, "dd"));
}

TEST_F(mremap, page_from_the_middle_leaves_both_ends)
{
	unsigned char *middle = self->p + self->ps;
	unsigned char byte = middle[1];
	struct vma vma;

	ACT(mremap);
	ASSERT_EQ(self->target, move(middle, self->ps, self->target));

	EXPECT_EQ(byte, peek(self->target + 1));
	EXPECT_GONE(middle, self->ps);
	EXPECT_EQ(2, count_vmas(self->p, self->len));
	EXPECT_EQ(self->ps, first_difference(self->p, self->ps, SEED));
	EXPECT_NO_FAULT(probe_read(middle + self->ps));
	ASSERT_TRUE(find_vma(self->target, &vma));
	if (has_file(variant->backing))
		EXPECT_EQ(self->ps, vma.offset);
}

/* It fits to its neighbours again: offset, and anon_vma of private pages. */
TEST_F(mremap, page_that_comes_back_merges_with_its_neighbours)
{
	unsigned char *middle = self->p + self->ps;

	ASSERT_EQ(self->target, move(middle, self->ps, self->target));
	ASSERT_EQ(2, count_vmas(self->p, self->len));

	ACT(mremap);
	ASSERT_EQ(middle, move(self->target, self->ps, middle));

	EXPECT_EQ(1, count_vmas(self->p, self->len));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
	EXPECT_GONE(self->target, self->ps);
}

static int move_in_child(void *arg)
{
	FIXTURE_DATA(mremap) *self = arg;

	if (move(self->p, self->len, self->target) != self->target)
		return 255;
	return peek(self->p) == -1 && poke(self->target, 7) ? 7 : 254;
}

TEST_F(mremap, move_of_a_child_is_not_that_of_its_parent)
{
	ACT(mremap);
	ASSERT_EQ(7, in_child(move_in_child, self));

	EXPECT_UNMAPPED(self->target, self->len);
	EXPECT_EQ(variant->sharing == MAP_SHARED ? 7 : SEED, peek(self->p));
}

/* The pages go, the mapping stays and is as if it had just been made. */
TEST_F(mremap, dontunmap_leaves_an_empty_mapping_behind)
{
	bool same = variant->sharing == MAP_SHARED;

	ACT(mremap);
	ASSERT_EQ(self->target,
		  mremap(self->p, self->len, self->len,
			 MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
			 self->target));

	EXPECT_EQ(self->len, first_difference(self->target, self->len, SEED));
	EXPECT_EQ(1, count_vmas(self->p, self->len));
	EXPECT_EQ(0, present_pages(self->p, self->len));
	EXPECT_TRUE(poke(self->target, 7));
	EXPECT_EQ(same ? 7 : 0, peek(self->p));
	EXPECT_NO_FAULT(probe_write(self->p + self->len - 1));
}

/* "a new mapping of the same pages" (mremap(2)), which private ones can't be */
TEST_F(mremap, old_size_zero_maps_shared_pages_twice)
{
	void *p;

	ACT(mremap);
	p = mremap(self->p, 0, self->len, MREMAP_MAYMOVE | MREMAP_FIXED,
		   self->target);
	if (variant->sharing == MAP_PRIVATE) {
		EXPECT_EQ(MAP_FAILED, p);
		EXPECT_EQ(EINVAL, errno);
		EXPECT_UNMAPPED(self->target, self->len);
		return;
	}
	ASSERT_EQ(self->target, p);
	EXPECT_EQ(self->len, first_difference(p, self->len, SEED));
	EXPECT_TRUE(poke(self->p, 7));
	EXPECT_EQ(7, peek(p));
	EXPECT_TRUE(poke(p, 8));
	EXPECT_EQ(8, peek(self->p));
}

TEST_HARNESS_MAIN
