// SPDX-License-Identifier: GPL-2.0
/*
 * Each way of a driver to map its memory shows exactly the pages that were
 * asked for, refuses every range that is not inside the buffer, follows the
 * mapping through fork, move and unmap, and gives all references back
 * (mmap(2), mremap(2), the kernel-doc of the mapping helpers).
 */
#include "memsafe_device.h"

#define NPAGES 4
#define INSIDE 123

FIXTURE(dev_mmap)
{
	struct memsafe_dev_setup setup;
	size_t len;
	size_t ps;
	int fd; /* its buffer: page i is fill()ed with seed i */
};

FIXTURE_VARIANT(dev_mmap)
{
	uint32_t memory;
	uint32_t map;
};

DEVICE_MODES(dev_mmap);

FIXTURE_SETUP(dev_mmap)
{
	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	self->len = NPAGES * self->ps;
	self->setup.size = self->len;
	self->setup.memory = variant->memory;
	self->setup.map = variant->map;
	self->fd = device_open(O_RDWR, &self->setup);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(device_fill(self->fd, NPAGES));
}

FIXTURE_TEARDOWN(dev_mmap)
{
}

static void *map_shared(int fd, size_t len, size_t offset)
{
	return mmap(NULL, len, PROT_RW, MAP_SHARED, fd, offset);
}

TEST_F(dev_mmap, full_range_is_the_buffer_page_by_page)
{
	unsigned char *p;

	ACT(mmap);
	p = map_shared(self->fd, self->len, 0);
	ASSERT_MAPPED(p, self->len);

	for (int i = NPAGES - 1; i >= 0; i--)
		EXPECT_EQ(self->ps,
			  first_difference(p + i * self->ps, self->ps, i));
}

TEST_F(dev_mmap, write_reaches_the_buffer_on_the_same_page)
{
	unsigned char *p;

	ACT(mmap);
	p = map_shared(self->fd, self->len, 0);
	ASSERT_MAPPED(p, self->len);

	for (int i = 0; i < NPAGES; i++)
		EXPECT_TRUE(poke(p + i * self->ps + INSIDE, 0xe0 + i));
	for (int i = 0; i < NPAGES; i++)
		EXPECT_EQ(0xe0 + i,
			  device_peek(self->fd, i * self->ps + INSIDE));
}

TEST_F(dev_mmap, sub_range_starts_at_its_offset)
{
	unsigned char *p;

	ACT(mmap);
	p = map_shared(self->fd, 2 * self->ps, self->ps);
	ASSERT_MAPPED(p, 2 * self->ps);

	EXPECT_EQ(self->ps, first_difference(p, self->ps, 1));
	EXPECT_EQ(self->ps, first_difference(p + self->ps, self->ps, 2));
}

/*
 * The pages are the buffer's own and no copies: pagemap says so. It has no
 * answer for VM_PFNMAP (walk_page_test() in mm/pagewalk.c).
 */
TEST_F(dev_mmap, page_table_has_the_pfns_of_the_buffer)
{
	bool hidden = maps_pfns(variant->map);
	unsigned char *p;

	ACT(mmap);
	p = map_shared(self->fd, self->len, 0);
	ASSERT_MAPPED(p, self->len);

	for (int i = 0; i < NPAGES; i++) {
		ASSERT_NO_FAULT(probe_read(p + i * self->ps));
		EXPECT_EQ(hidden ? 0 : device_page(self->fd, i).pfn,
			  pagemap_entry(p + i * self->ps) & PAGEMAP_PFN_MASK);
	}
}

/* The last page table entry of one table and the first of the next. */
TEST_F(dev_mmap, mapping_across_a_page_table_is_complete)
{
	size_t table = self->ps / sizeof(uint64_t) * self->ps;
	unsigned char *area = free_range(2 * table, table);
	unsigned char *p = area + table - 2 * self->ps;

	ASSERT_NE(MAP_FAILED, area);

	ACT(mmap);
	EXPECT_EQ(p, mmap(p, self->len, PROT_RW,
			  MAP_SHARED | MAP_FIXED_NOREPLACE, self->fd, 0));
	ASSERT_MAPPED(p, self->len);

	for (int i = 0; i < NPAGES; i++)
		EXPECT_EQ(self->ps,
			  first_difference(p + i * self->ps, self->ps, i));
}

/* Maps the last good range after each refusal: refusing all is no check. */
#define EXPECT_REFUSED(error, length, offset)                                  \
	do {                                                                   \
		size_t last = self->len - self->ps;                            \
                                                                               \
		EXPECT_ERRNO(error, map_shared(self->fd, length, offset));     \
		EXPECT_EQ(0, device_vmas(self->fd));                           \
		EXPECT_MAPPED(map_shared(self->fd, self->ps, last), self->ps); \
	} while (0)

TEST_F(dev_mmap, one_page_more_than_the_buffer_is_refused)
{
	ACT(mmap);
	EXPECT_REFUSED(EINVAL, self->len + self->ps, 0);
}

TEST_F(dev_mmap, range_past_the_end_at_an_offset_is_refused)
{
	ACT(mmap);
	EXPECT_REFUSED(EINVAL, self->len, self->ps);
}

TEST_F(dev_mmap, range_right_after_the_end_is_refused)
{
	ACT(mmap);
	EXPECT_REFUSED(EINVAL, self->ps, self->len);
}

/* The last offset that the core lets through: offset + length just fits. */
TEST_F(dev_mmap, range_at_the_end_of_all_offsets_is_refused)
{
	ACT(mmap);
	EXPECT_REFUSED(EINVAL, self->ps, -2 * self->ps);
}

/* Since be83bbf80682 ("mmap: introduce sane default mmap limits") in v4.17. */
TEST_F(dev_mmap, range_that_wraps_around_is_refused_by_the_core)
{
	ACT(mmap);
	EXPECT_REFUSED(EOVERFLOW, 2 * self->ps, -self->ps);
}

TEST_F(dev_mmap, refused_mapping_leaves_no_reference)
{
	ACT(mmap);
	EXPECT_ERRNO(EINVAL, map_shared(self->fd, self->len + self->ps, 0));
	for (int i = 0; i < NPAGES; i++)
		EXPECT_EQ(1, device_page(self->fd, i).refs);

	EXPECT_MAPPED(map_shared(self->fd, self->len, 0), self->len);
	EXPECT_EQ(1, device_counters(self->fd).mmaps);
}

TEST_F(dev_mmap, references_come_back_with_munmap)
{
	const unsigned int held = maps_pfns(variant->map) ? 0 : 1;
	unsigned char *p;

	ACT(munmap);
	for (int round = 0; round < 3; round++) {
		p = map_shared(self->fd, self->len, 0);
		ASSERT_MAPPED(p, self->len);
		ASSERT_NO_FAULT(probe_write(p + self->ps));
		EXPECT_EQ(1 + held, device_page(self->fd, 1).refs);
		EXPECT_EQ(0, munmap(p, self->len));
		EXPECT_EQ(1, device_page(self->fd, 1).refs);
	}
	EXPECT_EQ(0, device_vmas(self->fd));
}

TEST_F(dev_mmap, mapping_outlives_its_descriptor)
{
	int other = open(DEVICE, O_RDWR | O_CLOEXEC);
	uint64_t buffers = device_counters(other).all_buffers;
	unsigned char *p = map_shared(self->fd, self->len, 0);

	ASSERT_MAPPED(p, self->len);

	ACT(munmap);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(buffers, device_counters(other).all_buffers);
	EXPECT_EQ(INSIDE ^ 3, peek(p + 3 * self->ps + INSIDE));
	EXPECT_NO_FAULT(probe_write(p));
	EXPECT_EQ(0, munmap(p, self->len));
	EXPECT_EQ(buffers - 1, device_counters(other).all_buffers);
}

TEST_F(dev_mmap, two_mappings_are_the_same_memory)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);
	unsigned char *q;

	ASSERT_MAPPED(p, self->len);

	ACT(mmap);
	q = map_shared(self->fd, self->ps, 2 * self->ps);
	ASSERT_MAPPED(q, self->ps);

	EXPECT_TRUE(poke(q + INSIDE, 0xee));
	EXPECT_EQ(0xee, peek(p + 2 * self->ps + INSIDE));
}

static int write_as_child(void *p)
{
	return probe_write(p).signal;
}

TEST_F(dev_mmap, child_writes_to_the_same_memory)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(poke(p, 0xee));

	ACT(clone);
	EXPECT_EQ(0, in_child(write_as_child, p + self->ps));

	EXPECT_EQ(0xa5, peek(p + self->ps));
	EXPECT_EQ(0xa5, device_peek(self->fd, self->ps));
	EXPECT_EQ(1, device_counters(self->fd).opens);
	EXPECT_EQ(1, device_vmas(self->fd));
}

TEST_F(dev_mmap, moved_mapping_is_the_same_memory)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);
	unsigned char *to = free_range(self->len, self->ps);

	ASSERT_MAPPED(p, self->len);
	ASSERT_NO_FAULT(probe_read(p));

	ACT(mremap);
	EXPECT_EQ(to, mremap(p, self->len, self->len,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_MAPPED(to, self->len);

	EXPECT_EQ(INSIDE ^ 3, peek(to + 3 * self->ps + INSIDE));
	EXPECT_TRUE(poke(to, 0xee));
	EXPECT_EQ(0xee, device_peek(self->fd, 0));
	EXPECT_EQ(1, device_vmas(self->fd));
}

/* VM_DONTEXPAND or VM_PFNMAP: there is nothing behind the buffer. */
TEST_F(dev_mmap, mapping_can_shrink_but_not_grow)
{
	unsigned char *p = map_shared(self->fd, 2 * self->ps, 0);

	ASSERT_MAPPED(p, 2 * self->ps);

	ACT(mremap);
	EXPECT_ERRNO(EFAULT,
		     mremap(p, 2 * self->ps, 3 * self->ps, MREMAP_MAYMOVE));
	EXPECT_EQ(p, mremap(p, 2 * self->ps, self->ps, 0));
	EXPECT_UNMAPPED(p + self->ps, self->ps);
	EXPECT_EQ(INSIDE, peek(p + INSIDE));
}

TEST_F(dev_mmap, hole_in_the_middle_leaves_both_ends)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);

	ASSERT_MAPPED(p, self->len);

	ACT(munmap);
	ASSERT_EQ(0, munmap(p + self->ps, self->ps));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p + self->ps,
		     probe_read(p + self->ps));
	EXPECT_EQ(INSIDE, peek(p + INSIDE));
	EXPECT_EQ(INSIDE ^ 2, peek(p + 2 * self->ps + INSIDE));
	EXPECT_EQ(2, device_vmas(self->fd));
	EXPECT_EQ(1, device_page(self->fd, 1).refs);
}

TEST_HARNESS_MAIN
