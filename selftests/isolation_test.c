// SPDX-License-Identifier: GPL-2.0
/*
 * One process can't reach the memory of another without permission (ptrace(2),
 * "Ptrace access mode checking"), by any of the roads there are, nor that of
 * the kernel by way of its own. With permission each road works, so that it is
 * the permission that is missing.
 */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "memsafe.h"

#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434
#endif
#ifndef __NR_process_madvise
#define __NR_process_madvise 440
#endif

#define SECRET 0x5e
#define NOBODY 65534

/* A process with a secret, which ends with what is there when told to. */
FIXTURE(isolation)
{
	size_t ps;
	unsigned char *page;
	pid_t victim;
	int gate[2];
	char buf[1];
};

FIXTURE_VARIANT(isolation)
{
	bool (*shut_out)(void);
	bool dumpable;
};

static bool become_nobody(void)
{
	return !setresgid(NOBODY, NOBODY, NOBODY) &&
	       !setresuid(NOBODY, NOBODY, NOBODY);
}

/* CAP_PERFMON, which CAP_SYS_ADMIN includes, may read in newer kernels. */
static bool drop_ptrace(void)
{
	return drop_capability(CAP_SYS_PTRACE) &&
	       drop_capability(CAP_PERFMON) && drop_capability(CAP_SYS_ADMIN);
}

FIXTURE_VARIANT_ADD(isolation, other_user){
	.shut_out = become_nobody,
	.dumpable = true,
};

FIXTURE_VARIANT_ADD(isolation, not_dumpable){
	.shut_out = drop_ptrace,
	.dumpable = false,
};

static int keep_secret(int ready, int gate, const unsigned char *page,
		       bool dumpable)
{
	char c;

	if (prctl(PR_SET_DUMPABLE, dumpable) || write(ready, "", 1) != 1 ||
	    read(gate, &c, 1) != 1)
		return 255;
	return page[0];
}

FIXTURE_SETUP(isolation)
{
	int ready[2];
	char c;

	if (!has_capability(CAP_SETUID) || !has_capability(CAP_SYS_PTRACE))
		SKIP(return, "needs CAP_SETUID and CAP_SYS_PTRACE");
	self->ps = page_size();
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->page);
	memset(self->page, SECRET, self->ps);
	ASSERT_EQ(0, pipe(self->gate));
	ASSERT_EQ(0, pipe(ready));
	self->victim = fork();
	if (!self->victim)
		_exit(keep_secret(ready[1], self->gate[0], self->page,
				  variant->dumpable));
	ASSERT_EQ(1, read(ready[0], &c, 1));
	memset(self->page, 0, self->ps);
}

FIXTURE_TEARDOWN(isolation)
{
}

/* What the victim has when all is over. */
static int end_of_victim(FIXTURE_DATA(isolation) * self)
{
	if (write(self->gate[1], "", 1) != 1)
		return -1;
	return child_end(self->victim);
}

static ssize_t vm_readv(FIXTURE_DATA(isolation) * self)
{
	struct iovec to = { self->buf, 1 };
	struct iovec from = { self->page, 1 };

	return process_vm_readv(self->victim, &to, 1, &from, 1, 0);
}

static ssize_t vm_writev(FIXTURE_DATA(isolation) * self)
{
	struct iovec from = { self->buf, 1 };
	struct iovec to = { self->page, 1 };

	return process_vm_writev(self->victim, &from, 1, &to, 1, 0);
}

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, flags | O_CLOEXEC);
}

static ssize_t mem_read(FIXTURE_DATA(isolation) * self)
{
	int fd = open_of(self->victim, "mem", O_RDONLY);

	if (fd < 0)
		return -1;
	return pread(fd, self->buf, 1, (uintptr_t)self->page);
}

TEST_F(isolation, process_vm_readv_needs_permission)
{
	ASSERT_EQ(1, vm_readv(self));
	ASSERT_EQ(SECRET, self->buf[0]);
	self->buf[0] = 0;
	ASSERT_TRUE(variant->shut_out());

	ACT(process_vm_readv);
	EXPECT_ERRNO(EPERM, vm_readv(self));
	EXPECT_EQ(0, self->buf[0]);
}

TEST_F(isolation, process_vm_writev_needs_permission)
{
	ASSERT_EQ(1, vm_readv(self));
	ASSERT_TRUE(variant->shut_out());

	ACT(process_vm_writev);
	self->buf[0] = 7;
	EXPECT_ERRNO(EPERM, vm_writev(self));
	EXPECT_EQ(SECRET, end_of_victim(self));
}

TEST_F(isolation, process_vm_writev_works_with_permission)
{
	self->buf[0] = 7;

	ACT(process_vm_writev);
	EXPECT_EQ(1, vm_writev(self));
	EXPECT_EQ(7, end_of_victim(self));
}

TEST_F(isolation, proc_mem_needs_permission)
{
	ASSERT_EQ(1, mem_read(self));
	ASSERT_EQ(SECRET, self->buf[0]);
	self->buf[0] = 0;
	ASSERT_TRUE(variant->shut_out());

	ACT(openat);
	EXPECT_ERRNO(EACCES, open_of(self->victim, "mem", O_RDONLY));
	EXPECT_ERRNO(EACCES, open_of(self->victim, "mem", O_RDWR));
	EXPECT_EQ(SECRET, end_of_victim(self));
}

/* Where the memory is, is a secret, too. */
TEST_F(isolation, maps_and_pagemap_need_permission)
{
	ASSERT_LE(0, open_of(self->victim, "maps", O_RDONLY));
	ASSERT_LE(0, open_of(self->victim, "pagemap", O_RDONLY));
	ASSERT_TRUE(variant->shut_out());

	ACT(openat);
	EXPECT_ERRNO(EACCES, open_of(self->victim, "maps", O_RDONLY));
	EXPECT_ERRNO(EACCES, open_of(self->victim, "smaps", O_RDONLY));
	EXPECT_ERRNO(EACCES, open_of(self->victim, "pagemap", O_RDONLY));
}

TEST_F(isolation, ptrace_needs_permission)
{
	ASSERT_TRUE(variant->shut_out());

	ACT(ptrace);
	EXPECT_ERRNO(EPERM, ptrace(PTRACE_SEIZE, self->victim, 0, 0));
	EXPECT_ERRNO(ESRCH,
		     ptrace(PTRACE_POKEDATA, self->victim, self->page, 0));
	EXPECT_EQ(SECRET, end_of_victim(self));
}

/* The kernel has always said EACCES, process_madvise(2) says EPERM. */
TEST_F(isolation, process_madvise_needs_permission)
{
	struct iovec range = { self->page, self->ps };
	int pidfd = syscall(__NR_pidfd_open, self->victim, 0);

	if (pidfd < 0)
		SKIP(return, "needs pidfd_open (v5.3)");
	ASSERT_EQ(self->ps, syscall(__NR_process_madvise, pidfd, &range, 1,
				    MADV_COLD, 0));
	ASSERT_TRUE(variant->shut_out());

	ACT(process_madvise);
	EXPECT_ERRNO(EACCES, syscall(__NR_process_madvise, pidfd, &range, 1,
				     MADV_COLD, 0));
	EXPECT_EQ(SECRET, end_of_victim(self));
}

/* Dropping pages of another process would be a write to them. */
TEST_F(isolation, process_madvise_never_drops)
{
	struct iovec range = { self->page, self->ps };
	int pidfd = syscall(__NR_pidfd_open, self->victim, 0);

	if (pidfd < 0)
		SKIP(return, "needs pidfd_open (v5.3)");

	ACT(process_madvise);
	EXPECT_ERRNO(EINVAL, syscall(__NR_process_madvise, pidfd, &range, 1,
				     MADV_DONTNEED, 0));
	EXPECT_EQ(SECRET, end_of_victim(self));
}

TEST(kernel_address_is_no_memory_of_a_process)
{
#ifdef KERNEL_ADDRESS
	struct iovec from = { (void *)KERNEL_ADDRESS, 1 };
	char buf[1] = { 1 };
	struct iovec to = { buf, 1 };

	ACT(process_vm_readv);
	EXPECT_ERRNO(EFAULT, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_EQ(1, buf[0]);
#else
	SKIP(return, "needs a known kernel address on this architecture");
#endif
}

TEST(kernel_address_is_not_in_proc_mem)
{
#ifdef KERNEL_ADDRESS
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char buf[1] = { 1 };

	ASSERT_LE(0, fd);
	ASSERT_EQ((off_t)KERNEL_ADDRESS, lseek(fd, KERNEL_ADDRESS, SEEK_SET));

	ACT(read);
	EXPECT_ERRNO(EIO, read(fd, buf, 1));
	EXPECT_ERRNO(EIO, write(fd, buf, 1));
	EXPECT_EQ(1, buf[0]);
#else
	SKIP(return, "needs a known kernel address on this architecture");
#endif
}

TEST_HARNESS_MAIN
