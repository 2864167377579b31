// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is registered with an io_uring stays pinned until it is given back, is
 * charged to its user, and is all that a request with a fixed buffer can reach
 * (io_uring_register(2) on IORING_REGISTER_BUFFERS).
 */
#include "memsafe.h"

#include <linux/io_uring.h>
#include <sys/uio.h>

#define PAGES 16
#define BEHIND 0x5a
#define NOBODY 65534
#define ROUNDS 8

/* A ring for one request at a time. */
struct ring {
	int fd;
	struct io_uring_params params;
	char *queues;
	struct io_uring_sqe *sqe;
};

static bool ring_open(struct ring *ring)
{
	size_t ps = page_size();

	memset(ring, 0, sizeof(*ring));
	ring->fd = syscall(__NR_io_uring_setup, 1, &ring->params);
	if (ring->fd < 0)
		return false;
	ring->queues = mmap(NULL, ps, PROT_RW, MAP_SHARED, ring->fd,
			    IORING_OFF_SQ_RING);
	ring->sqe =
		mmap(NULL, ps, PROT_RW, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->queues != MAP_FAILED && (void *)ring->sqe != MAP_FAILED;
}

/* The number in the queues at this offset. */
static uint32_t *word(struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(ring->queues + offset);
}

/* The result of one read or write of the fixed buffer 0: bytes, or minus an errno. */
static int transfer(struct ring *ring, int opcode, int fd, void *addr,
		    size_t len)
{
	uint32_t *tail = word(ring, ring->params.sq_off.tail);
	uint32_t *head = word(ring, ring->params.cq_off.head);
	struct io_uring_cqe *cqe = (void *)word(ring, ring->params.cq_off.cqes);
	uint32_t at = *head & *word(ring, ring->params.cq_off.ring_mask);

	*ring->sqe = (struct io_uring_sqe){
		.opcode = opcode,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.len = len,
	};
	word(ring, ring->params.sq_off.array)[0] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return -errno;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return cqe[at].res;
}

static long register_buffer(struct ring *ring, void *p, size_t len)
{
	struct iovec buffer = {p, len};

	return syscall(__NR_io_uring_register, ring->fd,
		       IORING_REGISTER_BUFFERS, &buffer, 1);
}

static long unregister_buffer(struct ring *ring)
{
	return syscall(__NR_io_uring_register, ring->fd,
		       IORING_UNREGISTER_BUFFERS, NULL, 0);
}

FIXTURE(io_uring_buffer)
{
	struct ring ring;
	size_t ps;
	size_t len;
	unsigned char *p;
	int file; /* one page of BEHIND */
};

FIXTURE_SETUP(io_uring_buffer)
{
	unsigned char *data;

	self->ps = page_size();
	self->len = PAGES * self->ps;
	if (!ring_open(&self->ring))
		SKIP(return, "needs CONFIG_IO_URING=y");
	self->p = map_alone(self->len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	data = malloc(self->ps);
	ASSERT_NE(NULL, data);
	memset(self->p, 1, self->len);
	memset(data, BEHIND, self->ps);
	self->file = memfd_create("memsafe", MFD_CLOEXEC);
	ASSERT_LE(0, self->file);
	ASSERT_EQ((ssize_t)self->ps, pwrite(self->file, data, self->ps, 0));
}

FIXTURE_TEARDOWN(io_uring_buffer)
{
}

static uint64_t pfn_of(const void *p)
{
	return pagemap_entry(p) & PAGEMAP_PFN_MASK;
}

struct same_page {
	const void *p;
	uint64_t pfn;
};

static int has_same_page(void *arg)
{
	struct same_page *page = arg;

	return pfn_of(page->p) == page->pfn;
}

/*
 * A child shares a page with us until one of us writes it, but for a page that is
 * pinned: of that it gets a copy at once (copy_present_page(), mm/memory.c). 1 pinned,
 * 0 not, others: nobody knows.
 */
static int is_pinned(const void *p)
{
	struct same_page page = {p, pfn_of(p)};
	int same = page.pfn ? in_child(has_same_page, &page) : NO_CHILD;

	return same == 0 || same == 1 ? !same : same;
}

TEST_F(io_uring_buffer, registered_memory_is_pinned_until_it_is_given_back)
{
	if (!has_capability(CAP_SYS_ADMIN))
		SKIP(return, "needs CAP_SYS_ADMIN");
	ASSERT_EQ(0, is_pinned(self->p));

	ACT(io_uring_register);
	ASSERT_ERRNO(0, register_buffer(&self->ring, self->p, self->len));
	EXPECT_EQ(1, is_pinned(self->p));
	EXPECT_EQ(1, is_pinned(self->p + self->len - 1));
	ASSERT_ERRNO(0, unregister_buffer(&self->ring));
	EXPECT_EQ(0, is_pinned(self->p));
	EXPECT_EQ(0, is_pinned(self->p + self->len - 1));
}

TEST_F(io_uring_buffer, memory_with_a_hole_is_efault_and_not_pinned)
{
	if (!has_capability(CAP_SYS_ADMIN))
		SKIP(return, "needs CAP_SYS_ADMIN");
	ASSERT_EQ(0, munmap(self->p + 2 * self->ps, self->ps));

	ACT(io_uring_register);
	EXPECT_ERRNO(EFAULT, register_buffer(&self->ring, self->p, self->len));
	EXPECT_EQ(0, is_pinned(self->p));
	EXPECT_EQ(0, is_pinned(self->p + self->ps));
	EXPECT_ERRNO(0, register_buffer(&self->ring, self->p, 2 * self->ps));
}

TEST_F(io_uring_buffer, memory_that_is_read_only_is_efault)
{
	ASSERT_EQ(0, mprotect(self->p + self->ps, self->ps, PROT_READ));

	ACT(io_uring_register);
	EXPECT_ERRNO(EFAULT, register_buffer(&self->ring, self->p, self->len));
	EXPECT_ERRNO(0, register_buffer(&self->ring, self->p, self->ps));
}

TEST_F(io_uring_buffer, read_arrives_in_the_buffer)
{
	ASSERT_ERRNO(0, register_buffer(&self->ring, self->p, self->len));

	ACT(io_uring_enter);
	EXPECT_EQ((int)self->ps,
		  transfer(&self->ring, IORING_OP_READ_FIXED, self->file,
			   self->p + self->ps - 1, self->ps));

	EXPECT_EQ(1, peek(self->p + self->ps - 2));
	EXPECT_EQ(self->ps,
		  first_other(self->p + self->ps - 1, self->ps, BEHIND));
	EXPECT_EQ(1, peek(self->p + 2 * self->ps - 1));
}

/* One byte before it, one behind it, and all that follows from a sum that wraps. */
TEST_F(io_uring_buffer, read_out_of_the_buffer_is_efault)
{
	unsigned char *inside = self->p + self->ps;
	size_t len = 2 * self->ps;

	ASSERT_ERRNO(0, register_buffer(&self->ring, inside, len));

	ACT(io_uring_enter);
	EXPECT_EQ(-EFAULT, transfer(&self->ring, IORING_OP_READ_FIXED,
				    self->file, inside - 1, 2));
	EXPECT_EQ(-EFAULT, transfer(&self->ring, IORING_OP_READ_FIXED,
				    self->file, inside + len - 1, 2));
	EXPECT_EQ(-EFAULT, transfer(&self->ring, IORING_OP_READ_FIXED,
				    self->file, inside + len, 1));
	EXPECT_EQ(-EFAULT,
		  transfer(&self->ring, IORING_OP_READ_FIXED, self->file,
			   (void *)-self->ps, 2 * self->ps));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 1));
	EXPECT_EQ(1, transfer(&self->ring, IORING_OP_READ_FIXED, self->file,
			      inside + len - 1, 1));
}

/* What is registered are the pages, not the addresses. */
TEST_F(io_uring_buffer, new_memory_at_the_same_address_is_not_written)
{
	ASSERT_ERRNO(0, register_buffer(&self->ring, self->p, self->len));
	ASSERT_EQ(self->p,
		  mmap(self->p, self->len, PROT_RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(self->p, 2, self->len);

	ACT(io_uring_enter);
	EXPECT_EQ((int)self->ps, transfer(&self->ring, IORING_OP_READ_FIXED,
					  self->file, self->p, self->ps));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 2));
}

/*
 * Of a user who may lock what is registered once, not twice, and some more: newer
 * kernels charge the queues as well.
 */
static int register_within_the_limit(void *fixture)
{
	FIXTURE_DATA(io_uring_buffer) *self = fixture;
	struct ring ring, second;

	if (!limit_set(RLIMIT_MEMLOCK, self->len + self->len / 2) ||
	    setgid(NOBODY) || setuid(NOBODY) || !ring_open(&ring) ||
	    !ring_open(&second))
		return 254;
	for (int round = 1; round <= ROUNDS; round++)
		if (register_buffer(&ring, self->p, self->len) ||
		    unregister_buffer(&ring))
			return round;
	if (register_buffer(&ring, self->p, self->len))
		return 253;
	return errno_of(register_buffer(&second, self->p, self->len)) == ENOMEM
		       ? 0
		       : 252;
}

TEST_F(io_uring_buffer, registered_memory_is_charged_until_it_is_given_back)
{
	if (getuid())
		SKIP(return, "needs root");

	ACT(io_uring_register);
	EXPECT_EQ(0, in_child(register_within_the_limit, self));
}

TEST_HARNESS_MAIN
