// SPDX-License-Identifier: GPL-2.0
/*
 * Who reaches a driver's memory, and what of it: private copies, processes that are
 * not the owner, core dumps, and mappings that grow (mmap(2), mremap(2), proc(5),
 * process_vm_readv(2)).
 */
#include "memsafe_driver_test.h"

#include <sys/uio.h>

MEMSAFE_GUEST("pc");

DRIVER_FIXTURE(driver_access, all_drivers);

SEEN_TO_FAIL(private_write_stays_private, private_is_shared);
TEST_F(driver_access, private_write_stays_private)
{
	unsigned char *shared = driver_map(DRIVER(self), self->len, 0);
	unsigned char *p;
	int err;

	ASSERT_MAPPED(shared, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mmap);
	p = mmap(NULL, self->len, PROT_RW, MAP_PRIVATE, self->object.fd,
		 self->object.offset);
	EXPECT_PROMISED(self->driver->private, err, p);
	if (!err) {
		ASSERT_MAPPED(p, self->len);
		EXPECT_TRUE(driver_shows(DRIVER(self), p, 0));
		if (self->driver->flags & DRIVER_WRITE_DROPPED) {
			EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
		} else {
			EXPECT_TRUE(poke(p, 0xee));
			EXPECT_EQ(0xee, peek(p));
		}
	}
	EXPECT_TRUE(driver_shows(DRIVER(self), shared, 0));
	EXPECT_MAPPED(driver_map(DRIVER(self), self->len, 0), self->len);
}

SEEN_TO_FAIL(execution_is_as_promised, not_executable);
TEST_F(driver_access, execution_is_as_promised)
{
	unsigned char *p;
	int err;

	ACT(mmap);
	p = mmap(NULL, self->len, PROT_READ | PROT_EXEC, MAP_SHARED,
		 self->object.fd, self->object.offset);
	EXPECT_PROMISED(self->driver->exec, err, p);
	if (!err)
		ASSERT_MAPPED(p, self->len);
	EXPECT_MAPPED(driver_map(DRIVER(self), self->len, 0), self->len);
}

/* For pages without a reference EFAULT, or they would be freed under us. */
SEEN_TO_FAIL(another_process_gets_pages_with_references, not_for_the_kernel);
TEST_F(driver_access, another_process_gets_pages_with_references)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char byte = 0xee;
	struct iovec to = {.iov_base = &byte, .iov_len = 1};
	struct iovec from = {.iov_base = p + 7, .iov_len = 1};
	int err;

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));
	ASSERT_NO_FAULT(probe_read(p));

	ACT(process_vm_readv);
	EXPECT_PROMISED(self->driver->pages, err,
			process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_EQ(err ? 0xee : p[7], byte);
	from.iov_base = self;
	EXPECT_EQ(1, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
}

/* Through the page, or through ->access of the driver. */
SEEN_TO_FAIL(proc_mem_reads_the_object, not_for_the_kernel);
TEST_F(driver_access, proc_mem_reads_the_object)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned char byte = 0xee;
	int err;

	ASSERT_MAPPED(p, self->len);
	ASSERT_LE(0, mem);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(pread64);
	EXPECT_PROMISED(self->driver->proc_mem, err,
			pread(mem, &byte, 1, (uintptr_t)p + 7));
	EXPECT_EQ(err ? 0xee : p[7], byte);
	EXPECT_EQ(1, pread(mem, &byte, 1, (uintptr_t)self));
}

SEEN_TO_FAIL(proc_mem_does_not_write_to_a_mapping_for_reading, access_writes);
TEST_F(driver_access, proc_mem_does_not_write_to_a_mapping_for_reading)
{
	unsigned char *p = mmap(NULL, self->len, PROT_READ, MAP_SHARED,
				self->object.fd, self->object.offset);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_MAPPED(p, self->len);
	ASSERT_LE(0, mem);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(pwrite64);
	EXPECT_ERRNO(EIO, pwrite(mem, "\xee", 1, (uintptr_t)p));
	EXPECT_TRUE(driver_shows(DRIVER(self), p, 0));
}

/* VM_DONTEXPAND, or the fault handler knows where the object ends. */
SEEN_TO_FAIL(mapping_does_not_grow_past_the_end, grows);
TEST_F(driver_access, mapping_does_not_grow_past_the_end)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *q;
	int err;

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(mremap);
	q = mremap(p, self->len, self->len + self->ps, MREMAP_MAYMOVE);
	EXPECT_PROMISED(self->driver->grow, err, q);
	if (err)
		q = p;
	else
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, q + self->len,
			     probe_read(q + self->len));
	ASSERT_MAPPED(q, self->len);
	EXPECT_TRUE(driver_shows(DRIVER(self), q, 0));
}

/* man proc, VmFlags: dd. */
SEEN_TO_FAIL(core_dump_leaves_it_out, dumped);
TEST_F(driver_access, core_dump_leaves_it_out)
{
	unsigned char *p;

	ACT(mmap);
	p = driver_map(DRIVER(self), self->len, 0);
	ASSERT_MAPPED(p, self->len);

	EXPECT_EQ(!(self->driver->flags & DRIVER_DUMPED), has_vm_flag(p, "dd"));
}

TEST_HARNESS_MAIN
