// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is protected against writing page by page, without a mapping of its own
 * for each: a write is told or SIGBUS and leaves everything as it was, until the page is
 * released (ioctl_userfaultfd(2) on UFFDIO_WRITEPROTECT).
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "memsafe.h"

#define PAGES 4
#define OLD 0x11

/* Pages of OLD, registered; the second one is protected. */
FIXTURE(userfaultfd_wp)
{
	size_t ps;
	size_t len;
	int uffd;
	unsigned char *p;
	unsigned char *q; /* the one that is protected */
};

FIXTURE_VARIANT(userfaultfd_wp)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(userfaultfd_wp, anon){
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};
FIXTURE_VARIANT_ADD(userfaultfd_wp, shmem){
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};

static int uffd_open(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_SIGBUS |
			    UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	return fd;
}

static long protect(int uffd, void *p, size_t len, bool on)
{
	struct uffdio_writeprotect range = {
		.range = {(uintptr_t)p, len},
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &range);
}

FIXTURE_SETUP(userfaultfd_wp)
{
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_WP};
	int fd = -1;

	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->uffd = uffd_open();
	if (self->uffd < 0)
		SKIP(return, "needs write protection of userfaultfd");
	if (has_file(variant->backing)) {
		fd = backing_open(variant->backing, self->len);
		ASSERT_LE(0, fd);
	}
	self->p = map_alone(self->len, PROT_RW, variant->sharing, fd);
	ASSERT_MAPPED(self->p, self->len);
	memset(self->p, OLD, self->len);
	self->q = self->p + self->ps;
	range.range = (struct uffdio_range){(uintptr_t)self->p, self->len};
	ASSERT_ERRNO(0, ioctl(self->uffd, UFFDIO_REGISTER, &range));
	ASSERT_ERRNO(0, protect(self->uffd, self->q, self->ps, true));
}

FIXTURE_TEARDOWN(userfaultfd_wp)
{
}

TEST_F(userfaultfd_wp, write_is_sigbus_and_changes_nothing)
{
	ACT_PROBE();
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, self->q + 7, probe_write(self->q + 7));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, self->q + self->ps - 1,
		     probe_write(self->q + self->ps - 1));
	EXPECT_EQ(self->len, first_other(self->p, self->len, OLD));
}

TEST_F(userfaultfd_wp, neighbours_are_written)
{
	ACT_PROBE();
	EXPECT_TRUE(poke(self->q - 1, 7));
	EXPECT_TRUE(poke(self->q + self->ps, 7));
	EXPECT_EQ(7, peek(self->q - 1));
	EXPECT_EQ(7, peek(self->q + self->ps));
	EXPECT_EQ(OLD, peek(self->q));
}

TEST_F(userfaultfd_wp, kernel_does_not_write_either)
{
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	ASSERT_EQ(1, gather(fds[1], "\xee", 1));

	ACT(read);
	EXPECT_ERRNO(EFAULT, read(fds[0], self->q, 1));
	EXPECT_EQ(OLD, peek(self->q));
	EXPECT_EQ(1, read(fds[0], self->p, 1));
}

TEST_F(userfaultfd_wp, page_that_is_released_is_written)
{
	ACT(ioctl);
	ASSERT_ERRNO(0, protect(self->uffd, self->q, self->ps, false));
	EXPECT_TRUE(poke(self->q, 7));
	EXPECT_EQ(7, peek(self->q));
	ASSERT_ERRNO(0, protect(self->uffd, self->q, self->ps, true));
	EXPECT_EQ(SIGBUS, probe_write(self->q).signal);
	EXPECT_EQ(7, peek(self->q));
}

/* Not by the same road: the page is still protected. */
TEST_F(userfaultfd_wp, mprotect_to_writable_does_not_release_it)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));
	EXPECT_EQ(SIGSEGV, probe_write(self->p).signal);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_RW));

	EXPECT_EQ(SIGBUS, probe_write(self->q).signal);
	EXPECT_EQ(OLD, peek(self->q));
	EXPECT_TRUE(poke(self->p, 7));
}

static int peek_of(void *p)
{
	return peek(p);
}

/* Who copies on write does not copy the protection along. */
TEST_F(userfaultfd_wp, fork_leaves_the_parent_protected)
{
	ACT(clone);
	EXPECT_EQ(0, in_child(signal_of_write, self->q));
	EXPECT_EQ(OLD, in_child(peek_of, self->p));
	EXPECT_EQ(SIGBUS, probe_write(self->q).signal);
}

TEST_F(userfaultfd_wp, memory_that_is_not_registered_is_enoent)
{
	unsigned char *other = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);

	ASSERT_MAPPED(other, self->ps);

	ACT(ioctl);
	EXPECT_ERRNO(ENOENT, protect(self->uffd, other, self->ps, true));
	EXPECT_TRUE(poke(other, 7));
	EXPECT_ERRNO(EINVAL, protect(self->uffd, self->q + 1, self->ps, true));
	EXPECT_ERRNO(EINVAL, protect(self->uffd, self->q, self->ps - 1, true));
}

TEST_F(userfaultfd_wp, unregistered_memory_is_released)
{
	struct uffdio_range range = {(uintptr_t)self->p, self->len};

	ACT(ioctl);
	ASSERT_ERRNO(0, ioctl(self->uffd, UFFDIO_UNREGISTER, &range));
	EXPECT_TRUE(poke(self->q, 7));
	EXPECT_EQ(7, peek(self->q));
	EXPECT_ERRNO(ENOENT, protect(self->uffd, self->q, self->ps, true));
}

TEST_HARNESS_MAIN
