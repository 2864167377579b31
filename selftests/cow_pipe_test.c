// SPDX-License-Identifier: GPL-2.0
/*
 * A page in a pipe (vmsplice(2)) is a reference that outlives the mapping. The
 * other side of a fork() may store to its copy or drop it: what comes out of
 * the pipe is still what its owner put in. CVE-2020-29374 was the breach.
 */
#include <sys/uio.h>

#include "memsafe.h"

#define OLD 0x11
#define NEW 0x77

/* A private page of OLD, and the pipe it goes to. */
FIXTURE(cow_pipe)
{
	size_t ps;
	unsigned char *page;
	int pipe[2];
	int gate[2]; /* the other process goes on */
	int done[2]; /* it has */
};

FIXTURE_VARIANT(cow_pipe)
{
	enum backing backing;
	bool huge;
};

FIXTURE_VARIANT_ADD(cow_pipe, anon){
	.backing = ANON,
};

FIXTURE_VARIANT_ADD(cow_pipe, thp){
	.backing = ANON,
	.huge = true,
};

FIXTURE_VARIANT_ADD(cow_pipe, shmem){
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(cow_pipe, file){
	.backing = DISK,
};

FIXTURE_SETUP(cow_pipe)
{
	const char *needs = backing_needs(variant->backing);
	int fd;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	fd = backing_open(variant->backing, self->ps);
	ASSERT_NE(-2, fd);
	self->page = variant->huge ?
			     map_thp() :
			     map_alone(self->ps, PROT_RW, MAP_PRIVATE, fd);
	if (!self->page)
		SKIP(return, "needs a transparent huge page");
	ASSERT_NE(MAP_FAILED, self->page);
	memset(self->page, OLD, self->ps);
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(0, pipe(self->gate));
	ASSERT_EQ(0, pipe(self->done));
	/* A pipe that nothing was put into is empty, not a wait for ever. */
	ASSERT_EQ(0, fcntl(self->pipe[0], F_SETFL, O_NONBLOCK));
}

FIXTURE_TEARDOWN(cow_pipe)
{
}

static ssize_t put_into_pipe(FIXTURE_DATA(cow_pipe) * self)
{
	struct iovec page = { self->page, self->ps };

	return vmsplice(self->pipe[1], &page, 1, 0);
}

/* The value all over the page that comes out of the pipe; -1: none. */
static int value_in_pipe(FIXTURE_DATA(cow_pipe) * self)
{
	unsigned char buf[256];
	int value = -1;

	for (size_t at = 0; at < self->ps; at += sizeof(buf)) {
		if (read(self->pipe[0], buf, sizeof(buf)) != sizeof(buf) ||
		    first_other(buf, sizeof(buf), buf[0]) != sizeof(buf) ||
		    (at && value != buf[0]))
			return -1;
		value = buf[0];
	}
	return value;
}

static bool pass(int gate[2])
{
	return write(gate[1], "", 1) == 1;
}

static bool wait_for(int gate[2])
{
	char c;

	return read(gate[0], &c, 1) == 1;
}

/* Keeps the page only in the pipe, and looks when the parent has stored. */
static int splice_unmap_and_look(FIXTURE_DATA(cow_pipe) * self)
{
	if (put_into_pipe(self) != (ssize_t)self->ps ||
	    munmap(self->page, self->ps))
		return 255;
	if (!pass(self->done) || !wait_for(self->gate))
		return 254;
	return value_in_pipe(self) & 0xff;
}

TEST_F(cow_pipe, page_in_the_pipe_of_a_child_does_not_follow_its_parent)
{
	pid_t child;

	ACT(vmsplice);
	child = fork();
	if (!child)
		_exit(splice_unmap_and_look(self));
	close(self->done[1]);
	EXPECT_TRUE(wait_for(self->done));
	memset(self->page, NEW, self->ps);
	EXPECT_TRUE(pass(self->gate));
	EXPECT_EQ(OLD, child_end(child));
}

static int store_new(FIXTURE_DATA(cow_pipe) * self)
{
	memset(self->page, NEW, self->ps);
	return peek(self->page);
}

TEST_F(cow_pipe, page_in_a_pipe_before_fork_does_not_follow_a_child)
{
	pid_t child;

	ACT(vmsplice);
	ASSERT_EQ(self->ps, put_into_pipe(self));
	child = fork();
	if (!child)
		_exit(store_new(self));
	EXPECT_EQ(NEW, child_end(child));
	EXPECT_EQ(OLD, value_in_pipe(self));
	EXPECT_EQ(self->ps, first_other(self->page, self->ps, OLD));
}

TEST_F(cow_pipe, page_in_a_pipe_after_fork_does_not_follow_a_child)
{
	pid_t child = fork();

	if (!child)
		_exit(wait_for(self->gate) ? store_new(self) : 255);

	ACT(vmsplice);
	EXPECT_EQ(self->ps, put_into_pipe(self));
	EXPECT_TRUE(pass(self->gate));
	EXPECT_EQ(NEW, child_end(child));
	EXPECT_EQ(OLD, value_in_pipe(self));
}

TEST_F(cow_pipe, page_in_a_pipe_outlives_its_mapping)
{
	ACT(vmsplice);
	ASSERT_EQ(self->ps, put_into_pipe(self));
	ASSERT_EQ(0, munmap(self->page, self->ps));
	EXPECT_EQ(OLD, value_in_pipe(self));
}

/* The memory of the dropped page is not given out while the pipe has it. */
TEST_F(cow_pipe, page_in_a_pipe_is_not_fresh_memory_of_anyone)
{
	size_t len = 16 * self->ps;
	unsigned char *p;

	ACT(vmsplice);
	ASSERT_EQ(self->ps, put_into_pipe(self));
	ASSERT_EQ(0, madvise(self->page, self->ps, MADV_DONTNEED));
	p = map_alone(len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, NEW, len);
	EXPECT_EQ(OLD, value_in_pipe(self));
}

TEST_HARNESS_MAIN
