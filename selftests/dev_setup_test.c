// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of /dev/memsafe around its mappings: one buffer a file, checked
 * before it is made, whose hooks can refuse a split or a move, and a module
 * that stays while it is mapped (vm_operations_struct in include/linux/mm.h).
 */
#include "memsafe_device.h"

#define NPAGES 4

FIXTURE(dev_setup)
{
	struct memsafe_dev_setup setup;
	size_t ps;
	int fd; /* without a buffer yet */
};

FIXTURE_SETUP(dev_setup)
{
	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	self->setup.size = NPAGES * self->ps;
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(dev_setup)
{
}

static int set_up(int fd, const struct memsafe_dev_setup *setup)
{
	return errno_of(ioctl(fd, MEMSAFE_DEV_SETUP, setup));
}

/* Once the setup is right again it works: what was wrong is what was refused. */
#define EXPECT_INVALID(field, value)                                        \
	do {                                                                \
		struct memsafe_dev_setup bad = self->setup;                 \
                                                                            \
		bad.field = (value);                                        \
		EXPECT_EQ(EINVAL, set_up(self->fd, &bad));                  \
		EXPECT_EQ(0, set_up(self->fd, &self->setup));               \
		EXPECT_EQ(-1, device_peek(self->fd, NPAGES * self->ps));    \
		EXPECT_EQ(0, device_peek(self->fd, NPAGES * self->ps - 1)); \
	} while (0)

TEST_F(dev_setup, size_of_zero_is_invalid)
{
	ACT(ioctl);
	EXPECT_INVALID(size, 0);
}

TEST_F(dev_setup, size_above_the_limit_is_invalid)
{
	ACT(ioctl);
	EXPECT_INVALID(size, MEMSAFE_DEV_MAX_SIZE + 1);
}

TEST_F(dev_setup, size_that_wraps_around_is_invalid)
{
	ACT(ioctl);
	EXPECT_INVALID(size, UINT64_MAX - self->ps / 2);
}

TEST_F(dev_setup, unknown_memory_is_invalid)
{
	ACT(ioctl);
	EXPECT_INVALID(memory, MEMSAFE_DEV_KMALLOC + 1);
}

TEST_F(dev_setup, unknown_map_is_invalid)
{
	ACT(ioctl);
	EXPECT_INVALID(map, MEMSAFE_DEV_REMAP_VMALLOC + 1);
}

TEST_F(dev_setup, unknown_flag_is_invalid)
{
	ACT(ioctl);
	EXPECT_INVALID(flags, 1U << 31);
}

/* Slab memory has no references for a mapping to hold. */
TEST_F(dev_setup, kmalloc_memory_can_not_be_given_to_the_core)
{
	ACT(ioctl);
	EXPECT_INVALID(memory, MEMSAFE_DEV_KMALLOC);
}

TEST_F(dev_setup, second_buffer_is_refused)
{
	ACT(ioctl);
	EXPECT_EQ(0, set_up(self->fd, &self->setup));
	self->setup.size = self->ps;
	EXPECT_EQ(EBUSY, set_up(self->fd, &self->setup));

	EXPECT_EQ(0, device_peek(self->fd, NPAGES * self->ps - 1));
}

TEST_F(dev_setup, file_without_a_buffer_can_not_be_mapped)
{
	ACT(mmap);
	EXPECT_ERRNO(ENXIO,
		     mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 0));

	ASSERT_EQ(0, set_up(self->fd, &self->setup));
	EXPECT_MAPPED(mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 0),
		      self->ps);
}

TEST_F(dev_setup, buffer_is_gone_with_its_file)
{
	int fd = device_open(O_RDWR, &self->setup);
	struct memsafe_dev_counters before = device_counters(self->fd);
	struct memsafe_dev_counters after;

	ASSERT_LE(0, fd);

	ACT(close);
	EXPECT_EQ(0, close(fd));

	after = device_counters(self->fd);
	EXPECT_EQ(before.all_buffers - 1, after.all_buffers);
	EXPECT_EQ(before.all_pages - NPAGES, after.all_pages);
}

/* mprotect(), munmap() and madvise() of a part all have to split. */
TEST_F(dev_setup, may_split_hook_refuses_every_split)
{
	unsigned char *p;

	self->setup.flags = MEMSAFE_DEV_NO_SPLIT;
	ASSERT_EQ(0, set_up(self->fd, &self->setup));
	p = mmap(NULL, 2 * self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(p, 2 * self->ps);

	ACT(munmap);
	EXPECT_ERRNO(EINVAL, munmap(p, self->ps));
	EXPECT_ERRNO(EINVAL, mprotect(p, self->ps, PROT_READ));
	EXPECT_ERRNO(EINVAL, madvise(p, self->ps, MADV_DONTFORK));
	EXPECT_EQ(1, device_vmas(self->fd));
	EXPECT_MAPPED(p, 2 * self->ps);

	EXPECT_EQ(0, munmap(p, 2 * self->ps));
	EXPECT_EQ(0, device_vmas(self->fd));
}

TEST_F(dev_setup, mremap_hook_refuses_the_move_and_nothing_has_moved)
{
	unsigned char *to = free_range(self->ps, self->ps);
	unsigned char *p;

	self->setup.flags = MEMSAFE_DEV_NO_MREMAP;
	ASSERT_EQ(0, set_up(self->fd, &self->setup));
	ASSERT_TRUE(device_fill(self->fd, NPAGES));
	p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, self->ps);
	ASSERT_MAPPED(p, self->ps);
	ASSERT_NO_FAULT(probe_read(p));

	ACT(mremap);
	EXPECT_ERRNO(EPERM, mremap(p, self->ps, self->ps,
				   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_UNMAPPED(to, self->ps);
	EXPECT_EQ(self->ps, first_difference(p, self->ps, 1));
	EXPECT_EQ(1, device_vmas(self->fd));
	/* The attempt made a VMA and gave it back. */
	EXPECT_EQ(1, device_counters(self->fd).opens);
	EXPECT_EQ(1, device_counters(self->fd).closes);
}

TEST_F(dev_setup, mapped_driver_can_not_be_unloaded)
{
	unsigned char *p;

	if (access("/sys/module/memsafe_dev/refcnt", F_OK))
		SKIP(return, "needs memsafe_dev as a module");
	ASSERT_EQ(0, set_up(self->fd, &self->setup));
	p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(p, self->ps);
	ASSERT_EQ(0, close(self->fd));

	ACT(delete_module);
	EXPECT_ERRNO(EAGAIN,
		     syscall(__NR_delete_module, "memsafe_dev", O_NONBLOCK));
	EXPECT_EQ(0, access("/sys/module/memsafe_dev", F_OK));
	EXPECT_NO_FAULT(probe_write(p));
	EXPECT_ERRNO(ENOENT, syscall(__NR_delete_module, "memsafe_no", 0));
}

TEST_HARNESS_MAIN
