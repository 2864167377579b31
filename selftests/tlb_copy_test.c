// SPDX-License-Identifier: GPL-2.0
/*
 * When a page is replaced by a copy, write-protected for fork() or for a write
 * to the disk, or cut off with its file, every CPU follows at once: what another
 * thread reads is the new page, and what it writes goes where it belongs.
 */
#include "memsafe.h"
#include "memsafe_guest.h"
#include "memsafe_observer.h"

MEMSAFE_GUEST("smp");

#define ROUNDS rounds(100)
/* Each takes a process. */
#define FORKS rounds(10)
/* Each takes a write to the disk. */
#define SYNCS rounds(10)

FIXTURE(tlb_copy)
{
	size_t ps;
	struct observer observer;
};

FIXTURE_SETUP(tlb_copy)
{
	if (!has_two_cpus())
		SKIP(return, "needs two CPUs");
	self->ps = page_size();
	ASSERT_TRUE(observer_start(&self->observer));
}

FIXTURE_TEARDOWN(tlb_copy)
{
}

/*
 * A page of @fd, or of nothing, mapped private, that the observer has read;
 * NULL when that failed.
 */
static unsigned char *page_that_was_read(FIXTURE_DATA(tlb_copy) * self, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE;
	void *p = mmap(NULL, self->ps, PROT_RW, flags, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (observer_touch(&self->observer, p, self->ps, false))
		return p;
	munmap(p, self->ps);
	return NULL;
}

/* How many rounds went by until the observer missed a store of ours. */
static int rounds_that_show_a_store(FIXTURE_DATA(tlb_copy) * self, int fd)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		unsigned char *p = page_that_was_read(self, fd);
		int seen;

		if (!p)
			break;
		probe_write(p);
		seen = observer_look(&self->observer, 0);
		munmap(p, self->ps);
		if (seen != 0xa5)
			break;
	}
	return round;
}

TEST_F_TIMEOUT(tlb_copy, store_to_the_zero_page_is_seen_by_who_read_it, OBSERVER_SECONDS)
{
	ACT_PROBE();
	EXPECT_EQ(ROUNDS, rounds_that_show_a_store(self, -1));
}

TEST_F_TIMEOUT(tlb_copy, store_to_a_private_file_page_is_seen_by_who_read_it, OBSERVER_SECONDS)
{
	int fd = backing_open(SHMEM, self->ps);

	ASSERT_LE(0, fd);

	ACT_PROBE();
	EXPECT_EQ(ROUNDS, rounds_that_show_a_store(self, fd));
}

/* Waits for the end of @fd, then says what is at @p. */
struct reader {
	int fds[2];
	unsigned char *p;
};

static int read_when_told(void *arg)
{
	struct reader *reader = arg;
	char byte;

	close(reader->fds[1]);
	while (read(reader->fds[0], &byte, 1) > 0)
		;
	return *reader->p;
}

/* What a child reads that was forked before the observer's second store. */
static int byte_of_the_child(struct observer *observer, struct reader *reader)
{
	pid_t child;

	if (pipe2(reader->fds, O_CLOEXEC))
		return -1;
	child = child_start(read_when_told, reader);
	observer_look(observer, 0);
	close(reader->fds[1]);
	close(reader->fds[0]);
	return child_end(child);
}

TEST_F_TIMEOUT(tlb_copy, store_after_fork_is_not_seen_by_the_child, OBSERVER_SECONDS)
{
	unsigned char *p = mmap(NULL, self->ps, PROT_RW,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct reader reader = {.p = p};
	int round;

	ASSERT_NE(MAP_FAILED, (void *)p);

	ACT(clone);
	for (round = 0; round < FORKS; round++) {
		ASSERT_TRUE(observer_touch(&self->observer, p, self->ps, true));
		if (byte_of_the_child(&self->observer, &reader) != STORE_TOUCH)
			break;
	}
	EXPECT_EQ(FORKS, round);
}

/* A page that is only mapped: nothing else makes it dirty. */
static bool is_dirty(const unsigned char *p)
{
	uint64_t flags = kpageflags(p);

	return flags != KPF_UNKNOWN && flags & KPF_DIRTY;
}

/*
 * The page of the file is clean and write-protected after msync(): a store that
 * needs no fault is one that the next msync() does not know of.
 */
TEST_F_TIMEOUT(tlb_copy, store_after_msync_is_dirty_again, OBSERVER_SECONDS)
{
	int fd, round;
	unsigned char *p;

	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	fd = backing_open(DISK, self->ps);
	ASSERT_LE(0, fd);
	p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);

	ACT(msync);
	for (round = 0; round < SYNCS; round++) {
		ASSERT_TRUE(observer_touch(&self->observer, p, self->ps, true));
		if (msync(p, self->ps, MS_SYNC) || is_dirty(p) ||
		    observer_look(&self->observer, 0) != STORE_LOOK ||
		    !is_dirty(p))
			break;
	}
	EXPECT_EQ(SYNCS, round);
}

TEST_F_TIMEOUT(tlb_copy, store_after_truncate_is_sigbus, OBSERVER_SECONDS)
{
	int fd = backing_open(SHMEM, self->ps), round;
	unsigned char *p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)p);

	ACT(ftruncate);
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, ftruncate(fd, self->ps));
		ASSERT_TRUE(observer_touch(&self->observer, p, self->ps, true));
		ASSERT_EQ(0, ftruncate(fd, 0));
		if (observer_look(&self->observer, 0) !=
		    SEEN_FAULT(SIGBUS, BUS_ADRERR))
			break;
	}
	EXPECT_EQ(ROUNDS, round);
}

TEST_F_TIMEOUT(tlb_copy, read_after_a_hole_is_punched_is_zero, OBSERVER_SECONDS)
{
	int fd = backing_open(SHMEM, self->ps), round;
	unsigned char *p = mmap(NULL, self->ps, PROT_RW, MAP_SHARED, fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)p);

	ACT(fallocate);
	for (round = 0; round < ROUNDS; round++) {
		*p = STORE_TOUCH;
		ASSERT_TRUE(
			observer_touch(&self->observer, p, self->ps, false));
		ASSERT_EQ(0,
			  fallocate(fd,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    0, self->ps));
		if (observer_look(&self->observer, 0) != 0)
			break;
	}
	EXPECT_EQ(ROUNDS, round);
}

TEST_HARNESS_MAIN
