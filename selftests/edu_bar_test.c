// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI BAR mapped into user space is the registers of the device and nothing
 * else, whoever maps it (mmap(2), mremap(2)).
 */
#include <sys/uio.h>

#include "memsafe_edu_bar.h"
#include "memsafe_guest.h"

MEMSAFE_GUEST("pc");

/* The registers, whoever maps them. */
FIXTURE(edu_bar)
{
	char resource[300];
	size_t ps;
	int fd;
	int other; /* the same device by another way */
};

FIXTURE_VARIANT(edu_bar)
{
	bool sysfs;
};

FIXTURE_VARIANT_ADD(edu_bar, driver)
{
	.sysfs = false,
};

FIXTURE_VARIANT_ADD(edu_bar, sysfs)
{
	.sysfs = true,
};

FIXTURE_SETUP(edu_bar)
{
	char address[64];
	int driver;

	if (!edu_address(address, sizeof(address)))
		SKIP(return, "needs PCI device edu");
	if (access(DEVICE, F_OK))
		SKIP(return, "needs " DEVICE);
	self->ps = page_size();
	snprintf(self->resource, sizeof(self->resource),
		 DEVICES "/%s/resource%d", address, EDU_BAR);
	driver = open(DEVICE, O_RDWR | O_CLOEXEC);
	self->other = open(self->resource, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, driver);
	ASSERT_LE(0, self->other);
	self->fd = variant->sysfs ? self->other : driver;
	self->other = variant->sysfs ? driver : self->other;
}

FIXTURE_TEARDOWN(edu_bar)
{
}

TEST_F(edu_bar, mapping_is_the_registers)
{
	void *bar;

	ACT(mmap);
	bar = map_bar(self->fd, EDU_BAR_SIZE, 0);
	ASSERT_MAPPED(bar, EDU_BAR_SIZE);

	EXPECT_EQ(EDU_ID_VALUE, reg_read(bar, EDU_ID) & EDU_ID_MASK);
	reg_write(bar, EDU_LIVENESS, 0x12345678);
	EXPECT_EQ(~0x12345678U, reg_read(bar, EDU_LIVENESS));
}

TEST_F(edu_bar, two_ways_to_map_are_one_device)
{
	void *bar, *other = map_bar(self->other, self->ps, 0);

	ASSERT_MAPPED(other, self->ps);

	ACT(mmap);
	bar = map_bar(self->fd, self->ps, 0);
	ASSERT_MAPPED(bar, self->ps);
	ASSERT_NE(other, bar);

	for (uint32_t i = 0; i < 8; i++) {
		reg_write(bar, EDU_LIVENESS, i * 0x11111111);
		EXPECT_EQ(~(i * 0x11111111), reg_read(other, EDU_LIVENESS));
		reg_write(other, EDU_LIVENESS, i);
		EXPECT_EQ(~i, reg_read(bar, EDU_LIVENESS));
	}
}

/* The pages behind the first have no registers and answer with ones. */
TEST_F(edu_bar, offset_is_the_place_in_the_bar)
{
	void *bar;

	ACT(mmap);
	bar = map_bar(self->fd, self->ps, EDU_BAR_SIZE - self->ps);
	ASSERT_MAPPED(bar, self->ps);

	EXPECT_EQ(~0U, reg_read(bar, EDU_ID));
	EXPECT_EQ(~0U, reg_read(bar, EDU_LIVENESS));
}

TEST_F(edu_bar, range_past_the_end_of_the_bar_is_einval)
{
	ACT(mmap);
	EXPECT_ERRNO(EINVAL, map_bar(self->fd, EDU_BAR_SIZE + self->ps, 0));
	EXPECT_ERRNO(EINVAL, map_bar(self->fd, EDU_BAR_SIZE, self->ps));
	EXPECT_ERRNO(EINVAL, map_bar(self->fd, self->ps, EDU_BAR_SIZE));
	EXPECT_ERRNO(EINVAL, map_bar(self->fd, self->ps, 1LL << 42));
}

TEST_F(edu_bar, mapping_can_not_grow)
{
	void *bar = map_bar(self->fd, self->ps, 0);

	ASSERT_MAPPED(bar, self->ps);

	ACT(mremap);
	EXPECT_ERRNO(EFAULT,
		     mremap(bar, self->ps, 2 * self->ps, MREMAP_MAYMOVE));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(bar, EDU_ID) & EDU_ID_MASK);
}

TEST_F(edu_bar, mapping_is_marked_as_io_for_the_rest_of_the_kernel)
{
	void *bar;

	ACT(mmap);
	bar = map_bar(self->fd, self->ps, 0);
	ASSERT_MAPPED(bar, self->ps);

	EXPECT_TRUE(has_vm_flag(bar, "io"));
	EXPECT_TRUE(has_vm_flag(bar, "pf"));
	EXPECT_TRUE(has_vm_flag(bar, "de"));
	EXPECT_TRUE(has_vm_flag(bar, "dd"));
}

/* There is no page that a reference could be taken of. */
TEST_F(edu_bar, nobody_gets_pages_of_registers)
{
	void *bar = map_bar(self->fd, self->ps, 0);
	struct iovec from = { .iov_base = bar, .iov_len = 4 };
	uint32_t value;
	struct iovec to = { .iov_base = &value, .iov_len = 4 };

	ASSERT_MAPPED(bar, self->ps);
	reg_read(bar, EDU_ID);

	ACT(process_vm_readv);
	EXPECT_ERRNO(EFAULT,
		     process_vm_readv(getpid(), &to, 1, &from, 1, 0));
}

TEST_F(edu_bar, read_only_file_gives_no_write)
{
	void *bar;
	int fd;

	/* The driver lets nobody in twice. */
	close(self->fd);
	fd = open(variant->sysfs ? self->resource : DEVICE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	bar = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_MAPPED(bar, self->ps);
	EXPECT_ERRNO(EACCES, map_bar(fd, self->ps, 0));

	ACT(mprotect);
	EXPECT_ERRNO(EACCES, mprotect(bar, self->ps, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, (char *)bar + EDU_LIVENESS,
		     probe_write((char *)bar + EDU_LIVENESS));
}

TEST_HARNESS_MAIN
