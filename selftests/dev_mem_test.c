// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mem under CONFIG_STRICT_DEVMEM (its help text in lib/Kconfig.debug):
 * memory of the kernel and of processes can't be read, written or mapped, what
 * is no RAM can, and without CAP_SYS_RAWIO there is no /dev/mem at all. In a
 * guest only: elsewhere these addresses could be anything.
 */
#include <linux/capability.h>

#include "memsafe.h"
#include "memsafe_guest.h"

#define DEV_MEM "/dev/mem"
#define MIB (1UL << 20)
#define OLD 0x11

struct range {
	uint64_t start;
	uint64_t end; /* of the last byte */
};

/* The first range of RAM at @from or above; false: none, or not told. */
static bool find_ram(uint64_t from, struct range *range)
{
	struct line_reader lines;
	bool found = false;

	if (!lines_open(&lines, "/proc/iomem"))
		return false;
	while (!found && lines_next(&lines))
		found = strstr(lines.line, " : System RAM") &&
			sscanf(lines.line, "%" SCNx64 "-%" SCNx64,
			       &range->start, &range->end) == 2 &&
			range->start >= from && range->end;
	lines_close(&lines);
	return found;
}

/* A page of one's own and where it is. */
FIXTURE(dev_mem)
{
	size_t ps;
	int fd;
	unsigned char *page;
	uint64_t frame; /* its physical address */
	struct range ram; /* of the kernel, from its first page */
};

FIXTURE_SETUP(dev_mem)
{
	SKIP_OUTSIDE_A_GUEST();
	if (access(DEV_MEM, F_OK) || !has_capability(CAP_SYS_RAWIO))
		SKIP(return, "needs " DEV_MEM " and CAP_SYS_RAWIO");
	self->ps = page_size();
	self->fd = open(DEV_MEM, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->page);
	memset(self->page, OLD, self->ps);
	self->frame = (pagemap_entry(self->page) & PAGEMAP_PFN_MASK) * self->ps;
	ASSERT_NE(0, self->frame);
	ASSERT_TRUE(find_ram(MIB, &self->ram));
}

FIXTURE_TEARDOWN(dev_mem)
{
}

TEST_F(dev_mem, ram_can_not_be_read)
{
	unsigned char buf[64];

	memset(buf, 0xee, sizeof(buf));

	ACT(pread64);
	EXPECT_ERRNO(EPERM, pread(self->fd, buf, sizeof(buf), self->ram.start));
	EXPECT_EQ(-1, pread(self->fd, buf, sizeof(buf), self->frame));
	EXPECT_EQ(sizeof(buf), first_other(buf, sizeof(buf), 0xee));
}

TEST_F(dev_mem, ram_can_not_be_written)
{
	char c = 7;

	ACT(pwrite64);
	EXPECT_EQ(-1, pwrite(self->fd, &c, 1, self->frame));
	EXPECT_EQ(self->ps, first_other(self->page, self->ps, OLD));
}

TEST_F(dev_mem, ram_can_not_be_mapped)
{
	ACT(mmap);
	EXPECT_ERRNO(EPERM, mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd,
				 self->frame));
	EXPECT_ERRNO(EPERM, mmap(NULL, self->ps, PROT_READ, MAP_PRIVATE,
				 self->fd, self->frame));
	EXPECT_ERRNO(EPERM, mmap(NULL, self->ps, PROT_READ, MAP_SHARED,
				 self->fd, self->ram.start));
}

/* What is in front of it may be mapped alone. */
TEST_F(dev_mem, range_that_ends_in_ram_can_not_be_mapped)
{
	off_t before = self->ram.start - self->ps;

	ACT(mmap);
	EXPECT_ERRNO(EPERM, mmap(NULL, 2 * self->ps, PROT_READ, MAP_SHARED,
				 self->fd, before));
	EXPECT_NE(MAP_FAILED, mmap(NULL, self->ps, PROT_READ, MAP_SHARED,
				   self->fd, before));
}

#if defined(__x86_64__) || defined(__i386__)
#define BIOS_ROM 0xf0000
#endif

TEST_F(dev_mem, rom_can_be_mapped_and_read)
{
#ifdef BIOS_ROM
	unsigned char buf[64];
	unsigned char *p;

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, BIOS_ROM);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_NE(NULL, p);
	EXPECT_TRUE(has_vm_flag(p, "pf"));
	EXPECT_EQ(sizeof(buf), pread(self->fd, buf, sizeof(buf), BIOS_ROM));
	EXPECT_EQ(0, memcmp(p, buf, sizeof(buf)));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
#else
	SKIP(return, "needs a ROM at a known address (x86)");
#endif
}

/* Programs of old may read all of it, and see no RAM: arch/x86/mm/init.c. */
TEST_F(dev_mem, ram_of_the_first_megabyte_reads_as_zeros)
{
#ifdef BIOS_ROM
	unsigned char buf[256];
	struct range low;

	ASSERT_TRUE(find_ram(0, &low));
	ASSERT_GT(MIB, low.end);
	memset(buf, 0xee, sizeof(buf));

	ACT(pread64);
	for (off_t at = low.start; at < (off_t)low.start + 4 * 4096;
	     at += 4096) {
		ASSERT_EQ(sizeof(buf), pread(self->fd, buf, sizeof(buf), at));
		EXPECT_EQ(sizeof(buf), first_nonzero(buf, sizeof(buf)));
	}
#else
	SKIP(return, "needs a first megabyte that is shown (x86)");
#endif
}

TEST_F(dev_mem, address_beyond_the_physical_limit_is_einval)
{
	if (sizeof(long) < 8)
		SKIP(return, "needs 64-bit offsets");

	ACT(mmap);
	EXPECT_ERRNO(EINVAL, mmap(NULL, self->ps, PROT_READ, MAP_SHARED,
				  self->fd, (off_t)1 << 56));
}

/* Bits of a physical address: "address sizes" of /proc/cpuinfo; 0: not told. */
static int physical_bits(void)
{
	struct line_reader lines;
	int bits = 0;

	if (!lines_open(&lines, "/proc/cpuinfo"))
		return 0;
	while (!bits && lines_next(&lines))
		if (sscanf(lines.line, "address sizes : %d bits", &bits) != 1)
			bits = 0;
	lines_close(&lines);
	return bits;
}

TEST_F(dev_mem, range_that_ends_beyond_the_physical_limit_is_einval)
{
	off_t last;

	if (sizeof(long) < 8 || !physical_bits())
		SKIP(return, "needs 64-bit offsets");
	last = ((off_t)1 << physical_bits()) - self->ps;

	ACT(mmap);
	EXPECT_ERRNO(EINVAL, mmap(NULL, 2 * self->ps, PROT_READ, MAP_SHARED,
				  self->fd, last));
	EXPECT_MAPPED(mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd,
			   last),
		      self->ps);
}

TEST_F(dev_mem, opening_needs_cap_sys_rawio)
{
	ASSERT_TRUE(drop_capability(CAP_SYS_RAWIO));

	ACT(openat);
	EXPECT_ERRNO(EPERM, open(DEV_MEM, O_RDONLY | O_CLOEXEC));
}

TEST_F(dev_mem, opening_needs_permission_for_the_file)
{
	const int nobody = 65534;

	ASSERT_EQ(0, setresuid(nobody, nobody, nobody));

	ACT(openat);
	EXPECT_ERRNO(EACCES, open(DEV_MEM, O_RDONLY | O_CLOEXEC));
}

TEST_HARNESS_MAIN
