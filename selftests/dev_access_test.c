// SPDX-License-Identifier: GPL-2.0
/*
 * Who may do what with a driver's memory, however it is mapped: protection of
 * the file, the buffer and the mapping, private copies, nothing of a former
 * owner, and nothing but pages with references for the rest of the kernel
 * (mmap(2), mprotect(2), proc(5) for VmFlags).
 */
#include "memsafe_device.h"

#define NPAGES 4
#define INSIDE 123

FIXTURE(dev_access)
{
	struct memsafe_dev_setup setup;
	size_t len;
	size_t ps;
	int fd; /* its buffer: page i is fill()ed with seed i */
};

FIXTURE_VARIANT(dev_access)
{
	uint32_t memory;
	uint32_t map;
};

DEVICE_MODES(dev_access);

FIXTURE_SETUP(dev_access)
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

FIXTURE_TEARDOWN(dev_access)
{
}

static void *map_shared(int fd, size_t len, size_t offset)
{
	return mmap(NULL, len, PROT_RW, MAP_SHARED, fd, offset);
}

/* What a private mapping that may be written is refused with: 0 for not. */
static int private_errno(uint32_t memory, uint32_t map)
{
	if (map == MEMSAFE_DEV_FAULT_PFN)
		return EINVAL;
	/* remap_pfn_range() wants the whole VMA in one call, one range of PFNs. */
	if (map == MEMSAFE_DEV_REMAP_PFN && memory != MEMSAFE_DEV_KMALLOC)
		return EINVAL;
	return 0;
}

TEST_F(dev_access, mprotect_takes_the_write_away_and_gives_it_back)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(poke(p + self->ps, 0xee));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(p + self->ps, self->ps, PROT_READ));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p + self->ps,
		     probe_write(p + self->ps));
	EXPECT_EQ(0xee, peek(p + self->ps));
	ASSERT_EQ(0, mprotect(p + self->ps, self->ps, PROT_RW));
	EXPECT_TRUE(poke(p + self->ps, 0xdd));
	EXPECT_EQ(0xdd, device_peek(self->fd, self->ps));
}

TEST_F(dev_access, private_write_stays_private_or_is_refused)
{
	int refused = private_errno(variant->memory, variant->map);
	unsigned char *p;

	ACT(mmap);
	p = mmap(NULL, self->len, PROT_RW, MAP_PRIVATE, self->fd, 0);
	EXPECT_EQ(refused, errno_of(p));
	if (refused) {
		EXPECT_EQ(0, device_vmas(self->fd));
		EXPECT_MAPPED(map_shared(self->fd, self->len, 0), self->len);
	} else {
		ASSERT_MAPPED(p, self->len);
		EXPECT_EQ(INSIDE ^ 1, peek(p + self->ps + INSIDE));
		EXPECT_TRUE(poke(p + self->ps + INSIDE, 0xee));
		EXPECT_EQ(0xee, peek(p + self->ps + INSIDE));
		EXPECT_EQ(INSIDE ^ 1, device_peek(self->fd, self->ps + INSIDE));
		EXPECT_EQ(1, device_page(self->fd, 1).refs);
	}
}

TEST_F(dev_access, read_only_descriptor_maps_for_reading_only)
{
	int fd = device_open(O_RDONLY, &self->setup);
	unsigned char *p;

	ASSERT_LE(0, fd);

	ACT(mmap);
	EXPECT_ERRNO(EACCES, map_shared(fd, self->len, 0));
	p = mmap(NULL, self->len, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(p, self->len);

	EXPECT_ERRNO(EACCES, mprotect(p, self->len, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_EQ(0, peek(p));
}

/* The driver's own rule, which it must keep by taking VM_MAYWRITE away. */
TEST_F(dev_access, read_only_buffer_is_never_writable)
{
	unsigned char *p;
	int fd;

	self->setup.flags = MEMSAFE_DEV_READ_ONLY;
	fd = device_open(O_RDWR, &self->setup);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(device_fill(fd, NPAGES));

	ACT(mmap);
	EXPECT_ERRNO(EACCES, map_shared(fd, self->len, 0));
	p = mmap(NULL, self->len, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(p, self->len);

	EXPECT_ERRNO(EACCES, mprotect(p, self->len, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_EQ(INSIDE ^ 1, peek(p + self->ps + INSIDE));
}

/* Half a page more: what is mapped of it must be zero too. */
TEST_F(dev_access, memory_of_a_former_buffer_is_never_seen)
{
	size_t pages = NPAGES + 1;
	unsigned char *p;
	int fd;

	ASSERT_EQ(0, close(self->fd));
	self->setup.size = self->len + self->ps / 2;

	ACT(mmap);
	for (int round = 0; round < 8; round++) {
		fd = device_open(O_RDWR, &self->setup);
		ASSERT_LE(0, fd);
		p = map_shared(fd, pages * self->ps, 0);
		ASSERT_MAPPED(p, pages * self->ps);
		EXPECT_EQ(pages * self->ps, first_nonzero(p, pages * self->ps));
		memset(p, 0xee, pages * self->ps);
		ASSERT_EQ(0, munmap(p, pages * self->ps));
		ASSERT_EQ(0, close(fd));
	}
}

/* man proc, VmFlags: dd not dumped, de no growth, io, pf bare PFNs. */
TEST_F(dev_access, flags_say_what_the_mapping_is)
{
	bool pfns = maps_pfns(variant->map);
	unsigned char *p;

	ACT(mmap);
	p = map_shared(self->fd, self->len, 0);
	ASSERT_MAPPED(p, self->len);

	EXPECT_TRUE(has_vm_flag(p, "dd"));
	EXPECT_TRUE(has_vm_flag(p, "de"));
	EXPECT_EQ(pfns, has_vm_flag(p, "io"));
	EXPECT_EQ(pfns, has_vm_flag(p, "pf"));
}

/* Pages without a reference must not be got by anybody. */
TEST_F(dev_access, kernel_gets_pages_with_references_only)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);
	unsigned char byte = 0;
	struct iovec to = { .iov_base = &byte, .iov_len = 1 };
	struct iovec from = { .iov_base = p + INSIDE, .iov_len = 1 };

	ASSERT_MAPPED(p, self->len);
	ASSERT_NO_FAULT(probe_read(p));

	ACT(process_vm_readv);
	if (maps_pfns(variant->map)) {
		EXPECT_ERRNO(EFAULT,
			     process_vm_readv(getpid(), &to, 1, &from, 1, 0));
		from.iov_base = self;
	}
	EXPECT_EQ(1, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_EQ(*(unsigned char *)from.iov_base, byte);
	EXPECT_LE(device_page(self->fd, 0).refs, 2);
}

/* Through the page, or through the ->access of the driver. */
TEST_F(dev_access, proc_mem_reads_and_writes_the_buffer)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	off_t at = (uintptr_t)p + 2 * self->ps + INSIDE;
	unsigned char byte = 0;

#ifdef __arm__
	if (maps_pfns(variant->map))
		SKIP(return, "needs CONFIG_HAVE_IOREMAP_PROT=y");
#endif
	ASSERT_MAPPED(p, self->len);
	ASSERT_LE(0, mem);

	ACT(pwrite64);
	EXPECT_EQ(1, pread(mem, &byte, 1, at));
	EXPECT_EQ(INSIDE ^ 2, byte);
	byte = 0xee;
	EXPECT_EQ(1, pwrite(mem, &byte, 1, at));
	EXPECT_EQ(0xee, device_peek(self->fd, 2 * self->ps + INSIDE));
}

/* A debugger asks for as much as it likes, of a mapping that begins anywhere. */
TEST_F(dev_access, proc_mem_goes_on_in_the_next_page)
{
	unsigned char *p = map_shared(self->fd, 2 * self->ps, self->ps);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	off_t at = (uintptr_t)p + self->ps - 1;
	unsigned char bytes[2] = {};

#ifdef __arm__
	if (maps_pfns(variant->map))
		SKIP(return, "needs CONFIG_HAVE_IOREMAP_PROT=y");
#endif
	ASSERT_MAPPED(p, 2 * self->ps);
	ASSERT_LE(0, mem);

	ACT(pread64);
	EXPECT_EQ(2, pread(mem, bytes, 2, at));
	EXPECT_EQ(device_peek(self->fd, 2 * self->ps - 1), bytes[0]);
	EXPECT_EQ(device_peek(self->fd, 2 * self->ps), bytes[1]);
	EXPECT_EQ(2, pwrite(mem, "\xee\xdd", 2, at));
	EXPECT_EQ(0xee, device_peek(self->fd, 2 * self->ps - 1));
	EXPECT_EQ(0xdd, device_peek(self->fd, 2 * self->ps));
}

/* The driver's ->access has to look at the mapping itself. */
TEST_F(dev_access, proc_mem_does_not_write_to_a_read_only_mapping)
{
	unsigned char *p = map_shared(self->fd, self->len, 0);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	off_t at = (uintptr_t)p + INSIDE;
	unsigned char byte = 0xee;

	ASSERT_MAPPED(p, self->len);
	ASSERT_EQ(0, mprotect(p, self->len, PROT_READ));

	ACT(pwrite64);
	EXPECT_ERRNO(EIO, pwrite(mem, &byte, 1, at));
	EXPECT_EQ(INSIDE, device_peek(self->fd, INSIDE));
	EXPECT_EQ(1, pwrite(self->fd, &byte, 1, INSIDE));
	EXPECT_EQ(0xee, peek(p + INSIDE));
}

TEST_HARNESS_MAIN
