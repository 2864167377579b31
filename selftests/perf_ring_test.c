// SPDX-License-Identifier: GPL-2.0
/*
 * The ring of a perf event, for what a driver's contract has no words for: which
 * sizes there are, which page is written, and who pays for it (perf_event_open(2),
 * Documentation/admin-guide/perf-security.rst on perf_event_mlock_kb).
 */
#include "memsafe.h"

#include <linux/perf_event.h>

#include "memsafe_task.h"

#define DATA_PAGES 8
#define NOBODY 65534
/* Each more than perf_event_mlock_kb, 516, lets a user have for a CPU by itself. */
#define LARGE_PAGES 128
#define ROUNDS 64

static int event_open(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return syscall(__NR_perf_event_open, &attr, 0, -1, -1,
		       PERF_FLAG_FD_CLOEXEC);
}

static void *ring(int fd, size_t data_pages, int prot)
{
	return mmap(NULL, (1 + data_pages) * page_size(), prot, MAP_SHARED, fd,
		    0);
}

FIXTURE(perf_ring)
{
	int fd;
	size_t ps;
	size_t len;
};

FIXTURE_SETUP(perf_ring)
{
	self->ps = page_size();
	self->len = (1 + DATA_PAGES) * self->ps;
	self->fd = event_open();
	if (self->fd < 0 && (errno == EACCES || errno == EPERM))
		SKIP(return, "needs kernel.perf_event_paranoid of at most 2");
	if (self->fd < 0)
		SKIP(return, "needs CONFIG_PERF_EVENTS=y");
}

FIXTURE_TEARDOWN(perf_ring)
{
}

TEST_F(perf_ring, number_of_data_pages_is_a_power_of_two)
{
	static const size_t wrong[] = {3, 5, 6, 7, 9};

	ACT(mmap);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		EXPECT_ERRNO(EINVAL, ring(self->fd, wrong[i], PROT_RW));
	EXPECT_MAPPED(ring(self->fd, DATA_PAGES, PROT_RW), self->len);
}

TEST_F(perf_ring, second_mapping_has_the_size_of_the_first)
{
	ASSERT_MAPPED(ring(self->fd, DATA_PAGES, PROT_RW), self->len);

	ACT(mmap);
	EXPECT_ERRNO(EINVAL, ring(self->fd, DATA_PAGES / 2, PROT_RW));
	EXPECT_ERRNO(EINVAL, ring(self->fd, 2 * DATA_PAGES, PROT_RW));
	EXPECT_MAPPED(ring(self->fd, DATA_PAGES, PROT_RW), self->len);
}

TEST_F(perf_ring, part_is_not_unmapped)
{
	unsigned char *p = ring(self->fd, DATA_PAGES, PROT_RW);

	ASSERT_MAPPED(p, self->len);

	ACT(munmap);
	EXPECT_ERRNO(EINVAL, munmap(p, self->ps));
	EXPECT_ERRNO(EINVAL, munmap(p + self->ps, self->ps));
	EXPECT_ERRNO(EINVAL, munmap(p + self->len - self->ps, self->ps));
	EXPECT_NO_FAULT(probe_read(p + self->ps));
	EXPECT_EQ(0, munmap(p, self->len));
}

TEST_F(perf_ring, part_is_not_given_another_protection)
{
	unsigned char *p = ring(self->fd, DATA_PAGES, PROT_RW);

	ASSERT_MAPPED(p, self->len);

	ACT(mprotect);
	EXPECT_ERRNO(EINVAL, mprotect(p, self->ps, PROT_READ));
	EXPECT_ERRNO(EINVAL, mprotect(p + self->ps, self->ps, PROT_READ));
	EXPECT_NO_FAULT(probe_write(p));
}

TEST_F(perf_ring, first_page_is_written_and_no_other)
{
	unsigned char *p = ring(self->fd, DATA_PAGES, PROT_RW);

	ASSERT_MAPPED(p, self->len);

	ACT_PROBE();
	EXPECT_NO_FAULT(probe_write(p));
	for (unsigned char *q = p + self->ps; q < p + self->len; q += self->ps)
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, q, probe_write(q));
}

/* The page is there before: only its page table entry can tell. */
TEST_F(perf_ring, data_page_that_was_read_is_not_written)
{
	unsigned char *p = ring(self->fd, DATA_PAGES, PROT_RW);

	ASSERT_MAPPED(p, self->len);
	for (unsigned char *q = p + self->ps; q < p + self->len; q += self->ps)
		ASSERT_NO_FAULT(probe_read(q));

	ACT_PROBE();
	for (unsigned char *q = p + self->ps; q < p + self->len; q += self->ps)
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, q, probe_write(q));
}

TEST_F(perf_ring, kernel_writes_no_data_page_for_the_user)
{
	unsigned char *p = ring(self->fd, DATA_PAGES, PROT_RW);
	int fds[2];

	ASSERT_MAPPED(p, self->len);
	ASSERT_NO_FAULT(probe_read(p + self->ps));
	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	ASSERT_EQ(1, gather(fds[1], "\xee", 1));

	ACT(read);
	EXPECT_ERRNO(EFAULT, read(fds[0], p + self->ps, 1));
	EXPECT_EQ(0, peek(p + self->ps));
}

/* A user with no memory to lock but what every user has for rings. */
static bool become_nobody(void)
{
	return limit_set(RLIMIT_MEMLOCK, 0) && !setgid(NOBODY) &&
	       !setuid(NOBODY);
}

/* 0, or the number of the first of many rings, one after the other, that failed. */
static int one_ring_after_the_other(void *arg)
{
	(void)arg;
	if (!become_nobody())
		return 255;
	for (int round = 1; round <= ROUNDS; round++) {
		int fd = event_open();
		void *p = ring(fd, DATA_PAGES, PROT_RW);

		if (fd < 0 || p == MAP_FAILED ||
		    munmap(p, (1 + DATA_PAGES) * page_size()) || close(fd))
			return round;
	}
	return 0;
}

TEST_F(perf_ring, ring_that_is_gone_is_no_longer_charged)
{
	if (getuid())
		SKIP(return, "needs root");

	ACT(munmap);
	EXPECT_EQ(0, in_child(one_ring_after_the_other, NULL));
}

/* The errno of the first of many rings, kept at once, that failed; 0: none did. */
static int many_rings_at_once(void *arg)
{
	long most = 2 * sysconf(_SC_NPROCESSORS_ONLN) + 2;

	(void)arg;
	if (!become_nobody())
		return 255;
	for (long each = 0; each < most; each++)
		if (ring(event_open(), LARGE_PAGES, PROT_RW) == MAP_FAILED)
			return errno;
	return 0;
}

TEST_F(perf_ring, ordinary_user_has_so_many_rings_and_no_more)
{
	if (getuid())
		SKIP(return, "needs root");

	ACT(mmap);
	EXPECT_EQ(EPERM, in_child(many_rings_at_once, NULL));
}

TEST_F(perf_ring, child_has_no_ring)
{
	unsigned char *p = ring(self->fd, DATA_PAGES, PROT_RW);

	ASSERT_MAPPED(p, self->len);
	ASSERT_NO_FAULT(probe_write(p));

	ACT(clone);
	EXPECT_EQ(SIGSEGV, in_child(signal_of_write, p));
	EXPECT_NO_FAULT(probe_write(p));
}

TEST_HARNESS_MAIN
