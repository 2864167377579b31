// SPDX-License-Identifier: GPL-2.0
/*
 * Swap: what MADV_PAGEOUT writes out is not in memory any more and comes back
 * as it was, to whoever touches it: the process, its child, the kernel, or
 * swapoff(). Counters say where it is, and what is dropped out there is gone.
 */
#include <linux/capability.h>
#include <sys/swap.h>

#include "memsafe.h"
#include "memsafe_guest.h"

#define SEED 0x5a
#define PAGES 8

/* Room for a huge page and its header. */
#define SWAP_MIB 8

/* PAGES pages of fill(SEED), and swap on a file of the fixture's own. */
FIXTURE(swap)
{
	char path[128]; /* empty: no swap */
	size_t ps;
	size_t len;
	unsigned char *p;
};

FIXTURE_VARIANT(swap)
{
	int sharing;
};

FIXTURE_VARIANT_ADD(swap, anon){
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(swap, anon_shared){
	.sharing = MAP_SHARED,
};

/* What mkswap(8) writes to the first page: include/linux/swap.h. */
struct swap_header {
	char boot[1024];
	uint32_t version;
	uint32_t last_page;
	uint32_t nr_badpages;
};

static bool make_swap(const char *path)
{
	struct swap_header header = { .version = 1 };
	size_t ps = page_size();
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool made;

	header.last_page = (SWAP_MIB << 20) / ps - 1;
	made = fd >= 0 && !posix_fallocate(fd, 0, SWAP_MIB << 20) &&
	       pwrite(fd, &header, sizeof(header), 0) == sizeof(header) &&
	       pwrite(fd, "SWAPSPACE2", 10, ps - 10) == 10 && !fsync(fd) &&
	       !swapon(path, 0);
	close(fd);
	if (!made)
		unlink(path);
	return made;
}

FIXTURE_SETUP(swap)
{
	SKIP_OUTSIDE_A_GUEST();
	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	if (!has_capability(CAP_SYS_ADMIN) || meminfo_kb("SwapTotal"))
		SKIP(return, "needs CAP_SYS_ADMIN and no other swap");
	ASSERT_TRUE(stay_on_this_cpu());
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->p = map_alone(self->len, PROT_RW, variant->sharing, -1);
	ASSERT_NE(MAP_FAILED, self->p);
	fill(self->p, self->len, SEED);
	/* Last: a setup that fails has no teardown. */
	snprintf(self->path, sizeof(self->path), "%s/memsafe-swap-%d",
		 scratch_dir(), getpid());
	if (!make_swap(self->path)) {
		self->path[0] = 0;
		SKIP(return, "needs CONFIG_SWAP=y");
	}
}

FIXTURE_TEARDOWN_PARENT(swap)
{
	if (self->path[0]) {
		swapoff(self->path);
		unlink(self->path);
	}
}

#define ROUNDS 20

/* Writes all of the range out; false: some of it stays. */
static bool page_out(void *p, size_t len)
{
	for (int i = 0; i < ROUNDS; i++)
		if (madvise(p, len, MADV_PAGEOUT) ||
		    smaps_kb(p, "Swap") == (long)len / 1024)
			break;
	return smaps_kb(p, "Swap") == (long)len / 1024;
}

TEST_F(swap, data_comes_back_as_it_was)
{
	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));

	EXPECT_EQ(0, present_pages(self->p, self->len));
	EXPECT_EQ(0, smaps_kb(self->p, "Rss"));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	EXPECT_EQ(0, smaps_kb(self->p, "Swap"));
}

TEST_F(swap, pages_written_out_take_room_in_the_swap)
{
	long free = meminfo_kb("SwapFree");
	long own = vm_status_kb("VmSwap");

	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));

	EXPECT_LE(meminfo_kb("SwapFree"), free - (long)self->len / 1024);
	if (variant->sharing == MAP_PRIVATE)
		EXPECT_EQ(own + (long)self->len / 1024, vm_status_kb("VmSwap"));
}

/* Pages of a shared object are in no page table while they are out. */
TEST_F(swap, pagemap_tells_a_private_page_that_is_out)
{
	bool told = variant->sharing == MAP_PRIVATE;

	ASSERT_FALSE(pagemap_entry(self->p) & PAGEMAP_SWAPPED);

	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));

	EXPECT_EQ(told, !!(pagemap_entry(self->p) & PAGEMAP_SWAPPED));
	EXPECT_FALSE(is_present(self->p));
	EXPECT_EQ(SEED, peek(self->p));
	EXPECT_FALSE(pagemap_entry(self->p) & PAGEMAP_SWAPPED);
	EXPECT_TRUE(is_present(self->p));
}

TEST_F(swap, store_goes_on_top_of_what_comes_back)
{
	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));
	EXPECT_TRUE(poke(self->p + self->ps, 7));

	EXPECT_EQ(7, peek(self->p + self->ps));
	EXPECT_TRUE(poke(self->p + self->ps, self->p[self->ps + 1] ^ 1));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

TEST_F(swap, page_goes_out_again_with_its_new_data)
{
	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));
	fill(self->p, self->len, ~SEED);
	ASSERT_TRUE(page_out(self->p, self->len));

	EXPECT_EQ(self->len, first_difference(self->p, self->len, ~SEED));
}

/* The kernel's own access brings it back, too. */
/* The page was there, and clean: that it is written only the processor knows. */
TEST_F(swap, store_of_a_mapping_that_is_gone_goes_out_too)
{
	int fd = backing_open(SHMEM, self->len);
	unsigned char *p = map_alone(self->len, PROT_RW, MAP_SHARED, fd);
	unsigned char *q;

	ASSERT_NE(MAP_FAILED, p);
	for (size_t at = 0; at < self->len; at += self->ps)
		ASSERT_EQ(0, peek(p + at));
	fill(p, self->len, SEED);

	ACT(munmap);
	ASSERT_EQ(0, munmap(p, self->len));
	EXPECT_UNMAPPED(p, self->len);
	q = map_alone(self->len, PROT_RW, MAP_SHARED, fd);
	ASSERT_NE(MAP_FAILED, q);
	ASSERT_EQ(self->len, first_difference(q, self->len, SEED));
	EXPECT_TRUE(page_out(q, self->len));
	EXPECT_EQ(self->len, first_difference(q, self->len, SEED));
}

TEST_F(swap, system_call_finds_what_is_out)
{
	unsigned char *back = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	int fds[2];

	ASSERT_NE(MAP_FAILED, back);
	ASSERT_EQ(0, pipe(fds));

	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));
	EXPECT_EQ(self->ps, write(fds[1], self->p, self->ps));
	EXPECT_EQ(self->ps, read(fds[0], back, self->ps));

	EXPECT_EQ(self->ps, first_difference(back, self->ps, SEED));
}

static int check_and_store(void *arg)
{
	FIXTURE_DATA(swap) *self = arg;

	if (first_difference(self->p, self->len, SEED) != self->len)
		return 255;
	return store_seven(self->p);
}

TEST_F(swap, child_gets_what_is_out_and_has_its_own_copy)
{
	int after = variant->sharing == MAP_SHARED ? 7 : SEED;

	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));
	EXPECT_EQ(7, in_child(check_and_store, self));

	EXPECT_EQ(after, peek(self->p));
	self->p[0] = SEED;
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

TEST_F(swap, mapping_moves_with_what_is_out)
{
	unsigned char *target = free_range(self->len, self->ps);

	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));
	ASSERT_EQ(target, mremap(self->p, self->len, self->len,
				 MREMAP_MAYMOVE | MREMAP_FIXED, target));

	EXPECT_EQ((long)self->len / 1024, smaps_kb(target, "Swap"));
	EXPECT_EQ(self->len, first_difference(target, self->len, SEED));
}

TEST_F(swap, protection_holds_for_what_is_out)
{
	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_write(self->p));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

/* What drops pages: for good, where others may share them. */
static int dropping(int sharing)
{
	return sharing == MAP_SHARED ? MADV_REMOVE : MADV_DONTNEED;
}

TEST_F(swap, what_is_dropped_out_there_is_gone)
{
	ACT(madvise);
	ASSERT_TRUE(page_out(self->p, self->len));
	ASSERT_EQ(0, madvise(self->p, self->len, dropping(variant->sharing)));

	EXPECT_EQ(0, smaps_kb(self->p, "Swap"));
	EXPECT_EQ(self->len, first_nonzero(self->p, self->len));
}

/* In pages: what each CPU keeps of free places (SWAP_SLOTS_CACHE_SIZE), twice. */
#define KEPT_PLACES 128
#define MANY_ROUNDS (4 * KEPT_PLACES / PAGES)

TEST_F(swap, room_of_what_is_dropped_is_free_again)
{
	long free = meminfo_kb("SwapFree");

	ACT(madvise);
	for (int round = 0; round < MANY_ROUNDS; round++) {
		fill(self->p, self->len, SEED);
		ASSERT_TRUE(page_out(self->p, self->len));
		ASSERT_EQ(0, madvise(self->p, self->len,
				     dropping(variant->sharing)));
	}
	EXPECT_LT(free - meminfo_kb("SwapFree"),
		  2 * KEPT_PLACES * (long)self->ps / 1024);
}

TEST_F(swap, room_of_what_came_back_is_free_again)
{
	long free = meminfo_kb("SwapFree");

	ACT(madvise);
	for (int round = 0; round < MANY_ROUNDS; round++) {
		fill(self->p, self->len, SEED);
		ASSERT_TRUE(page_out(self->p, self->len));
		ASSERT_EQ(self->len,
			  first_difference(self->p, self->len, SEED));
		ASSERT_EQ(0, madvise(self->p, self->len,
				     dropping(variant->sharing)));
	}
	EXPECT_LT(free - meminfo_kb("SwapFree"),
		  2 * KEPT_PLACES * (long)self->ps / 1024);
}

TEST_F(swap, swapoff_brings_everything_back)
{
	ASSERT_TRUE(page_out(self->p, self->len));

	ACT(swapoff);
	ASSERT_EQ(0, swapoff(self->path));

	EXPECT_EQ(0, meminfo_kb("SwapTotal"));
	EXPECT_EQ(0, smaps_kb(self->p, "Swap"));
	EXPECT_EQ(PAGES, resident_pages(self->p, self->len));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, SEED));
}

TEST_F(swap, locked_pages_do_not_go)
{
	if (mlock(self->p, self->len))
		SKIP(return, "needs RLIMIT_MEMLOCK or CAP_IPC_LOCK");

	ACT(madvise);
	EXPECT_ERRNO(EINVAL, madvise(self->p, self->len, MADV_PAGEOUT));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
	ASSERT_EQ(0, munlock(self->p, self->len));
	EXPECT_TRUE(page_out(self->p, self->len));
}

TEST_F(swap, huge_page_comes_back_as_it_was)
{
	unsigned char *huge = map_thp();
	size_t size = thp_size();

	if (!huge)
		SKIP(return, "needs a transparent huge page");
	fill(huge, size, SEED);

	ACT(madvise);
	ASSERT_TRUE(page_out(huge, size));

	EXPECT_EQ(0, smaps_kb(huge, "Rss"));
	EXPECT_EQ(size, first_difference(huge, size, SEED));
}

TEST_HARNESS_MAIN
