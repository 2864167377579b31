// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's copies to and from user memory end exactly where an access of
 * the process would have faulted: EFAULT or a short count (read(2), write(2)),
 * nothing beyond, nothing lost on the other side.
 */
#include <linux/futex.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "memsafe.h"

/*
 * What a call is asked to move, and what there is room for: chunks of any
 * architecture, as a copy needs not squeeze out the last bytes before a fault
 * (raw_copy_from_user() in include/linux/uaccess.h).
 */
#define ASKED 256
#define ROOM 128
#define OLD 0x11

enum second {
	HOLE, /* nothing is mapped */
	NONE, /* PROT_NONE */
	READ_ONLY, /* an obstacle for one direction */
	PAST_END, /* of the file: SIGBUS */
	UNTOUCHED, /* no obstacle: a fault brings it */
};

/*
 *	| page 0, OLD | page 1, as the variant says |
 *	      ^p      ^boundary, ROOM bytes from p
 */
FIXTURE(user_access)
{
	size_t ps;
	unsigned char *boundary;
	unsigned char *p;
	int pipe[2];
	int file; /* ASKED bytes of fill(7) */
};

FIXTURE_VARIANT(user_access)
{
	enum second second;
};

#define SECOND(name, what)                     \
	FIXTURE_VARIANT_ADD(user_access, name) \
	{                                      \
		.second = what,                \
	}
SECOND(hole, HOLE);
SECOND(prot_none, NONE);
SECOND(read_only, READ_ONLY);
SECOND(past_end_of_file, PAST_END);
SECOND(untouched, UNTOUCHED);

/* How much a copy to and from user space can move. */
static ssize_t room_to(const FIXTURE_VARIANT(user_access) * variant)
{
	return variant->second == UNTOUCHED ? ASKED : ROOM;
}

static ssize_t room_from(const FIXTURE_VARIANT(user_access) * variant)
{
	return variant->second == READ_ONLY ? ASKED : room_to(variant);
}

static unsigned char content[ASKED];

FIXTURE_SETUP(user_access)
{
	bool file = variant->second == PAST_END;
	int fd = backing_open(file ? SHMEM : ANON, page_size());
	unsigned char *page;

	self->ps = page_size();
	ASSERT_NE(-2, fd);
	page = map_alone(2 * self->ps, PROT_RW, file ? MAP_SHARED : MAP_PRIVATE,
			 fd);
	ASSERT_NE(MAP_FAILED, page);
	self->boundary = page + self->ps;
	self->p = self->boundary - ROOM;
	memset(page, OLD, self->ps);
	if (variant->second == HOLE)
		ASSERT_EQ(0, munmap(self->boundary, self->ps));
	if (variant->second == NONE)
		ASSERT_EQ(0, mprotect(self->boundary, self->ps, PROT_NONE));
	if (variant->second == READ_ONLY)
		ASSERT_EQ(0, mprotect(self->boundary, self->ps, PROT_READ));

	fill(content, ASKED, 7);
	self->file = backing_open(SHMEM, 0);
	ASSERT_EQ(ASKED, pwrite(self->file, content, ASKED, 0));
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(0, fcntl(self->pipe[0], F_SETFL, O_NONBLOCK));
}

FIXTURE_TEARDOWN(user_access)
{
}

/* The bytes in front of the buffer are OLD, and the rest of it is there. */
#define EXPECT_COPIED(self, count)                                   \
	do {                                                         \
		EXPECT_EQ((self)->ps - ROOM,                         \
			  first_other((self)->boundary - (self)->ps, \
				      (self)->ps - ROOM, OLD));      \
		EXPECT_EQ((size_t)(count),                           \
			  first_difference((self)->p, count, 7));    \
	} while (0)

TEST_F(user_access, read_of_a_file_ends_at_the_boundary)
{
	ACT(pread64);
	EXPECT_EQ(room_to(variant), pread(self->file, self->p, ASKED, 0));
	EXPECT_COPIED(self, room_to(variant));
}

TEST_F(user_access, readv_of_a_file_ends_at_the_boundary)
{
	struct iovec to[] = {
		{ self->p, ROOM },
		{ self->boundary, ASKED - ROOM },
	};

	ASSERT_EQ(0, lseek(self->file, 0, SEEK_SET));

	ACT(readv);
	EXPECT_EQ(room_to(variant), readv(self->file, to, 2));
	EXPECT_COPIED(self, room_to(variant));
	EXPECT_EQ(room_to(variant), lseek(self->file, 0, SEEK_CUR));
}

/* GRND_INSECURE: a guest that has just booted may have no entropy yet. */
TEST_F(user_access, getrandom_ends_at_the_boundary)
{
	ACT(getrandom);
	EXPECT_EQ(room_to(variant), getrandom(self->p, ASKED, GRND_INSECURE));
	EXPECT_GT(ROOM, first_other(self->p, ROOM, OLD));
	EXPECT_COPIED(self, 0);
}

TEST_F(user_access, read_of_dev_zero_ends_at_the_boundary)
{
	int fd = backing_open(ZERO, 0);

	ASSERT_LE(0, fd);

	ACT(read);
	EXPECT_EQ(room_to(variant), read(fd, self->p, ASKED));
	EXPECT_EQ(ROOM, first_nonzero(self->p, ROOM));
	EXPECT_COPIED(self, 0);
}

/* One chunk of a pipe is all or nothing. */
TEST_F(user_access, read_of_a_pipe_that_fails_loses_nothing)
{
	unsigned char again[ASKED];
	bool fits = room_to(variant) == ASKED;

	ASSERT_EQ(ASKED, write(self->pipe[1], content, ASKED));

	ACT(read);
	EXPECT_EQ(fits ? ASKED : -1, read(self->pipe[0], self->p, ASKED));
	EXPECT_COPIED(self, fits ? ASKED : 0);
	if (fits)
		return;
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(ASKED, read(self->pipe[0], again, ASKED));
	EXPECT_EQ(ASKED, first_difference(again, ASKED, 7));
}

TEST_F(user_access, write_to_a_file_ends_at_the_boundary)
{
	int fd = backing_open(SHMEM, 0);
	struct stat st;

	memset(self->p, OLD, ROOM);

	ACT(pwrite64);
	EXPECT_EQ(room_from(variant), pwrite(fd, self->p, ASKED, 0));
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(room_from(variant), st.st_size);
	EXPECT_EQ(ROOM, pread(fd, content, ROOM, 0));
	EXPECT_EQ(ROOM, first_other(content, ROOM, OLD));
}

TEST_F(user_access, write_to_a_disk_file_ends_at_the_boundary)
{
	struct stat st;
	int fd;

	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	fd = backing_open(DISK, 0);
	ASSERT_LE(0, fd);

	ACT(pwrite64);
	EXPECT_EQ(room_from(variant), pwrite(fd, self->p, ASKED, 0));
	EXPECT_EQ(0, fstat(fd, &st));
	EXPECT_EQ(room_from(variant), st.st_size);
	EXPECT_EQ(ROOM, pread(fd, content, ROOM, 0));
	EXPECT_EQ(ROOM, first_other(content, ROOM, OLD));
}

TEST_F(user_access, write_to_a_pipe_that_fails_puts_nothing_in)
{
	bool fits = room_from(variant) == ASKED;

	ACT(writev);
	EXPECT_EQ(fits ? ASKED : -1, gather(self->pipe[1], self->p, ASKED));
	if (fits) {
		EXPECT_EQ(ASKED, read(self->pipe[0], content, ASKED));
		EXPECT_EQ(ROOM, first_other(content, ROOM, OLD));
		return;
	}
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(self->pipe[0], content, ASKED));
	EXPECT_EQ(EAGAIN, errno);
}

/* A structure is all or nothing. */
TEST_F(user_access, structure_across_the_boundary_is_efault)
{
	int err = room_to(variant) == ASKED ? 0 : EFAULT;
	unsigned char *across = self->boundary - sizeof(struct timespec) / 2;

	ACT(clock_gettime);
	EXPECT_ERRNO(err, syscall(__NR_clock_gettime, CLOCK_MONOTONIC, across));
	EXPECT_COPIED(self, 0);
	EXPECT_ERRNO(0, syscall(__NR_clock_gettime, CLOCK_MONOTONIC,
				self->boundary - sizeof(struct timespec)));
	EXPECT_GT(sizeof(struct timespec),
		  first_other(self->boundary - sizeof(struct timespec),
			      sizeof(struct timespec), OLD));
}

/* The descriptors that could not be told do not stay open. */
TEST_F(user_access, pipe_that_can_not_be_told_of_is_not_made)
{
	int err = room_to(variant) == ASKED ? 0 : EFAULT;
	int next = dup(self->file);

	ASSERT_EQ(0, close(next));

	ACT(pipe2);
	EXPECT_ERRNO(err, syscall(__NR_pipe2, self->boundary - sizeof(int), 0));
	EXPECT_EQ(err ? next : next + 2, dup(self->file));
}

TEST_F(user_access, poll_reads_all_before_it_waits)
{
	int err = room_from(variant) == ASKED ? 0 : EFAULT;
	struct pollfd *fds = (struct pollfd *)self->boundary - 1;

	fds[0] = (struct pollfd){ .fd = self->pipe[1], .events = POLLOUT };
	if (variant->second == READ_ONLY)
		err = EFAULT;

	ACT(ppoll);
	EXPECT_ERRNO(err, syscall(__NR_ppoll, fds, 2, &(struct timespec){ 0 },
				  NULL, 0));
	EXPECT_ERRNO(0, syscall(__NR_ppoll, fds, 1, &(struct timespec){ 0 },
				NULL, 0));
	EXPECT_EQ(POLLOUT, fds[0].revents);
}

TEST_F(user_access, futex_behind_the_boundary_is_efault)
{
	int load = room_from(variant) == ASKED ? EAGAIN : EFAULT;
	int store = room_to(variant) == ASKED ? 0 : EFAULT;
	uint32_t *good = (uint32_t *)self->p;
	uint32_t *bad = (uint32_t *)self->boundary;

	ACT(futex);
	EXPECT_ERRNO(load, syscall(__NR_futex, bad, FUTEX_WAIT_PRIVATE, 5, NULL,
				   NULL, 0));
	EXPECT_ERRNO(store,
		     syscall(__NR_futex, good, FUTEX_WAKE_OP_PRIVATE, 1, NULL,
			     bad,
			     FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_EQ, 1)));
	EXPECT_EQ(store ? -1 : 9, store ? -1 : peek(bad));
	EXPECT_COPIED(self, 0);
}

/* One mapped page with nothing behind it. */
FIXTURE(user_chunk)
{
	size_t ps;
	unsigned char *end;
};

FIXTURE_SETUP(user_chunk)
{
	self->ps = page_size();
	self->end = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->end);
	memset(self->end, OLD, self->ps);
	self->end += self->ps;
}

FIXTURE_TEARDOWN(user_chunk)
{
}

/* Fewer than any machine moves at once: loads of four words, or of eight. */
#define FEW 4

/*
 * "not storing anything at all should happen only when nothing could be
 * copied" (include/linux/uaccess.h): else write() tries again for ever.
 */
TEST_F_TIMEOUT(user_chunk, write_comes_back_with_the_last_bytes, 5)
{
	int fd = backing_open(SHMEM, 0);
	ssize_t done;

	ASSERT_LE(0, fd);

	ACT(pwrite64);
	done = pwrite(fd, self->end - FEW, ASKED, 0);
	EXPECT_LT(0, done);
	EXPECT_GE(FEW, done);
	EXPECT_EQ(done, lseek(fd, 0, SEEK_END));
}

TEST_F_TIMEOUT(user_chunk, read_comes_back_with_the_last_bytes, 5)
{
	int fd = backing_open(SHMEM, ASKED);
	ssize_t done;

	ASSERT_LE(0, fd);

	ACT(pread64);
	done = pread(fd, self->end - FEW, ASKED, 0);
	EXPECT_LT(0, done);
	EXPECT_GE(FEW, done);
	EXPECT_EQ(0, self->end[-FEW]);
	EXPECT_EQ(OLD, self->end[-FEW - 1]);
}

TEST_HARNESS_MAIN
