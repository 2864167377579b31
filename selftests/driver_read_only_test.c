// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver gives for reading is not written by any road: a mapping, mprotect(),
 * /proc/pid/mem, the kernel on behalf of another system call, or another process
 * (mprotect(2), process_vm_writev(2), proc(5)).
 */
#include "memsafe_driver_test.h"

#include <sys/uio.h>

MEMSAFE_GUEST("pc");

#define SECOND (self->len > self->ps ? 1 : 0)

static bool read_only(const struct memsafe_driver *driver)
{
	return driver->write && driver->write != DRIVER_ANY;
}

DRIVER_FIXTURE(driver_read_only, read_only);

/* All of it shows what the driver itself put there. */
#define EXPECT_UNWRITTEN(p)                                                    \
	for (size_t __at = 0; __at < self->len; __at += self->ps)              \
	EXPECT_TRUE(driver_shows(DRIVER(self), (p) + __at, __at / self->ps))

SEEN_TO_FAIL(writable_mapping_is_refused, writable);
TEST_F(driver_read_only, writable_mapping_is_refused)
{
	unsigned char *p;
	int err;

	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mmap);
	p = mmap(NULL, self->len, PROT_RW, MAP_SHARED, self->object.fd,
		 self->object.offset);
	err = errno_of(p);
	if (self->driver->flags & DRIVER_WRITE_DROPPED) {
		EXPECT_MAPPED(p, self->len);
		EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	} else {
		EXPECT_NE(0, err);
		EXPECT_TRUE(is_promised(self->driver->write, err));
	}
	p = driver_map(DRIVER(self), self->len, 0);
	ASSERT_MAPPED(p, self->len);
	EXPECT_UNWRITTEN(p);
}

SEEN_TO_FAIL(mprotect_does_not_make_it_writable, stays_maywrite);
TEST_F(driver_read_only, mprotect_does_not_make_it_writable)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mprotect);
	EXPECT_ERRNO(EACCES, mprotect(p, self->len, PROT_RW));
	EXPECT_ERRNO(EACCES, mprotect(p, self->len, PROT_WRITE));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_UNWRITTEN(p);
}

/* The page is there before: only its page table entry can tell. */
SEEN_TO_FAIL(write_to_a_page_that_is_there_faults, faults_writable);
TEST_F(driver_read_only, write_to_a_page_that_is_there_faults)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *q = p + SECOND * self->ps;

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));
	ASSERT_NO_FAULT(probe_read(q));

	ACT_PROBE();
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, q, probe_write(q));
	EXPECT_UNWRITTEN(p);
}

SEEN_TO_FAIL(kernel_does_not_write_there, faults_writable);
TEST_F(driver_read_only, kernel_does_not_write_there)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	int fds[2];

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));
	ASSERT_NO_FAULT(probe_read(p));
	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	ASSERT_EQ(1, gather(fds[1], "\xee", 1));

	ACT(read);
	EXPECT_ERRNO(EFAULT, read(fds[0], p, 1));
	EXPECT_UNWRITTEN(p);
}

SEEN_TO_FAIL(another_process_does_not_write_there, mapped_writable);
TEST_F(driver_read_only, another_process_does_not_write_there)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	struct iovec from = {.iov_base = "\xee", .iov_len = 1};
	struct iovec to = {.iov_base = p, .iov_len = 1};

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(process_vm_writev);
	EXPECT_ERRNO(EFAULT, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	EXPECT_UNWRITTEN(p);
}

/* Whose writes go where the mapping's own do not: FOLL_FORCE. */
SEEN_TO_FAIL(proc_mem_does_not_write_there, mapped_writable);
TEST_F(driver_read_only, proc_mem_does_not_write_there)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_MAPPED(p, self->len);
	ASSERT_LE(0, mem);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(pwrite64);
	EXPECT_ERRNO(EIO, pwrite(mem, "\xee", 1, (uintptr_t)p));
	EXPECT_UNWRITTEN(p);
}

TEST_HARNESS_MAIN
