// SPDX-License-Identifier: GPL-2.0
/*
 * When munmap(), mprotect(), mremap(), madvise(MADV_DONTNEED) or an mmap() over
 * the old mapping return, no other CPU reaches the old page any more: the TLB
 * entry that it had for it is gone (Documentation/arch/x86/tlb.rst).
 *
 * Pages that another page is copied to: tlb_copy_test.c.
 */
#include "memsafe.h"
#include "memsafe_guest.h"
#include "memsafe_observer.h"

MEMSAFE_GUEST("smp");

/* x86 flushes more than 33 pages all at once: tlb_single_page_flush_ceiling. */
#define MANY 40
#define HUGE_LEN ((size_t)2 << 20)

/*
 *	| hole | mapping, @len bytes | hole | where mremap() moves it |
 *	       ^p                           ^other
 */
FIXTURE(tlb)
{
	size_t ps;
	size_t len;
	unsigned char *p;
	unsigned char *other;
	struct observer observer;
};

FIXTURE_VARIANT(tlb)
{
	int flags;
	int pages; /* 0: a huge page */
	int rounds;
};

FIXTURE_VARIANT_ADD(tlb, page)
{
	.flags = MAP_PRIVATE,
	.pages = 1,
	.rounds = 100,
};

FIXTURE_VARIANT_ADD(tlb, many_pages)
{
	.flags = MAP_PRIVATE,
	.pages = MANY,
	.rounds = 25,
};

FIXTURE_VARIANT_ADD(tlb, shared_page)
{
	.flags = MAP_SHARED,
	.pages = 1,
	.rounds = 50,
};

FIXTURE_VARIANT_ADD(tlb, huge_page)
{
	.flags = MAP_PRIVATE,
	.rounds = 10,
};

/* A fresh mapping at self->p; false when there is none. */
static bool map_old(FIXTURE_DATA(tlb) * self, int flags)
{
	void *p = mmap(self->p, self->len, PROT_RW,
		       flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p != self->p)
		return false;
	if (self->len == HUGE_LEN && madvise(p, self->len, MADV_HUGEPAGE))
		return false;
	for (size_t at = 0; at < self->len; at += self->ps)
		self->p[at] = STORE_TOUCH;
	return true;
}

/*
 * munmap() frees a page table that no other mapping needs, and that alone
 * flushes the TLB: the last page of the table's range is another mapping.
 */
static bool keeps_page_table(FIXTURE_DATA(tlb) * self)
{
	void *last = self->p + HUGE_LEN - self->ps;

	return mmap(last, self->ps, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == last;
}

static bool has_huge_page(FIXTURE_DATA(tlb) * self, int flags)
{
	return map_old(self, flags) &&
	       smaps_kb(self->p, "AnonHugePages") == HUGE_LEN / 1024;
}

FIXTURE_SETUP(tlb)
{
	if (!has_two_cpus())
		SKIP(return, "needs two CPUs");
	self->ps = page_size();
	self->len = variant->pages ? variant->pages * self->ps : HUGE_LEN;
	/* Aligned, with a hole to both sides, for huge pages as well. */
	self->p = free_range(4 * HUGE_LEN, HUGE_LEN);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	self->p += HUGE_LEN;
	self->other = self->p + 2 * HUGE_LEN;
	ASSERT_TRUE(!variant->pages || keeps_page_table(self));
	if (!variant->pages && !has_huge_page(self, variant->flags))
		SKIP(return, "needs a transparent huge page");
	ASSERT_TRUE(observer_start(&self->observer));
}

FIXTURE_TEARDOWN(tlb)
{
}

static void unmap(FIXTURE_DATA(tlb) * self)
{
	munmap(self->p, self->len);
}

static void unmap_one_page(FIXTURE_DATA(tlb) * self)
{
	munmap(self->p, self->ps);
}

static void forbid_all(FIXTURE_DATA(tlb) * self)
{
	mprotect(self->p, self->len, PROT_NONE);
}

static void forbid_writes(FIXTURE_DATA(tlb) * self)
{
	mprotect(self->p, self->len, PROT_READ);
}

static void move(FIXTURE_DATA(tlb) * self)
{
	mremap(self->p, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED,
	       self->other);
}

static void discard(FIXTURE_DATA(tlb) * self)
{
	madvise(self->p, self->len, MADV_DONTNEED);
}

static void remove_from_object(FIXTURE_DATA(tlb) * self)
{
	madvise(self->p, self->len, MADV_REMOVE);
}

static void map_over(FIXTURE_DATA(tlb) * self)
{
	mmap(self->p, self->len, PROT_RW,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/*
 * How many rounds went by until the observer saw something else than @seen
 * after @change; it looks at one of the first @pages.
 */
static int rounds_until_other(FIXTURE_DATA(tlb) * self,
			      const FIXTURE_VARIANT(tlb) * variant,
			      void (*change)(FIXTURE_DATA(tlb) *), size_t pages,
			      bool writes, int seen)
{
	struct observer *observer = &self->observer;
	int round;

	for (round = 0; round < rounds(variant->rounds); round++) {
		if (!map_old(self, variant->flags) ||
		    !observer_touch(observer, self->p, self->len, writes))
			break;
		change(self);
		if (observer_look(observer, round % pages * self->ps) != seen)
			break;
	}
	return round;
}

#define EXPECT_EACH_ROUND(change, pages, writes, seen)                         \
	EXPECT_EQ(rounds(variant->rounds),                                     \
		  rounds_until_other(self, variant, change, pages, writes,     \
				     seen))

TEST_F_TIMEOUT(tlb, munmap_ends_reads, OBSERVER_SECONDS)
{
	ACT(munmap);
	EXPECT_EACH_ROUND(unmap, self->len / self->ps, false,
			  SEEN_FAULT(SIGSEGV, SEGV_MAPERR));
}

TEST_F_TIMEOUT(tlb, munmap_ends_writes, OBSERVER_SECONDS)
{
	ACT(munmap);
	EXPECT_EACH_ROUND(unmap, self->len / self->ps, true,
			  SEEN_FAULT(SIGSEGV, SEGV_MAPERR));
}

/* Of a huge page, which is split for it. */
TEST_F_TIMEOUT(tlb, munmap_of_one_page_ends_reads, OBSERVER_SECONDS)
{
	ACT(munmap);
	EXPECT_EACH_ROUND(unmap_one_page, 1, false,
			  SEEN_FAULT(SIGSEGV, SEGV_MAPERR));
}

TEST_F_TIMEOUT(tlb, mprotect_none_ends_reads, OBSERVER_SECONDS)
{
#ifdef __arm__
	if (self->len == HUGE_LEN)
		SKIP(return, "needs huge pages that survive PROT_NONE (ARM's do not, see FINDINGS.md)");
#endif
	ACT(mprotect);
	EXPECT_EACH_ROUND(forbid_all, self->len / self->ps, false,
			  SEEN_FAULT(SIGSEGV, SEGV_ACCERR));
}

TEST_F_TIMEOUT(tlb, mprotect_read_ends_writes, OBSERVER_SECONDS)
{
	ACT(mprotect);
	EXPECT_EACH_ROUND(forbid_writes, self->len / self->ps, true,
			  SEEN_FAULT(SIGSEGV, SEGV_ACCERR));
}

TEST_F_TIMEOUT(tlb, mremap_ends_reads_of_the_old_address, OBSERVER_SECONDS)
{
	ACT(mremap);
	EXPECT_EACH_ROUND(move, self->len / self->ps, false,
			  SEEN_FAULT(SIGSEGV, SEGV_MAPERR));
}

/* What is shared keeps its data under MADV_DONTNEED. */
TEST_F_TIMEOUT(tlb, discarded_page_reads_as_zeros, OBSERVER_SECONDS)
{
	bool shared = variant->flags == MAP_SHARED;

	ACT(madvise);
	EXPECT_EACH_ROUND(shared ? remove_from_object : discard,
			  self->len / self->ps, false, 0);
}

TEST_F_TIMEOUT(tlb, mmap_over_it_ends_reads_of_the_old_page, OBSERVER_SECONDS)
{
	ACT(mmap);
	EXPECT_EACH_ROUND(map_over, self->len / self->ps, false, 0);
}

TEST_HARNESS_MAIN
