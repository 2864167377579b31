// SPDX-License-Identifier: GPL-2.0
/*
 * Memory whose faults a program serves itself: what is not there is told or SIGBUS, what
 * is given is there byte for byte, once, and only where it was asked for (userfaultfd(2),
 * ioctl_userfaultfd(2)).
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "memsafe.h"

#define PAGES 4
#define GIVEN 0x5a

FIXTURE(userfaultfd)
{
	size_t ps;
	size_t len;
	int uffd;
	unsigned char *page; /* of GIVEN, somewhere else */
	unsigned char *p;    /* registered, nothing there yet */
};

FIXTURE_VARIANT(userfaultfd)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(userfaultfd, anon){
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};
FIXTURE_VARIANT_ADD(userfaultfd, shmem){
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};
FIXTURE_VARIANT_ADD(userfaultfd, shmem_private){
	.backing = SHMEM,
	.sharing = MAP_PRIVATE,
};

static int uffd_open(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -1;
}

static long uffd_register(int uffd, void *p, size_t len, uint64_t mode)
{
	struct uffdio_register range = {
		.range = {(uintptr_t)p, len},
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &range);
}

static long uffd_unregister(int uffd, void *p, size_t len)
{
	struct uffdio_range range = {(uintptr_t)p, len};

	return ioctl(uffd, UFFDIO_UNREGISTER, &range);
}

static long uffd_copy(int uffd, void *to, const void *from, size_t len)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)from,
		.len = len,
	};

	return ioctl(uffd, UFFDIO_COPY, &copy);
}

static long uffd_zero(int uffd, void *to, size_t len)
{
	struct uffdio_zeropage zero = {.range = {(uintptr_t)to, len}};

	return ioctl(uffd, UFFDIO_ZEROPAGE, &zero);
}

FIXTURE_SETUP(userfaultfd)
{
	int fd = -1;

	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->uffd = uffd_open(UFFD_FEATURE_SIGBUS);
	if (self->uffd < 0)
		SKIP(return, "needs CONFIG_USERFAULTFD=y and leave to use it");
	/* A file ends a page before its mapping. */
	if (has_file(variant->backing)) {
		fd = backing_open(variant->backing, self->len);
		ASSERT_LE(0, fd);
	}
	self->p =
		map_alone(self->len + self->ps, PROT_RW, variant->sharing, fd);
	ASSERT_MAPPED(self->p, self->len + self->ps);
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_MAPPED(self->page, self->ps);
	memset(self->page, GIVEN, self->ps);
	ASSERT_ERRNO(0, uffd_register(self->uffd, self->p, self->len + self->ps,
				      UFFDIO_REGISTER_MODE_MISSING));
}

FIXTURE_TEARDOWN(userfaultfd)
{
}

TEST_F(userfaultfd, missing_page_is_sigbus_at_its_address)
{
	ACT_PROBE();
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, self->p + 7, probe_read(self->p + 7));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, self->p + self->len - 1,
		     probe_write(self->p + self->len - 1));
	EXPECT_EQ(0, present_pages(self->p, self->len));
}

TEST_F(userfaultfd, given_page_is_there_byte_for_byte)
{
	unsigned char *q = self->p + self->ps;

	ACT(ioctl);
	ASSERT_ERRNO(0, uffd_copy(self->uffd, q, self->page, self->ps));

	ASSERT_EQ(GIVEN, peek(q));
	EXPECT_EQ(self->ps, first_other(q, self->ps, GIVEN));
	EXPECT_EQ(1, present_pages(self->p, self->len));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, q - 1, probe_read(q - 1));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, q + self->ps,
		     probe_read(q + self->ps));
}

/* A copy, not the same page. */
TEST_F(userfaultfd, given_page_is_its_own)
{
	ACT(ioctl);
	ASSERT_ERRNO(0, uffd_copy(self->uffd, self->p, self->page, self->ps));
	ASSERT_TRUE(poke(self->page, 1));
	EXPECT_EQ(GIVEN, peek(self->p));
	ASSERT_TRUE(poke(self->p, 2));
	EXPECT_EQ(1, peek(self->page));
}

TEST_F(userfaultfd, page_that_is_there_is_eexist_and_stays)
{
	ASSERT_ERRNO(0, uffd_copy(self->uffd, self->p, self->page, self->ps));
	ASSERT_TRUE(poke(self->p, 1));

	ACT(ioctl);
	EXPECT_ERRNO(EEXIST,
		     uffd_copy(self->uffd, self->p, self->page, self->ps));
	EXPECT_EQ(1, peek(self->p));
	EXPECT_ERRNO(0, uffd_copy(self->uffd, self->p + self->ps, self->page,
				  self->ps));
}

TEST_F(userfaultfd, zero_page_is_zero)
{
	ACT(ioctl);
	ASSERT_ERRNO(0, uffd_zero(self->uffd, self->p, self->ps));

	ASSERT_EQ(0, peek(self->p));
	EXPECT_EQ(self->ps, first_nonzero(self->p, self->ps));
	EXPECT_TRUE(poke(self->p, 1));
	EXPECT_EQ(0, peek(self->p + 1));
}

TEST_F(userfaultfd, page_that_can_not_be_read_is_efault_and_not_there)
{
	ASSERT_EQ(0, munmap(self->page, self->ps));

	ACT(ioctl);
	EXPECT_ERRNO(EFAULT,
		     uffd_copy(self->uffd, self->p, self->page, self->ps));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, self->p, probe_read(self->p));
	EXPECT_ERRNO(0, uffd_zero(self->uffd, self->p, self->ps));
}

/* What a file does not have can't be given either; anonymous memory has no end. */
TEST_F(userfaultfd, page_past_the_end_of_the_file_is_efault)
{
	unsigned char *end = self->p + self->len;
	int err = has_file(variant->backing) ? EFAULT : 0;

	ACT(ioctl);
	EXPECT_ERRNO(err, uffd_zero(self->uffd, end, self->ps));
	EXPECT_ERRNO(err ?: EEXIST,
		     uffd_copy(self->uffd, end, self->page, self->ps));
	EXPECT_EQ(err ? SIGBUS : 0, probe_read(end).signal);
	EXPECT_ERRNO(
		0, uffd_copy(self->uffd, end - self->ps, self->page, self->ps));
}

TEST_F(userfaultfd, range_that_is_not_registered_is_enoent)
{
	unsigned char *other = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);

	ASSERT_MAPPED(other, self->ps);

	ACT(ioctl);
	EXPECT_ERRNO(ENOENT,
		     uffd_copy(self->uffd, other, self->page, self->ps));
	EXPECT_EQ(0, peek(other));
	ASSERT_EQ(0, munmap(self->p, self->ps));
	EXPECT_ERRNO(ENOENT,
		     uffd_copy(self->uffd, self->p, self->page, self->ps));
	EXPECT_ERRNO(0, uffd_copy(self->uffd, self->p + self->ps, self->page,
				  self->ps));
}

TEST_F(userfaultfd, range_that_is_none_is_einval)
{
	unsigned char *p = self->p;

	ACT(ioctl);
	EXPECT_ERRNO(EINVAL,
		     uffd_copy(self->uffd, p + 1, self->page, self->ps));
	EXPECT_ERRNO(EINVAL,
		     uffd_copy(self->uffd, p, self->page, self->ps - 1));
	EXPECT_ERRNO(EINVAL, uffd_copy(self->uffd, p, self->page, 0));
	EXPECT_ERRNO(EINVAL, uffd_copy(self->uffd, p, self->page,
				       -(uintptr_t)p + self->ps));
	EXPECT_ERRNO(0, uffd_copy(self->uffd, p, self->page, self->ps));
}

TEST_F(userfaultfd, memory_that_is_given_back_faults_as_any)
{
	ACT(ioctl);
	ASSERT_ERRNO(0, uffd_unregister(self->uffd, self->p, self->len));

	EXPECT_NO_FAULT(probe_write(self->p));
	EXPECT_EQ(0, peek(self->p + self->ps));
	EXPECT_ERRNO(ENOENT, uffd_copy(self->uffd, self->p + 2 * self->ps,
				       self->page, self->ps));
}

static int read_of(void *p)
{
	return peek(p);
}

/* Without UFFD_FEATURE_EVENT_FORK nobody would serve it. */
TEST_F(userfaultfd, memory_of_a_child_is_not_registered)
{
	ACT(clone);
	EXPECT_EQ(0, in_child(read_of, self->p + self->ps));
	EXPECT_EQ(0, in_child(signal_of_write, self->p));
}

/* Waiting for a page in another thread. */
struct waiter {
	pthread_t thread;
	unsigned char *p;
	int seen;
};

static void *wait_for_page(void *arg)
{
	struct waiter *waiter = arg;

	waiter->seen = *(volatile unsigned char *)waiter->p;
	return NULL;
}

/* The next fault; false: none for seconds. */
static bool next_fault(int uffd, struct uffd_msg *msg)
{
	for (int tries = 0; tries < 10000; tries++) {
		ssize_t got = read(uffd, msg, sizeof(*msg));

		if (got >= 0 || errno != EAGAIN)
			return got == sizeof(*msg) &&
			       msg->event == UFFD_EVENT_PAGEFAULT;
		usleep(1000);
	}
	return false;
}

TEST_F(userfaultfd, who_touches_a_missing_page_waits_for_it)
{
	struct waiter waiter = {.p = self->p + self->ps + 7, .seen = -1};
	struct uffd_msg msg = {};

	ASSERT_EQ(0, close(self->uffd));
	self->uffd = uffd_open(0);
	ASSERT_LE(0, self->uffd);
	ASSERT_ERRNO(0, uffd_register(self->uffd, self->p, self->len,
				      UFFDIO_REGISTER_MODE_MISSING));
	ASSERT_EQ(0,
		  pthread_create(&waiter.thread, NULL, wait_for_page, &waiter));

	ACT(read);
	ASSERT_TRUE(next_fault(self->uffd, &msg));
	EXPECT_EQ((uintptr_t)(self->p + self->ps), msg.arg.pagefault.address);
	EXPECT_EQ(0, msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_ERRNO(0, uffd_copy(self->uffd, self->p + self->ps, self->page,
				  self->ps));
	ASSERT_EQ(0, pthread_join(waiter.thread, NULL));
	EXPECT_EQ(GIVEN, waiter.seen);
}

TEST_HARNESS_MAIN
