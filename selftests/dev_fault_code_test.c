// SPDX-License-Identifier: GPL-2.0
/*
 * Each value that a driver's fault handler may return has one effect on the
 * program: a signal with its si_code and address, EFAULT from a system call,
 * or a fault that is repeated or counted and otherwise not seen
 * (vm_fault_reason in include/linux/mm_types.h, sigaction(2)).
 */
#include "memsafe_device.h"

#define NPAGES 2
#define INSIDE 123

/* | page | neighbour | of the mapping; the driver fails for `page`. */
FIXTURE(dev_fault_code)
{
	unsigned char *page;
	unsigned char *neighbour;
	size_t ps;
	int fd;
};

FIXTURE_SETUP(dev_fault_code)
{
	struct memsafe_dev_setup setup = {};
	unsigned char warm_up;

	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	setup.size = NPAGES * self->ps;
	self->fd = device_open(O_RDWR, &setup);
	ASSERT_LE(0, self->fd);
	ASSERT_TRUE(device_fill(self->fd, NPAGES));
	self->page =
		mmap(NULL, NPAGES * self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	self->neighbour = self->page + self->ps;
	probe_write(&warm_up);
	peek(&warm_up);
}

FIXTURE_TEARDOWN(dev_fault_code)
{
}

static int inject(int fd, uint32_t handler, uint32_t action, uint32_t times)
{
	return device_inject(fd, handler, action, 0, times);
}

static uint64_t faults(int fd)
{
	return device_counters(fd).faults;
}

TEST_F(dev_fault_code, oom_is_repeated_until_it_works)
{
	enum { TIMES = 3 };

	ASSERT_EQ(0, inject(self->fd, MEMSAFE_DEV_ON_FAULT,
			    MEMSAFE_DEV_RETURN_OOM, TIMES));

	ACT_PROBE();
	EXPECT_EQ(INSIDE, peek(self->page + INSIDE));
	EXPECT_EQ(TIMES + 1, faults(self->fd));
}

TEST_F(dev_fault_code, nopage_is_repeated_until_it_works)
{
	enum { TIMES = 3 };

	ASSERT_EQ(0, inject(self->fd, MEMSAFE_DEV_ON_FAULT,
			    MEMSAFE_DEV_RETURN_NOPAGE, TIMES));

	ACT_PROBE();
	EXPECT_EQ(INSIDE, peek(self->page + INSIDE));
	EXPECT_EQ(TIMES + 1, faults(self->fd));
}

TEST_F(dev_fault_code, retry_is_repeated_as_tried)
{
	ASSERT_EQ(0, inject(self->fd, MEMSAFE_DEV_ON_FAULT,
			    MEMSAFE_DEV_RETURN_RETRY, 1));

	ACT_PROBE();
	EXPECT_EQ(INSIDE, peek(self->page + INSIDE));
	EXPECT_EQ(2, faults(self->fd));
	EXPECT_TRUE(device_counters(self->fd).fault.flags &
		    MEMSAFE_DEV_SEEN_TRIED);
}

TEST_F(dev_fault_code, page_given_locked_can_be_used)
{
	ASSERT_EQ(0, inject(self->fd, MEMSAFE_DEV_ON_FAULT,
			    MEMSAFE_DEV_RETURN_LOCKED, 1));

	ACT_PROBE();
	EXPECT_EQ(INSIDE, peek(self->page + INSIDE));
	/* page_mkwrite waits for the page lock. */
	EXPECT_NO_FAULT(probe_write(self->page));
	EXPECT_EQ(1, faults(self->fd));
	EXPECT_EQ(1, device_counters(self->fd).page_mkwrites);
}

TEST_F(dev_fault_code, major_fault_is_counted_as_major)
{
	struct fault_count before, after;

	ASSERT_EQ(0, inject(self->fd, MEMSAFE_DEV_ON_FAULT,
			    MEMSAFE_DEV_RETURN_MAJOR, 1));
	before = faults_so_far();

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_read(self->page));
	EXPECT_NO_FAULT(probe_read(self->neighbour));

	after = faults_so_far();
	EXPECT_EQ(1, after.major - before.major);
	EXPECT_EQ(1, after.minor - before.minor);
}

TEST_F(dev_fault_code, nopage_of_mkwrite_repeats_the_write)
{
	enum { TIMES = 3 };

	ASSERT_EQ(0, inject(self->fd, MEMSAFE_DEV_ON_MKWRITE,
			    MEMSAFE_DEV_RETURN_NOPAGE, TIMES));

	ACT_PROBE();
	EXPECT_TRUE(poke(self->page, 0xee));
	EXPECT_EQ(TIMES + 1, device_counters(self->fd).page_mkwrites);
	EXPECT_EQ(0xee, device_peek(self->fd, 0));
}

/* The values that end in a signal. */
FIXTURE(dev_fault_signal)
{
	unsigned char *page;
	unsigned char *neighbour;
	size_t ps;
	int fd;
};

FIXTURE_VARIANT(dev_fault_signal)
{
	uint32_t action;
	int signal;
	int code;
};

FIXTURE_VARIANT_ADD(dev_fault_signal, sigbus)
{
	.action = MEMSAFE_DEV_RETURN_SIGBUS,
	.signal = SIGBUS,
	.code = BUS_ADRERR,
};

FIXTURE_VARIANT_ADD(dev_fault_signal, sigsegv)
{
	.action = MEMSAFE_DEV_RETURN_SIGSEGV,
	.signal = SIGSEGV,
	.code = SEGV_MAPERR,
};

FIXTURE_VARIANT_ADD(dev_fault_signal, hwpoison)
{
	.action = MEMSAFE_DEV_RETURN_HWPOISON,
	.signal = SIGBUS,
	.code = BUS_MCEERR_AR,
};

FIXTURE_SETUP(dev_fault_signal)
{
	struct memsafe_dev_setup setup = {};

	SKIP_WITHOUT_DEVICE();
	self->ps = page_size();
	setup.size = NPAGES * self->ps;
	self->fd = device_open(O_RDWR, &setup);
	ASSERT_LE(0, self->fd);
	/* Times 0: asks and changes nothing. */
	if (inject(self->fd, MEMSAFE_DEV_ON_FAULT, variant->action, 0) ==
	    EOPNOTSUPP)
		SKIP(return, "needs CONFIG_MEMORY_FAILURE=y");
	ASSERT_TRUE(device_fill(self->fd, NPAGES));
	self->page =
		mmap(NULL, NPAGES * self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	self->neighbour = self->page + self->ps;
}

FIXTURE_TEARDOWN(dev_fault_signal)
{
}

TEST_F(dev_fault_signal, read_gets_the_signal_at_the_byte)
{
	unsigned char *p = self->page + INSIDE;

	ASSERT_EQ(0,
		  inject(self->fd, MEMSAFE_DEV_ON_FAULT, variant->action, 1));

	ACT_PROBE();
	EXPECT_FAULT(variant->signal, variant->code, p, probe_read(p));
	EXPECT_EQ(1, device_page(self->fd, 0).refs);
	EXPECT_EQ(INSIDE, peek(p));
}

TEST_F(dev_fault_signal, write_gets_the_signal_and_writes_nothing)
{
	unsigned char *p = self->page + INSIDE;

	ASSERT_EQ(0,
		  inject(self->fd, MEMSAFE_DEV_ON_FAULT, variant->action, 1));

	ACT_PROBE();
	EXPECT_FAULT(variant->signal, variant->code, p, probe_write(p));
	EXPECT_EQ(INSIDE, device_peek(self->fd, INSIDE));
	EXPECT_EQ(0, device_counters(self->fd).page_mkwrites);
	EXPECT_NO_FAULT(probe_write(p));
}

TEST_F(dev_fault_signal, refused_mkwrite_is_the_signal_for_a_write_only)
{
	unsigned char *p = self->page + INSIDE;

	ASSERT_EQ(INSIDE, peek(p));
	ASSERT_EQ(0,
		  inject(self->fd, MEMSAFE_DEV_ON_MKWRITE, variant->action, 1));

	ACT_PROBE();
	EXPECT_FAULT(variant->signal, variant->code, p, probe_write(p));
	EXPECT_EQ(INSIDE, device_peek(self->fd, INSIDE));
	EXPECT_NO_FAULT(probe_read(p));
}

TEST_F(dev_fault_signal, neighbour_is_not_affected)
{
	ASSERT_EQ(0,
		  inject(self->fd, MEMSAFE_DEV_ON_FAULT, variant->action, 1));

	ACT_PROBE();
	EXPECT_EQ(INSIDE ^ 1, peek(self->neighbour + INSIDE));
	EXPECT_FAULT(variant->signal, variant->code, self->page,
		     probe_read(self->page));
}

/* Before v6.4 x86 tried once more to copy what was left after a fault. */
TEST_F(dev_fault_signal, system_call_gets_efault_and_no_signal)
{
	enum { MANY = 100 };
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	ASSERT_EQ(0, inject(self->fd, MEMSAFE_DEV_ON_FAULT, variant->action,
			    MANY));

	ACT(writev);
	EXPECT_ERRNO(EFAULT, gather(fds[1], self->page, 1));
	ASSERT_EQ(0,
		  inject(self->fd, MEMSAFE_DEV_ON_FAULT, variant->action, 0));
	EXPECT_EQ(1, gather(fds[1], self->page + INSIDE, 1));
	EXPECT_EQ(1, read(fds[0], self->neighbour, 1));
	EXPECT_EQ(INSIDE, peek(self->neighbour));
}

static int signal_of_read(void *p)
{
	return probe_read(p).signal;
}

TEST_F(dev_fault_signal, child_gets_the_signal_and_the_parent_works)
{
	ASSERT_EQ(0,
		  inject(self->fd, MEMSAFE_DEV_ON_FAULT, variant->action, 1));

	ACT_PROBE();
	EXPECT_EQ(variant->signal, in_child(signal_of_read, self->page));
	EXPECT_EQ(1, faults(self->fd));
	EXPECT_EQ(INSIDE, peek(self->page + INSIDE));
}

TEST_HARNESS_MAIN
