// SPDX-License-Identifier: GPL-2.0
/*
 * The seal of a memfd's executable bits: who may run it stays as it is, and what may be
 * run can't be written any more (Documentation/userspace-api/mfd_noexec.rst).
 */
#include <sys/stat.h>

#include "memsafe.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

#define WRITE_SEALS                                                            \
	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define OLD 0x11

/* A memfd of one page of OLD that may be run, or not. */
FIXTURE(memfd_exec)
{
	size_t ps;
	int runs;
	int not ;
};

/* Through a mapping: it must be gone before anything is sealed. */
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

FIXTURE_SETUP(memfd_exec)
{
	self->ps = page_size();
	self->runs = old_memfd(self->ps, MFD_ALLOW_SEALING | MFD_EXEC);
	if (self->runs < 0 && errno == EINVAL)
		SKIP(return, "needs Linux 6.3");
	ASSERT_LE(0, self->runs);
	self->not = old_memfd(self->ps, MFD_NOEXEC_SEAL);
	ASSERT_LE(0, self->not );
}

FIXTURE_TEARDOWN(memfd_exec)
{
}

static mode_t mode_of(int fd)
{
	struct stat its;

	return fstat(fd, &its) ? 0 : its.st_mode & 07777;
}

TEST_F(memfd_exec, executable_bits_stay_as_they_are)
{
	ACT(fcntl);
	ASSERT_EQ(0, fcntl(self->runs, F_ADD_SEALS, F_SEAL_EXEC));

	EXPECT_ERRNO(EPERM, fchmod(self->runs, 0600));
	EXPECT_ERRNO(EPERM, fchmod(self->runs, 0776));
	EXPECT_EQ(0777, mode_of(self->runs));
	EXPECT_ERRNO(0, fchmod(self->runs, 0755));
	EXPECT_EQ(0755, mode_of(self->runs));
}

TEST_F(memfd_exec, memfd_that_must_not_run_never_may)
{
	ACT(fchmod);
	EXPECT_ERRNO(EPERM, fchmod(self->not, 0700));
	EXPECT_ERRNO(0, fchmod(self->not, 0600));

	EXPECT_EQ(0600, mode_of(self->not ));
	EXPECT_EQ(F_SEAL_EXEC, fcntl(self->not, F_GET_SEALS));
}

TEST_F(memfd_exec, what_may_be_run_is_sealed_against_writing_as_well)
{
	ACT(fcntl);
	ASSERT_EQ(0, fcntl(self->runs, F_ADD_SEALS, F_SEAL_EXEC));

	EXPECT_EQ(F_SEAL_EXEC | WRITE_SEALS, fcntl(self->runs, F_GET_SEALS));
	EXPECT_ERRNO(EPERM, pwrite(self->runs, "x", 1, 0));
	EXPECT_ERRNO(EPERM, ftruncate(self->runs, 0));
	EXPECT_ERRNO(EPERM,
		     mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->runs, 0));
}

/* As for each other seal against writing, who may write is looked for first. */
TEST_F(memfd_exec, what_is_mapped_for_writing_can_not_be_sealed_so)
{
	unsigned char *p =
		mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->runs, 0);

	ASSERT_MAPPED(p, self->ps);

	ACT(fcntl);
	EXPECT_ERRNO(EBUSY, fcntl(self->runs, F_ADD_SEALS, F_SEAL_EXEC));
	EXPECT_EQ(0, fcntl(self->runs, F_GET_SEALS));
	ASSERT_EQ(0, munmap(p, self->ps));
	EXPECT_ERRNO(0, fcntl(self->runs, F_ADD_SEALS, F_SEAL_EXEC));
	EXPECT_EQ(F_SEAL_EXEC | WRITE_SEALS, fcntl(self->runs, F_GET_SEALS));
}

TEST_F(memfd_exec, what_must_not_run_stays_writable)
{
	unsigned char *p =
		mmap(NULL, self->ps, PROT_RW, MAP_SHARED, self->not, 0);

	ASSERT_MAPPED(p, self->ps);

	ACT_PROBE();
	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(7, peek(p));
}

TEST_F(memfd_exec, both_at_once_are_einval)
{
	ACT(memfd_create);
	EXPECT_ERRNO(EINVAL,
		     memfd_create("memsafe", MFD_EXEC | MFD_NOEXEC_SEAL));
	EXPECT_LE(0, memfd_create("memsafe", MFD_NOEXEC_SEAL));
}

TEST_HARNESS_MAIN
