// SPDX-License-Identifier: GPL-2.0
/*
 * The mapping of a binder descriptor, for what a driver's contract has no words for:
 * it is written by the kernel only, there is one of it, and its pages come with what
 * others send (drivers/android/binder.c, binder_alloc.c).
 */
#include "memsafe.h"

#include <linux/android/binder.h>
#include <sys/ioctl.h>

#define DEVICE "/dev/binder"
#define PAGES 4
#define SENT 100

FIXTURE(binder_map)
{
	int fd;
	size_t ps;
	size_t len;
};

FIXTURE_SETUP(binder_map)
{
	self->ps = page_size();
	self->len = PAGES * self->ps;
	self->fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (self->fd < 0 && (errno == EACCES || errno == EPERM))
		SKIP(return, "needs root");
	if (self->fd < 0)
		SKIP(return, "needs CONFIG_ANDROID_BINDER_IPC=y");
}

FIXTURE_TEARDOWN(binder_map)
{
}

static void *map(int fd, size_t len, int prot)
{
	return mmap(NULL, len, prot, MAP_PRIVATE, fd, 0);
}

TEST_F(binder_map, mapping_is_not_writable)
{
	ACT(mmap);
	EXPECT_ERRNO(EPERM, map(self->fd, self->len, PROT_RW));
	EXPECT_MAPPED(map(self->fd, self->len, PROT_READ), self->len);
}

TEST_F(binder_map, mapping_does_not_become_writable)
{
	void *p = map(self->fd, self->len, PROT_READ);

	ASSERT_MAPPED(p, self->len);

	ACT(mprotect);
	EXPECT_ERRNO(EACCES, mprotect(p, self->len, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
}

TEST_F(binder_map, second_mapping_is_refused)
{
	void *p = map(self->fd, self->len, PROT_READ);

	ASSERT_MAPPED(p, self->len);

	ACT(mmap);
	EXPECT_ERRNO(EBUSY, map(self->fd, self->len, PROT_READ));
	EXPECT_MAPPED(p, self->len);
}

TEST_F(binder_map, page_without_a_buffer_is_a_sigbus)
{
	unsigned char *p = map(self->fd, self->len, PROT_READ);

	ASSERT_MAPPED(p, self->len);

	ACT_PROBE();
	for (unsigned char *q = p; q < p + self->len; q += self->ps)
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, q, probe_read(q));
}

/* The errno of mmap() of a descriptor that somebody else has opened. */
static int map_it_elsewhere(void *arg)
{
	FIXTURE_DATA(binder_map) *self = arg;

	return map(self->fd, self->len, PROT_READ) == MAP_FAILED ? errno : 0;
}

TEST_F(binder_map, other_process_does_not_map_it)
{
	ACT(mmap);
	EXPECT_EQ(EINVAL, in_child(map_it_elsewhere, self));
	EXPECT_MAPPED(map(self->fd, self->len, PROT_READ), self->len);
}

TEST_F(binder_map, child_has_no_mapping)
{
	void *p = map(self->fd, self->len, PROT_READ);

	ASSERT_MAPPED(p, self->len);
	ASSERT_FAULT(SIGBUS, BUS_ADRERR, p, probe_read(p));

	ACT(clone);
	EXPECT_EQ(SIGSEGV, in_child(signal_of_write, p));
	EXPECT_MAPPED(p, self->len);
}

static bool talk(int fd, void *out, size_t len, void *in, size_t size)
{
	struct binder_write_read both = {
		.write_size = len,
		.write_buffer = (uintptr_t)out,
		.read_size = size,
		.read_buffer = (uintptr_t)in,
	};

	return !ioctl(fd, BINDER_WRITE_READ, &both) &&
	       both.write_consumed == len;
}

/* From a process of its own to whoever is the context manager. */
static int send(void *arg)
{
	size_t len = page_size();
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	unsigned char data[SENT];
	struct {
		uint32_t command;
		struct binder_transaction_data it;
	} __attribute__((packed)) out = {
		.command = BC_TRANSACTION,
		.it.flags = TF_ONE_WAY,
		.it.data_size = SENT,
		.it.data.ptr.buffer = (uintptr_t)data,
	};

	(void)arg;
	fill(data, SENT, 7);
	return fd < 0 || map(fd, len, PROT_READ) == MAP_FAILED ||
	       !talk(fd, &out, sizeof(out), NULL, 0);
}

/* Where in our mapping a transaction has arrived; NULL: none has. */
static unsigned char *received(int fd)
{
	uint32_t enter = BC_ENTER_LOOPER;
	struct {
		uint32_t noop, command;
		struct binder_transaction_data it;
		uint64_t secctx; /* room for it is asked for in any case */
	} __attribute__((packed)) in = {0};

	if (!talk(fd, &enter, sizeof(enter), &in, sizeof(in)) ||
	    in.command != BR_TRANSACTION || in.it.data_size != SENT)
		return NULL;
	return (void *)(uintptr_t)in.it.data.ptr.buffer;
}

TEST_F(binder_map, what_was_sent_is_read_and_not_written)
{
	unsigned char *p = map(self->fd, self->len, PROT_READ), *data;
	int none = 0;

	ASSERT_MAPPED(p, self->len);
	ASSERT_EQ(0, ioctl(self->fd, BINDER_SET_CONTEXT_MGR, &none));
	ASSERT_EQ(0, in_child(send, NULL));

	ACT(ioctl);
	data = received(self->fd);
	ASSERT_TRUE(p <= data && data < p + self->len);
	EXPECT_EQ(SENT, first_difference(data, SENT, 7));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, data, probe_write(data));
}

TEST_HARNESS_MAIN
