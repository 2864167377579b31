// SPDX-License-Identifier: GPL-2.0
/*
 * A page fault of a driver's mapping, seen from both sides: the handler is
 * called for the page that was accessed, once, and what it returns is what the
 * program sees (Documentation/filesystems/locking.rst, vm_operations_struct;
 * sigaction(2) for the signals).
 */
#include "memsafe_device.h"

#define NPAGES 4

/* A byte inside a page: the handler and si_addr are told the byte. */
#define INSIDE 123

/*
 *	buffer   | 0 | 1 | 2 | 3 |	page i is fill()ed with seed i
 *	mapping  | 0 | 1 | 2 | 3 | past the end |
 *	         ^map            ^end
 */
FIXTURE(dev_fault)
{
	unsigned char *map;
	unsigned char *end;
	size_t len;
	size_t ps;
	int fd;
};

FIXTURE_VARIANT(dev_fault)
{
	uint32_t memory;
	uint32_t map;
};

FIXTURE_VARIANT_ADD(dev_fault, page)
{
	.memory = MEMSAFE_DEV_PAGES,
	.map = MEMSAFE_DEV_FAULT,
};

FIXTURE_VARIANT_ADD(dev_fault, vmalloc)
{
	.memory = MEMSAFE_DEV_VMALLOC,
	.map = MEMSAFE_DEV_FAULT,
};

FIXTURE_VARIANT_ADD(dev_fault, insert_page)
{
	.memory = MEMSAFE_DEV_PAGES,
	.map = MEMSAFE_DEV_FAULT_INSERT,
};

FIXTURE_VARIANT_ADD(dev_fault, insert_pfn)
{
	.memory = MEMSAFE_DEV_KMALLOC,
	.map = MEMSAFE_DEV_FAULT_PFN,
};

FIXTURE_SETUP(dev_fault)
{
	struct memsafe_dev_setup setup = {
		.memory = variant->memory,
		.map = variant->map,
		.flags = MEMSAFE_DEV_OPEN_END,
	};
	unsigned char warm_up;

	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	self->len = NPAGES * self->ps;
	setup.size = self->len;
	self->fd = device_open(O_RDWR, &setup);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(device_fill(self->fd, NPAGES));
	self->map = mmap(NULL, self->len + self->ps, PROT_RW, MAP_SHARED,
			 self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	self->end = self->map + self->len;
	/* Faults that tests count are to be those of the mapping. */
	probe_write(&warm_up);
	peek(&warm_up);
}

FIXTURE_TEARDOWN(dev_fault)
{
}

static uint64_t faults(int fd)
{
	return device_counters(fd).faults;
}

/* arm tells a handler the page only: do_page_fault() in arch/arm/mm/fault.c. */
static uint64_t known_address(const unsigned char *p, long ps)
{
#ifdef __arm__
	return (uintptr_t)p & ~(ps - 1);
#else
	(void)ps;
	return (uintptr_t)p;
#endif
}

static uint64_t mkwrites(int fd)
{
	struct memsafe_dev_counters now = device_counters(fd);

	return now.page_mkwrites + now.pfn_mkwrites;
}

TEST_F(dev_fault, each_page_faults_once)
{
	ASSERT_EQ(0, faults(self->fd));

	ACT_PROBE();
	for (int i = 0; i < NPAGES; i++) {
		EXPECT_NO_FAULT(probe_read(self->map + i * self->ps));
		EXPECT_EQ(i + 1, faults(self->fd));
	}
	for (int i = 0; i < NPAGES; i++)
		EXPECT_NO_FAULT(probe_read(self->map + i * self->ps + INSIDE));
	EXPECT_EQ(NPAGES, faults(self->fd));
}

TEST_F(dev_fault, handler_gets_page_offset_and_address)
{
	unsigned char *p = self->map + 2 * self->ps + INSIDE;
	struct memsafe_dev_seen seen;

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_read(p));

	seen = device_counters(self->fd).fault;
	EXPECT_EQ(2, seen.pgoff);
	EXPECT_EQ((uintptr_t)self->map + 2 * self->ps, seen.address);
	EXPECT_EQ(known_address(p, self->ps), seen.real_address);
}

TEST_F(dev_fault, mapping_at_an_offset_adds_it_to_the_page_offset)
{
	unsigned char *p;

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 3 * self->ps);
	ASSERT_MAPPED(p, self->ps);

	ASSERT_NO_FAULT(probe_read(p));
	EXPECT_EQ(3, device_counters(self->fd).fault.pgoff);
	EXPECT_EQ(self->ps, first_difference(p, self->ps, 3));
}

TEST_F(dev_fault, read_is_a_user_read)
{
	uint32_t flags;

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_read(self->map));

	flags = device_counters(self->fd).fault.flags;
	EXPECT_TRUE(flags & MEMSAFE_DEV_SEEN_USER);
	EXPECT_FALSE(flags & MEMSAFE_DEV_SEEN_WRITE);
	EXPECT_FALSE(flags & MEMSAFE_DEV_SEEN_INSTRUCTION);
	EXPECT_EQ(0, mkwrites(self->fd));
}

TEST_F(dev_fault, write_is_a_user_write_and_calls_mkwrite_once)
{
	ACT_PROBE();
	EXPECT_NO_FAULT(probe_write(self->map + self->ps));
	EXPECT_EQ(1, mkwrites(self->fd));
	EXPECT_NO_FAULT(probe_write(self->map + self->ps));
	EXPECT_EQ(1, mkwrites(self->fd));

	EXPECT_TRUE(device_counters(self->fd).fault.flags &
		    MEMSAFE_DEV_SEEN_WRITE);
	EXPECT_EQ(1, device_counters(self->fd).mkwrite.pgoff);
	EXPECT_EQ((uintptr_t)self->map + self->ps,
		  device_counters(self->fd).mkwrite.address);
}

TEST_F(dev_fault, write_after_read_calls_mkwrite_alone)
{
	ASSERT_NO_FAULT(probe_read(self->map));
	ASSERT_EQ(0, mkwrites(self->fd));

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_write(self->map));

	EXPECT_EQ(1, mkwrites(self->fd));
	EXPECT_EQ(1, faults(self->fd));
	EXPECT_EQ(0xa5, device_peek(self->fd, 0));
}

TEST_F(dev_fault, write_reaches_the_buffer_and_no_other_page)
{
	ACT_PROBE();
	EXPECT_TRUE(poke(self->map + self->ps + INSIDE, 0xee));

	EXPECT_EQ(0xee, device_peek(self->fd, self->ps + INSIDE));
	EXPECT_EQ(INSIDE, device_peek(self->fd, INSIDE));
	EXPECT_EQ(INSIDE ^ 2, device_peek(self->fd, 2 * self->ps + INSIDE));
}

TEST_F(dev_fault, access_past_the_end_is_sigbus)
{
	unsigned char *p = self->end + INSIDE;

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_read(self->end - 1));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p, probe_read(p));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p, probe_write(p));
	EXPECT_EQ(NPAGES, device_counters(self->fd).fault.pgoff);
}

TEST_F(dev_fault, write_to_a_read_only_mapping_calls_no_handler)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->map, self->ps, PROT_READ));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->map, probe_write(self->map));
	EXPECT_EQ(0, faults(self->fd));
	EXPECT_EQ(0, mkwrites(self->fd));
	EXPECT_EQ(0, device_peek(self->fd, 0));
}

TEST_F(dev_fault, second_mapping_sees_the_data)
{
	unsigned char *p;

	ASSERT_TRUE(poke(self->map + INSIDE, 0xee));

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_EQ(0xee, peek(p + INSIDE));
	EXPECT_TRUE(poke(p + INSIDE, 0xdd));
	EXPECT_EQ(0xdd, peek(self->map + INSIDE));
	EXPECT_EQ(2, device_vmas(self->fd));
}

/* Only mappings without VM_IO and VM_PFNMAP are populated: mm_populate(). */
TEST_F(dev_fault, populate_faults_each_page_in_mmap)
{
	bool populated = !maps_pfns(variant->map);
	unsigned char *p;

	ACT(mmap);
	p = mmap(NULL, self->len, PROT_READ, MAP_SHARED | MAP_POPULATE,
		 self->fd, 0);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(populated ? NPAGES : 0, faults(self->fd));
	for (int i = 0; i < NPAGES; i++)
		EXPECT_EQ(populated, is_present(p + i * self->ps));
}

TEST_F(dev_fault, access_in_a_system_call_faults_as_the_kernel)
{
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));

	ACT(writev);
	EXPECT_EQ(1, gather(fds[1], self->map + INSIDE, 1));

	EXPECT_EQ(1, faults(self->fd));
	EXPECT_FALSE(device_counters(self->fd).fault.flags &
		     MEMSAFE_DEV_SEEN_USER);
	EXPECT_EQ(known_address(self->map + INSIDE, self->ps),
		  device_counters(self->fd).fault.real_address);
}

TEST_F(dev_fault, system_call_past_the_end_is_efault)
{
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));

	ACT(writev);
	EXPECT_ERRNO(EFAULT, gather(fds[1], self->end, 1));
	EXPECT_EQ(NPAGES, device_counters(self->fd).fault.pgoff);
	EXPECT_EQ(1, gather(fds[1], self->end - 1, 1));
	EXPECT_ERRNO(EFAULT, read(fds[0], self->end, 1));
}

/* The driver holds no lock that its own fault handler would need. */
TEST_F(dev_fault, read_of_the_device_into_its_own_mapping_works)
{
	unsigned char *to = self->map + 2 * self->ps;

	ACT(pread64);
	EXPECT_EQ((ssize_t)self->ps, pread(self->fd, to, self->ps, self->ps));

	EXPECT_EQ(self->ps, first_difference(to, self->ps, 1));
	EXPECT_EQ(1, faults(self->fd));
}

TEST_F(dev_fault, dropped_page_faults_again)
{
	ASSERT_NO_FAULT(probe_read(self->map));
	ASSERT_EQ(1, faults(self->fd));

	ACT(madvise);
	if (maps_pfns(variant->map)) {
		EXPECT_ERRNO(EINVAL,
			     madvise(self->map, self->ps, MADV_DONTNEED));
		EXPECT_EQ(0, madvise(self->map, self->ps, MADV_NORMAL));
		EXPECT_EQ(0, peek(self->map));
		EXPECT_EQ(1, faults(self->fd));
	} else {
		EXPECT_EQ(0, madvise(self->map, self->ps, MADV_DONTNEED));
		EXPECT_EQ(1, device_page(self->fd, 0).refs);
		EXPECT_EQ(0, peek(self->map));
		EXPECT_EQ(2, faults(self->fd));
	}
}

static int write_as_child(void *p)
{
	return probe_write(p).signal;
}

TEST_F(dev_fault, child_shares_the_buffer_and_the_counts)
{
	ASSERT_TRUE(poke(self->map, 0xee));

	ACT(clone);
	EXPECT_EQ(0, in_child(write_as_child, self->map + self->ps));
	EXPECT_EQ(0xa5, peek(self->map + self->ps));
	EXPECT_EQ(1, device_counters(self->fd).opens);
	EXPECT_EQ(1, device_vmas(self->fd));
	EXPECT_EQ(0, munmap(self->map, self->len + self->ps));

	EXPECT_EQ(0, device_vmas(self->fd));
	EXPECT_EQ(1, device_page(self->fd, 1).refs);
}

TEST_F(dev_fault, moved_mapping_keeps_its_place_in_the_buffer)
{
	unsigned char *to = free_range(self->ps, self->ps);

	ASSERT_NE(MAP_FAILED, to);

	ACT(mremap);
	EXPECT_EQ(to, mremap(self->map + 2 * self->ps, self->ps, self->ps,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));

	ASSERT_MAPPED(to, self->ps);
	EXPECT_EQ(INSIDE ^ 2, peek(to + INSIDE));
	EXPECT_EQ(2, device_counters(self->fd).fault.pgoff);
	/* | 0 | 1 | moved away | 3 | past the end | and the moved one */
	EXPECT_EQ(3, device_vmas(self->fd));
}

TEST_F(dev_fault, partial_unmap_leaves_the_rest_in_place)
{
	ACT(munmap);
	ASSERT_EQ(0, munmap(self->map + self->ps, self->ps));
	EXPECT_EQ(2, device_vmas(self->fd));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, self->map + self->ps,
		     probe_read(self->map + self->ps));
	EXPECT_EQ(INSIDE ^ 3, peek(self->map + 3 * self->ps + INSIDE));
	EXPECT_EQ(3, device_counters(self->fd).fault.pgoff);
	ASSERT_EQ(0, munmap(self->map, self->len + self->ps));
	EXPECT_EQ(0, device_vmas(self->fd));
}

/* The driver puts no limit: MEMSAFE_DEV_OPEN_END. PFN mappings never grow. */
TEST_F(dev_fault, grown_mapping_is_sigbus_past_the_end)
{
	size_t old = self->len + self->ps;
	size_t new = old + self->ps;
	unsigned char *p;

	ACT(mremap);
	p = mremap(self->map, old, new, MREMAP_MAYMOVE);
	if (maps_pfns(variant->map)) {
		EXPECT_ERRNO(EFAULT, p);
		EXPECT_EQ(self->map, mremap(self->map, old, self->len, 0));
	} else {
		ASSERT_MAPPED(p, new);
		EXPECT_EQ(INSIDE ^ 3, peek(p + 3 * self->ps + INSIDE));
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, p + old, probe_read(p + old));
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, p + self->len,
			     probe_read(p + self->len));
	}
}

TEST_HARNESS_MAIN
