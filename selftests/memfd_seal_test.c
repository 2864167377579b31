// SPDX-License-Identifier: GPL-2.0
/*
 * Seals of a memfd (fcntl(2), memfd_create(2)): once set they hold against
 * every road to the object, existing mappings and new ones, other descriptors
 * and other processes, and can't be taken back.
 */
#include <sys/uio.h>

#include "memsafe.h"

#define OLD 0x11
#define PAGES 2

/* A memfd of two pages of OLD. */
FIXTURE(memfd_seal)
{
	size_t ps;
	size_t len;
	int fd;
};

FIXTURE_VARIANT(memfd_seal)
{
	int seal; /* against writing */
};

FIXTURE_VARIANT_ADD(memfd_seal, write){
	.seal = F_SEAL_WRITE,
};

FIXTURE_VARIANT_ADD(memfd_seal, future_write){
	.seal = F_SEAL_FUTURE_WRITE,
};

static int old_memfd(size_t len, unsigned int flags)
{
	int fd = memfd_create("memsafe", MFD_CLOEXEC | flags);
	unsigned char *p;

	if (fd < 0 || ftruncate(fd, len))
		return -1;
	p = mmap(NULL, len, PROT_RW, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	memset(p, OLD, len);
	return munmap(p, len) ? -1 : fd;
}

FIXTURE_SETUP(memfd_seal)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = old_memfd(self->len, MFD_ALLOW_SEALING);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(memfd_seal)
{
}

static int add_seals(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals);
}

/* All bytes are OLD, read without a mapping. */
static bool is_old(int fd, size_t len)
{
	unsigned char buf[256];

	for (size_t at = 0; at < len; at += sizeof(buf))
		if (pread(fd, buf, sizeof(buf), at) != sizeof(buf) ||
		    first_other(buf, sizeof(buf), OLD) != sizeof(buf))
			return false;
	return true;
}

TEST_F(memfd_seal, write_is_eperm)
{
	char c = 7;

	ASSERT_EQ(1, pwrite(self->fd, &(char){OLD}, 1, 0));

	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));

	EXPECT_ERRNO(EPERM, pwrite(self->fd, &c, 1, 0));
	EXPECT_ERRNO(EPERM, pwrite(self->fd, &c, 1, self->len - 1));
	EXPECT_TRUE(is_old(self->fd, self->len));
}

TEST_F(memfd_seal, shared_writable_mapping_is_eperm)
{
	unsigned char *p;

	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));

	EXPECT_ERRNO(EPERM,
		     mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 0));
	p = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(p, self->ps);
	EXPECT_EQ(OLD, peek(p));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
}

TEST_F(memfd_seal, read_only_mapping_can_not_become_writable)
{
	unsigned char *p;

	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));
	p = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_ERRNO(EACCES, mprotect(p, self->ps, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_TRUE(is_old(self->fd, self->len));
}

/* The kernel writes by force to private mappings only. */
TEST_F(memfd_seal, read_only_mapping_can_not_be_written_by_force)
{
	struct iovec from = {&(char){7}, 1};
	struct iovec to = {.iov_len = 1};
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, mem);

	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));
	to.iov_base = mmap(NULL, self->ps, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_MAPPED(to.iov_base, self->ps);

	EXPECT_ERRNO(EIO, pwrite(mem, "x", 1, (uintptr_t)to.iov_base));
	EXPECT_ERRNO(EFAULT, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	EXPECT_ERRNO(EACCES, madvise(to.iov_base, self->ps, MADV_REMOVE));
	EXPECT_TRUE(is_old(self->fd, self->len));
}

TEST_F(memfd_seal, private_mapping_is_writable_and_private)
{
	unsigned char *p;

	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));
	p = mmap(NULL, self->ps, PROT_RW, MAP_PRIVATE, self->fd, 0);
	ASSERT_MAPPED(p, self->ps);

	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(7, peek(p));
	EXPECT_TRUE(is_old(self->fd, self->len));
	EXPECT_EQ(variant->seal, fcntl(self->fd, F_GET_SEALS));
}

TEST_F(memfd_seal, hole_can_not_be_punched)
{
	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));

	EXPECT_ERRNO(EPERM,
		     fallocate(self->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       self->ps));
	EXPECT_TRUE(is_old(self->fd, self->len));
}

TEST_F(memfd_seal, seal_holds_for_another_descriptor)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);

	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);

	EXPECT_ERRNO(EPERM, pwrite(fd, "x", 1, 0));
	EXPECT_ERRNO(EPERM, mmap(NULL, self->ps, PROT_RW, MAP_SHARED, fd, 0));
	EXPECT_TRUE(is_old(self->fd, self->len));
}

static int write_as_child(void *arg)
{
	int fd = *(int *)arg;

	return pwrite(fd, "x", 1, 0) == 1 ? 255 : errno;
}

TEST_F(memfd_seal, seal_holds_in_a_child)
{
	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, variant->seal));

	EXPECT_EQ(EPERM, in_child(write_as_child, &self->fd));
	EXPECT_TRUE(is_old(self->fd, self->len));
}

/* F_SEAL_WRITE waits for nobody: it is refused. */
TEST_F(memfd_seal, existing_writable_mapping_refuses_or_outlives_the_seal)
{
	unsigned char *p =
		mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->fd, 0);
	int err = variant->seal == F_SEAL_WRITE ? EBUSY : 0;

	ASSERT_NE(MAP_FAILED, p);

	ACT(fcntl);
	EXPECT_ERRNO(err, add_seals(self->fd, variant->seal));
	EXPECT_EQ(err ? 0 : variant->seal, fcntl(self->fd, F_GET_SEALS));
	EXPECT_TRUE(poke(p, 7));
	EXPECT_FALSE(is_old(self->fd, self->len));
	EXPECT_ERRNO(err ? 0 : EPERM, pwrite(self->fd, "x", 1, 0));
	ASSERT_EQ(0, munmap(p, self->ps));
	EXPECT_EQ(0, add_seals(self->fd, variant->seal));
	EXPECT_ERRNO(EPERM, pwrite(self->fd, "x", 1, 0));
}

static off_t size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

/* Seals of the size, and of the seals. */
FIXTURE(memfd_size)
{
	size_t ps;
	size_t len;
	int fd;
};

FIXTURE_SETUP(memfd_size)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = old_memfd(self->len, MFD_ALLOW_SEALING);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(memfd_size)
{
}

TEST_F(memfd_size, shrink_seal_keeps_what_is_mapped)
{
	unsigned char *p =
		mmap(NULL, self->len, PROT_RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, p);

	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, F_SEAL_SHRINK));

	EXPECT_ERRNO(EPERM, ftruncate(self->fd, self->len - 1));
	EXPECT_ERRNO(EPERM, ftruncate(self->fd, 0));
	EXPECT_EQ(self->len, size_of(self->fd));
	EXPECT_EQ(OLD, peek(p + self->len - 1));
	EXPECT_EQ(0, ftruncate(self->fd, self->len + 1));
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 0));
}

TEST_F(memfd_size, grow_seal_keeps_the_end)
{
	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, F_SEAL_GROW));

	EXPECT_ERRNO(EPERM, ftruncate(self->fd, self->len + 1));
	EXPECT_ERRNO(EPERM, pwrite(self->fd, "x", 1, self->len));
	EXPECT_ERRNO(EPERM, fallocate(self->fd, 0, self->len, self->ps));
	EXPECT_EQ(self->len, size_of(self->fd));
	EXPECT_EQ(0, ftruncate(self->fd, self->ps));
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 0));
}

TEST_F(memfd_size, seal_of_seals_ends_all_sealing)
{
	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, F_SEAL_GROW | F_SEAL_SEAL));

	EXPECT_ERRNO(EPERM, add_seals(self->fd, F_SEAL_WRITE));
	EXPECT_EQ(F_SEAL_GROW | F_SEAL_SEAL, fcntl(self->fd, F_GET_SEALS));
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 0));
}

TEST_F(memfd_size, seals_only_add_up)
{
	ACT(fcntl);
	ASSERT_EQ(0, add_seals(self->fd, F_SEAL_SHRINK));
	ASSERT_EQ(0, add_seals(self->fd, F_SEAL_GROW));
	ASSERT_EQ(0, add_seals(self->fd, 0));

	EXPECT_EQ(F_SEAL_SHRINK | F_SEAL_GROW, fcntl(self->fd, F_GET_SEALS));
	EXPECT_ERRNO(EPERM, ftruncate(self->fd, 0));
	EXPECT_ERRNO(EPERM, ftruncate(self->fd, self->len + 1));
}

TEST_F(memfd_size, memfd_is_sealed_unless_it_was_asked_for)
{
	int fd = old_memfd(self->len, 0);

	ASSERT_LE(0, fd);

	ACT(fcntl);
	EXPECT_EQ(F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
	EXPECT_ERRNO(EPERM, add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(1, pwrite(fd, "x", 1, 0));
}

TEST_F(memfd_size, read_only_descriptor_can_not_seal)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);

	ACT(fcntl);
	EXPECT_ERRNO(EPERM, add_seals(fd, F_SEAL_WRITE));
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 0));
}

/* A bit above all seals, and a file that has none. */
TEST_F(memfd_size, unknown_seal_and_other_files_are_einval)
{
	int fds[2];

	ASSERT_EQ(0, pipe(fds));

	ACT(fcntl);
	EXPECT_ERRNO(EINVAL, add_seals(self->fd, 1 << 30));
	EXPECT_ERRNO(EINVAL, add_seals(fds[1], F_SEAL_WRITE));
	EXPECT_EQ(1, pwrite(self->fd, "x", 1, 0));
}

TEST_HARNESS_MAIN
