// SPDX-License-Identifier: GPL-2.0
/*
 * Every errno of mmap(2) from its own cause: each test first sees the same
 * call succeed without the cause, and after the failure finds nothing newly
 * mapped. ENOMEM and EAGAIN of the limits are in mmap_accounting_test.c and
 * mlock_limit_test.c, EEXIST and EOPNOTSUPP in mmap_flags_test.c.
 */
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>

#include "memsafe.h"

#define MAP_ANON_PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

/* Far above what any user address space reaches, below where it wraps. */
#define ABOVE_USER_SPACE (UINTPTR_MAX / 2 + 1)

FIXTURE(mmap_errno)
{
	size_t ps;
	unsigned char *room; /* four pages where nothing is mapped */
	int fd; /* a memfd of two pages */
	long size; /* of the address space, in kB */
};

FIXTURE_SETUP(mmap_errno)
{
	self->ps = page_size();
	self->fd = backing_open(SHMEM, 2 * self->ps);
	ASSERT_LE(0, self->fd);
	self->room = free_range(4 * self->ps, self->ps);
	ASSERT_NE(MAP_FAILED, self->room);
	self->size = vm_status_kb("VmSize");
}

FIXTURE_TEARDOWN(mmap_errno)
{
}

/* Does this mmap() of one page work? Whatever it maps is unmapped again. */
static bool can_map(void *addr, int prot, int flags, int fd, off_t offset)
{
	size_t ps = page_size();
	void *p = mmap(addr, ps, prot, flags, fd, offset);

	return p != MAP_FAILED && !munmap(p, ps);
}

TEST_F(mmap_errno, length_zero_is_einval)
{
	ASSERT_TRUE(can_map(self->room, PROT_RW, MAP_ANON_PRIVATE, -1, 0));

	ACT(mmap);
	EXPECT_ERRNO(EINVAL,
		     mmap(self->room, 0, PROT_RW, MAP_ANON_PRIVATE, -1, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, length_that_wraps_is_enomem)
{
	ASSERT_TRUE(can_map(NULL, PROT_RW, MAP_ANON_PRIVATE, -1, 0));

	ACT(mmap);
	EXPECT_ERRNO(ENOMEM,
		     mmap(NULL, SIZE_MAX, PROT_RW, MAP_ANON_PRIVATE, -1, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, neither_shared_nor_private_is_einval)
{
	ASSERT_TRUE(can_map(self->room, PROT_RW, MAP_ANON_PRIVATE, -1, 0));

	ACT(mmap);
	EXPECT_ERRNO(EINVAL,
		     mmap(self->room, self->ps, PROT_RW, MAP_ANONYMOUS, -1, 0));
	EXPECT_ERRNO(EINVAL,
		     mmap(self->room, self->ps, PROT_RW, 0, self->fd, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, fixed_address_inside_a_page_is_einval)
{
	int flags = MAP_ANON_PRIVATE | MAP_FIXED;

	ASSERT_TRUE(can_map(self->room, PROT_RW, flags, -1, 0));

	ACT(mmap);
	EXPECT_ERRNO(EINVAL,
		     mmap(self->room + 1, self->ps, PROT_RW, flags, -1, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

/* Not through libc, which refuses such an offset itself. */
TEST_F(mmap_errno, offset_inside_a_page_is_einval)
{
#ifndef __NR_mmap2
	ASSERT_TRUE(can_map(self->room, PROT_READ, MAP_PRIVATE, self->fd,
			    self->ps));

	ACT(mmap);
	EXPECT_ERRNO(EINVAL, syscall(__NR_mmap, self->room, self->ps, PROT_READ,
				     MAP_PRIVATE, self->fd, 1));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
#else
	SKIP(return, "needs an mmap() with its offset in bytes");
#endif
}

TEST_F(mmap_errno, shared_growsdown_is_einval)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS;

	ASSERT_TRUE(can_map(self->room, PROT_RW, flags, -1, 0));

	ACT(mmap);
	EXPECT_ERRNO(EINVAL, mmap(self->room, self->ps, PROT_RW,
				  flags | MAP_GROWSDOWN, -1, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, closed_descriptor_is_ebadf)
{
	ASSERT_TRUE(can_map(self->room, PROT_RW, MAP_SHARED, self->fd, 0));
	ASSERT_EQ(0, close(self->fd));

	ACT(mmap);
	EXPECT_ERRNO(EBADF, mmap(self->room, self->ps, PROT_RW, MAP_SHARED,
				 self->fd, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
	EXPECT_TRUE(can_map(NULL, PROT_RW, MAP_ANON_PRIVATE, self->fd, 0));
}

/* @fd again, through /proc, with another access mode; -1: not possible. */
static int reopen(int fd, int mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, mode | O_CLOEXEC);
}

TEST_F(mmap_errno, shared_write_of_a_read_only_descriptor_is_eacces)
{
	int fd = reopen(self->fd, O_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(can_map(self->room, PROT_RW, MAP_PRIVATE, fd, 0));
	ASSERT_TRUE(can_map(self->room, PROT_READ, MAP_SHARED, fd, 0));

	ACT(mmap);
	EXPECT_ERRNO(EACCES,
		     mmap(self->room, self->ps, PROT_RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, any_mapping_of_a_write_only_descriptor_is_eacces)
{
	int fd = reopen(self->fd, O_WRONLY);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(can_map(self->room, PROT_WRITE, MAP_SHARED, self->fd, 0));

	ACT(mmap);
	EXPECT_ERRNO(EACCES,
		     mmap(self->room, self->ps, PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_ERRNO(EACCES,
		     mmap(self->room, self->ps, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, descriptor_of_a_path_only_is_ebadf)
{
	int fd = reopen(self->fd, O_PATH);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(can_map(self->room, PROT_READ, MAP_PRIVATE, self->fd, 0));

	ACT(mmap);
	EXPECT_ERRNO(EBADF,
		     mmap(self->room, self->ps, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, pipe_is_enodev)
{
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_TRUE(can_map(self->room, PROT_READ, MAP_PRIVATE, self->fd, 0));

	ACT(mmap);
	EXPECT_ERRNO(ENODEV, mmap(self->room, self->ps, PROT_READ, MAP_PRIVATE,
				  fds[0], 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, directory_is_enodev)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(can_map(self->room, PROT_READ, MAP_PRIVATE, self->fd, 0));

	ACT(mmap);
	EXPECT_ERRNO(ENODEV,
		     mmap(self->room, self->ps, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, fixed_range_outside_the_address_space_is_enomem)
{
	unsigned char *high = (unsigned char *)ABOVE_USER_SPACE;
	int flags = MAP_ANON_PRIVATE | MAP_FIXED;

	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");
	ASSERT_TRUE(can_map(self->room, PROT_RW, flags, -1, 0));

	ACT(mmap);
	EXPECT_ERRNO(ENOMEM, mmap(high, self->ps, PROT_RW, flags, -1, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

/* Only the last page of the largest file has no offset to end at. */
TEST_F(mmap_errno, end_past_the_largest_offset_is_eoverflow)
{
	off_t last = LLONG_MAX & ~(self->ps - 1);

	if (sizeof(off_t) < 8 || sizeof(long) < 8)
		SKIP(return, "needs a 64-bit off_t");
	ASSERT_TRUE(can_map(self->room, PROT_READ, MAP_SHARED, self->fd,
			    last - self->ps));

	ACT(mmap);
	EXPECT_ERRNO(EOVERFLOW, mmap(self->room, self->ps, PROT_READ,
				     MAP_SHARED, self->fd, last));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

TEST_F(mmap_errno, below_mmap_min_addr_is_eperm)
{
	long min = sysctl_get("/proc/sys/vm/mmap_min_addr");
	int flags = MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE;
	void *lowest = (void *)((min + self->ps - 1) & ~(self->ps - 1));

#ifdef __arm__
	SKIP(return, "needs an address 0 for user space (not arm)");
#endif
	if (min <= 0)
		SKIP(return, "needs vm.mmap_min_addr above 0");
	ASSERT_TRUE(drop_capability(CAP_SYS_RAWIO));
	ASSERT_TRUE(can_map(lowest, PROT_RW, flags, -1, 0));

	ACT(mmap);
	EXPECT_ERRNO(EPERM, mmap(NULL, self->ps, PROT_RW, flags, -1, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, NULL, probe_read(NULL));
}

/* The capability is the only difference to the test above. */
TEST_F(mmap_errno, below_mmap_min_addr_works_with_cap_sys_rawio)
{
	unsigned char *p;

#ifdef __arm__
	SKIP(return, "needs an address 0 for user space (not arm)");
#endif
	if (!has_capability(CAP_SYS_RAWIO))
		SKIP(return, "needs CAP_SYS_RAWIO");

	ACT(mmap);
	p = mmap(NULL, self->ps, PROT_RW,
		 MAP_ANON_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0);

	EXPECT_EQ(0, (uintptr_t)p);
	EXPECT_MAPPED(p, self->ps);
	EXPECT_NO_FAULT(probe_write(p));
}

TEST_F(mmap_errno, shared_write_of_a_sealed_memfd_is_eperm)
{
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, self->ps));
	ASSERT_TRUE(can_map(self->room, PROT_RW, MAP_SHARED, fd, 0));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_TRUE(can_map(self->room, PROT_RW, MAP_PRIVATE, fd, 0));

	ACT(mmap);
	EXPECT_ERRNO(EPERM,
		     mmap(self->room, self->ps, PROT_RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(self->size, vm_status_kb("VmSize"));
}

/* A tmpfs on /tmp, in a mount namespace that ends with the process. */
FIXTURE(noexec_mount)
{
	size_t ps;
	unsigned char *room;
	int fd;
};

FIXTURE_SETUP(noexec_mount)
{
	if (!has_capability(CAP_SYS_ADMIN) || unshare(CLONE_NEWNS))
		SKIP(return, "needs CAP_SYS_ADMIN");
	self->ps = page_size();
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("memsafe", "/tmp", "tmpfs", MS_NOEXEC, NULL));
	self->fd = file_in("/tmp", self->ps);
	ASSERT_LE(0, self->fd);
	self->room = free_range(self->ps, self->ps);
	ASSERT_NE(MAP_FAILED, self->room);
}

FIXTURE_TEARDOWN(noexec_mount)
{
}

TEST_F(noexec_mount, exec_mapping_is_eperm)
{
	ASSERT_TRUE(can_map(self->room, PROT_READ, MAP_PRIVATE, self->fd, 0));

	ACT(mmap);
	EXPECT_ERRNO(EPERM, mmap(self->room, self->ps, PROT_READ | PROT_EXEC,
				 MAP_PRIVATE, self->fd, 0));
	EXPECT_UNMAPPED(self->room, self->ps);
}

TEST_F(noexec_mount, mprotect_to_exec_is_eacces)
{
	unsigned char *p = map_alone(self->ps, PROT_RW, MAP_PRIVATE, self->fd);

	ASSERT_NE(MAP_FAILED, p);
	put_return(p);

	ACT(mprotect);
	EXPECT_ERRNO(EACCES, mprotect(p, self->ps, PROT_READ | PROT_EXEC));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_exec(p));
}

TEST_F(noexec_mount, exec_mapping_works_after_remounting_exec)
{
	unsigned char *p;

	ASSERT_ERRNO(EPERM, mmap(self->room, self->ps, PROT_READ | PROT_EXEC,
				 MAP_PRIVATE, self->fd, 0));

	ACT(mount);
	ASSERT_EQ(0, mount(NULL, "/tmp", NULL, MS_REMOUNT, NULL));

	p = mmap(self->room, self->ps, PROT_RW | PROT_EXEC, MAP_PRIVATE,
		 self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	put_return(p);
	EXPECT_NO_FAULT(probe_exec(p));
}

TEST_HARNESS_MAIN
