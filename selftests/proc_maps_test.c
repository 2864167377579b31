// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc says about an address space agrees with itself and with what was
 * mapped: maps, smaps, pagemap, status and PROCMAP_QUERY
 * (Documentation/filesystems/proc.rst, Documentation/admin-guide/mm/pagemap.rst)
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "memsafe.h"

#ifndef PROCMAP_QUERY
/* Came in v6.11. */
struct procmap_query {
	uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags;
	uint64_t vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#define PROCMAP_QUERY_VMA_READABLE 1
#define PROCMAP_QUERY_VMA_WRITABLE 2
#define PROCMAP_QUERY_VMA_EXECUTABLE 4
#define PROCMAP_QUERY_VMA_SHARED 8
#define PROCMAP_QUERY_COVERING_OR_NEXT_VMA 16
#define PROCMAP_QUERY_FILE_BACKED_VMA 32
#endif

#define PAGES 4

/* Four pages from the second one of an object of five; two were stored to. */
FIXTURE(proc_maps)
{
	size_t ps;
	size_t len;
	int fd;
	unsigned char *p;
};

FIXTURE_VARIANT(proc_maps)
{
	enum backing backing;
	int sharing;
};

BACKINGS(proc_maps);

FIXTURE_SETUP(proc_maps)
{
	const char *needs = backing_needs(variant->backing);
	unsigned char *room;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = backing_open(variant->backing, self->len + self->ps);
	ASSERT_NE(-2, self->fd);
	room = free_range(self->len + 2 * self->ps, self->ps);
	ASSERT_NE(MAP_FAILED, room);
	self->p = room + self->ps;
}

FIXTURE_TEARDOWN(proc_maps)
{
}

/* The fixture's mapping: the act of most tests. */
static bool map_it(FIXTURE_DATA(proc_maps) * self,
		   const FIXTURE_VARIANT(proc_maps) * variant, int prot)
{
	int flags = backing_flags(variant->backing, variant->sharing);
	off_t offset = has_file(variant->backing) ? self->ps : 0;

	if (mmap(self->p, self->len, prot, flags | MAP_FIXED_NOREPLACE,
		 self->fd, offset) != self->p)
		return false;
	if (prot & PROT_WRITE) {
		poke(self->p, 7);
		poke(self->p + self->ps, 7);
	}
	return true;
}

TEST_F(proc_maps, line_says_what_was_mapped)
{
	bool file = has_file(variant->backing);
	struct vma vma;

	ACT(mmap);
	ASSERT_TRUE(map_it(self, variant, PROT_RW));

	ASSERT_TRUE(find_vma(self->p, &vma));
	EXPECT_EQ((uintptr_t)self->p, vma.start);
	EXPECT_EQ((uintptr_t)self->p + self->len, vma.end);
	EXPECT_STREQ(variant->sharing == MAP_SHARED ? "rw-s" : "rw-p",
		     vma.perms);
	if (file || variant->sharing == MAP_PRIVATE)
		EXPECT_EQ(file ? self->ps : 0, file ? vma.offset : 0);
	EXPECT_EQ(file || variant->sharing == MAP_SHARED, vma.inode != 0);
}

TEST_F(proc_maps, smaps_counts_the_pages_that_pagemap_shows)
{
	long page_kb = self->ps / 1024;

	ACT(mmap);
	ASSERT_TRUE(map_it(self, variant, PROT_RW));

	EXPECT_EQ(PAGES * page_kb, smaps_kb(self->p, "Size"));
	EXPECT_EQ(present_pages(self->p, self->len) * page_kb,
		  smaps_kb(self->p, "Rss"));
	EXPECT_TRUE(is_present(self->p));
	EXPECT_EQ(2 * page_kb, smaps_kb(self->p, "Private_Dirty"));
	EXPECT_EQ(variant->sharing == MAP_PRIVATE ? 2 * page_kb : 0,
		  smaps_kb(self->p, "Anonymous"));
}

TEST_F(proc_maps, flags_are_those_of_the_mapping)
{
	ACT(mmap);
	ASSERT_TRUE(map_it(self, variant, PROT_READ | PROT_EXEC));

	EXPECT_TRUE(has_vm_flag(self->p, "rd"));
	EXPECT_FALSE(has_vm_flag(self->p, "wr"));
	EXPECT_TRUE(has_vm_flag(self->p, "ex"));
	EXPECT_EQ(variant->sharing == MAP_SHARED, has_vm_flag(self->p, "sh"));
	EXPECT_TRUE(has_vm_flag(self->p, "mw"));
}

/* Private pages only: the others are kept in the object. */
TEST_F(proc_maps, pagemap_tells_files_and_exclusive_pages)
{
	bool own = variant->sharing == MAP_PRIVATE;
	uint64_t entry;

	ACT(mmap);
	ASSERT_TRUE(map_it(self, variant, PROT_RW));

	entry = pagemap_entry(self->p);
	EXPECT_TRUE(entry & PAGEMAP_PRESENT);
	EXPECT_EQ(!own, !!(entry & PAGEMAP_FILE));
	EXPECT_TRUE(entry & PAGEMAP_EXCLUSIVE);
	EXPECT_FALSE(entry & PAGEMAP_SWAPPED);
}

TEST_F(proc_maps, unmapped_range_is_in_none_of_them)
{
	ASSERT_TRUE(map_it(self, variant, PROT_RW));
	ASSERT_TRUE(is_present(self->p));

	ACT(munmap);
	ASSERT_EQ(0, munmap(self->p, self->len));

	EXPECT_UNMAPPED(self->p, self->len);
	EXPECT_EQ(-1, smaps_kb(self->p, "Size"));
	EXPECT_EQ(0, pagemap_entry(self->p) & PAGEMAP_PRESENT);
}

static int query(const void *addr, uint64_t flags, struct procmap_query *found)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int err;

	memset(found, 0, sizeof(*found));
	found->size = sizeof(*found);
	found->query_addr = (uintptr_t)addr;
	found->query_flags = flags;
	err = ioctl(fd, PROCMAP_QUERY, found) ? errno : 0;
	close(fd);
	return err;
}

TEST_F(proc_maps, query_agrees_with_maps)
{
	bool shared = variant->sharing == MAP_SHARED;
	struct procmap_query found;
	struct vma vma;

	if (query(NULL, 0, &found) == ENOTTY)
		SKIP(return, "needs PROCMAP_QUERY (v6.11)");
	ASSERT_TRUE(map_it(self, variant, PROT_RW));
	ASSERT_TRUE(find_vma(self->p, &vma));

	ACT(ioctl);
	ASSERT_EQ(0, query(self->p + self->ps, 0, &found));
	EXPECT_EQ(vma.start, found.vma_start);
	EXPECT_EQ(vma.end, found.vma_end);
	EXPECT_EQ(vma.inode, found.inode);
	EXPECT_EQ(vma.inode ? vma.offset : 0, found.vma_offset);
	EXPECT_EQ(self->ps, found.vma_page_size);
	EXPECT_EQ(PROCMAP_QUERY_VMA_READABLE | PROCMAP_QUERY_VMA_WRITABLE |
			  (shared ? PROCMAP_QUERY_VMA_SHARED : 0),
		  found.vma_flags);
}

TEST_F(proc_maps, query_of_a_hole_finds_nothing_or_the_next)
{
	unsigned char *hole = self->p - 1;
	struct procmap_query found;

	if (query(NULL, 0, &found) == ENOTTY)
		SKIP(return, "needs PROCMAP_QUERY (v6.11)");
	ASSERT_TRUE(map_it(self, variant, PROT_RW));

	ACT(ioctl);
	EXPECT_EQ(ENOENT, query(hole, 0, &found));
	EXPECT_EQ(0, query(hole, PROCMAP_QUERY_COVERING_OR_NEXT_VMA, &found));
	EXPECT_EQ((uintptr_t)self->p, found.vma_start);
	EXPECT_EQ(ENOENT, query(self->p, PROCMAP_QUERY_VMA_EXECUTABLE, &found));
	EXPECT_EQ(EINVAL, query(self->p, 1 << 30, &found));
}

/* Every mapping, one by one, in both. */
TEST(query_walks_the_same_mappings_as_maps)
{
	struct procmap_query found;
	struct line_reader lines;
	const void *at = NULL;
	struct vma vma;

	if (query(NULL, 0, &found) == ENOTTY)
		SKIP(return, "needs PROCMAP_QUERY (v6.11)");
	ASSERT_TRUE(lines_open(&lines, "/proc/self/maps"));

	ACT(ioctl);
	while (lines_next(&lines)) {
		ASSERT_TRUE(vma_parse(lines.line, &vma));
		/* Of the kernel, and no mappings of the process. */
		if (!strcmp(vma.name, "[vsyscall]") ||
		    !strcmp(vma.name, "[vectors]"))
			continue;
		ASSERT_EQ(0, query(at, PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
				   &found));
		ASSERT_EQ(vma.start, found.vma_start);
		ASSERT_EQ(vma.end, found.vma_end);
		at = (void *)vma.end;
	}
	lines_close(&lines);
}

/* One frame number is enough to attack memory by hammering its neighbours. */
TEST(page_frames_are_for_privileged_readers)
{
	unsigned char *p = map_alone(page_size(), PROT_RW, MAP_PRIVATE, -1);
	uint64_t entry;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(poke(p, 7));
	if (!has_capability(CAP_SYS_ADMIN))
		SKIP(return, "needs CAP_SYS_ADMIN, to drop it");
	ASSERT_NE(0, pagemap_entry(p) & PAGEMAP_PFN_MASK);

	ACT(capset);
	ASSERT_TRUE(drop_capability(CAP_SYS_ADMIN));

	entry = pagemap_entry(p);
	EXPECT_TRUE(entry & PAGEMAP_PRESENT);
	EXPECT_EQ(0, entry & PAGEMAP_PFN_MASK);
}

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

TEST(name_of_anonymous_memory_is_shown_and_splits)
{
	size_t ps = page_size();
	unsigned char *p = map_alone(3 * ps, PROT_RW, MAP_PRIVATE, -1);
	struct vma vma;

	ASSERT_NE(MAP_FAILED, p);
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, ps, NULL))
		SKIP(return, "needs CONFIG_ANON_VMA_NAME=y");

	ACT(prctl);
	ASSERT_EQ(0, prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + ps, ps,
			   "memsafe"));

	ASSERT_TRUE(find_vma(p + ps, &vma));
	EXPECT_STREQ("[anon:memsafe]", vma.name);
	EXPECT_EQ((uintptr_t)p + ps, vma.start);
	EXPECT_EQ(3, count_vmas(p, 3 * ps));
	EXPECT_EQ(0, prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p + ps, ps, NULL));
	EXPECT_EQ(1, count_vmas(p, 3 * ps));
}

TEST_HARNESS_MAIN
