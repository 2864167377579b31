// SPDX-License-Identifier: GPL-2.0
/*
 * A page that the kernel has pinned for a device
 * (Documentation/core-api/pin_user_pages.rst) stays the page of the process
 * that pinned it, whatever the process stores, forks or drops afterwards. The
 * pins are those of CONFIG_GUP_TEST; reading them is what the device would see.
 */
#include <linux/types.h>
#include <sys/ioctl.h>

#include "memsafe.h"

#define GUP_TEST "/sys/kernel/debug/gup_test"

/* The interface of mm/gup_test.c: one pin at a time. */
struct pin {
	__u64 addr;
	__u64 size;
	__u32 flags;
};
#define PIN_WRITE 1
#define PIN_FAST 2
#define PIN_START _IOW('g', 7, struct pin)
#define PIN_STOP _IO('g', 8)
#define PIN_READ _IOW('g', 9, __u64)

#define OLD 0x11
#define NEW 0x77

/* A private page that nobody stored to. */
FIXTURE(cow_pin)
{
	size_t ps;
	int gup;
	unsigned char *page;
	unsigned char *seen; /* what the device sees, after see() */
};

FIXTURE_VARIANT(cow_pin)
{
	enum backing backing;
	bool huge;
	bool split; /* the huge page into small ones */
	__u32 flags;
};

#define PIN_VARIANT(name, where, is_huge, how)                   \
	FIXTURE_VARIANT_ADD(cow_pin, name)                       \
	{                                                        \
		.backing = where, .huge = is_huge, .flags = how, \
	}

PIN_VARIANT(anon_read, ANON, false, 0);
PIN_VARIANT(anon_write, ANON, false, PIN_WRITE);
PIN_VARIANT(anon_fast_read, ANON, false, PIN_FAST);
PIN_VARIANT(thp_fast_read, ANON, true, PIN_FAST);
FIXTURE_VARIANT_ADD(cow_pin, thp_split_read){
	.backing = ANON, .huge = true, .split = true
};
PIN_VARIANT(shmem_read, SHMEM, false, 0);
PIN_VARIANT(file_fast_read, DISK, false, PIN_FAST);
PIN_VARIANT(file_write, DISK, false, PIN_WRITE);

FIXTURE_SETUP(cow_pin)
{
	const char *needs = backing_needs(variant->backing);
	int fd;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->gup = open(GUP_TEST, O_RDWR | O_CLOEXEC);
	if (self->gup < 0)
		SKIP(return, "needs CONFIG_GUP_TEST=y and " GUP_TEST);
	/* Fine without a pin, where it is known. */
	if (ioctl(self->gup, PIN_STOP))
		SKIP(return, "needs PIN_LONGTERM_TEST_STOP, v6.2");
	self->ps = page_size();
	fd = backing_open(variant->backing, self->ps);
	ASSERT_NE(-2, fd);
	self->page = variant->huge ?
			     map_thp() :
			     map_alone(self->ps, PROT_RW, MAP_PRIVATE, fd);
	if (!self->page)
		SKIP(return, "needs a transparent huge page");
	/* What the kernel knows of the whole is with its first page: not that one. */
	if (variant->split) {
		ASSERT_EQ(0, munmap(self->page + self->ps, self->ps));
		self->page += 2 * self->ps;
	}
	self->seen = mmap(NULL, self->ps, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_NE(MAP_FAILED, self->seen);
	memset(self->seen, 0xee, self->ps);
}

/* Closing the last descriptor, a child's included, drops the pin. */
FIXTURE_TEARDOWN(cow_pin)
{
}

static int pin_page(FIXTURE_DATA(cow_pin) * self, __u32 flags)
{
	struct pin pin = {
		.addr = (uintptr_t)self->page,
		.size = self->ps,
		.flags = flags,
	};

	return ioctl(self->gup, PIN_START, &pin);
}

/* The value all over the pinned page; -1: not one, or no pin. */
static int see(FIXTURE_DATA(cow_pin) * self)
{
	__u64 to = (uintptr_t)self->seen;

	if (ioctl(self->gup, PIN_READ, &to) ||
	    first_other(self->seen, self->ps, self->seen[0]) != self->ps)
		return -1;
	return self->seen[0];
}

TEST_F(cow_pin, untouched_page_is_pinned_as_the_one_to_be_stored_to)
{
	ACT(ioctl);
	ASSERT_EQ(0, pin_page(self, variant->flags));
	EXPECT_EQ(0, see(self));
	memset(self->page, NEW, self->ps);
	EXPECT_EQ(NEW, see(self));
}

TEST_F(cow_pin, pin_sees_the_stores_of_its_process)
{
	memset(self->page, OLD, self->ps);

	ACT(ioctl);
	ASSERT_EQ(0, pin_page(self, variant->flags));
	EXPECT_EQ(OLD, see(self));
	memset(self->page, NEW, self->ps);
	EXPECT_EQ(NEW, see(self));
}

static int store_new(FIXTURE_DATA(cow_pin) * self)
{
	memset(self->page, NEW, self->ps);
	return peek(self->page);
}

/* fork() copies a pinned page for the child at once. */
TEST_F(cow_pin, pin_before_fork_stays_with_the_parent)
{
	pid_t child;

	memset(self->page, OLD, self->ps);

	ACT(ioctl);
	ASSERT_EQ(0, pin_page(self, variant->flags));
	child = fork();
	if (!child)
		_exit(store_new(self));
	EXPECT_EQ(NEW, child_end(child));
	EXPECT_EQ(OLD, see(self));
	memset(self->page, 0x22, self->ps);
	EXPECT_EQ(0x22, see(self));
}

/* Waits for @gate, so that the page stays shared until then. */
static int look_after_gate(int gate, const unsigned char *page)
{
	char c;

	return read(gate, &c, 1) == 1 ? peek(page) : 255;
}

/* Pinning a page that a child shares makes it one's own first. */
TEST_F(cow_pin, pin_after_fork_is_not_of_the_childs_page)
{
	int gate[2];
	pid_t child;

	memset(self->page, OLD, self->ps);
	ASSERT_EQ(0, pipe(gate));
	child = fork();
	if (!child)
		_exit(look_after_gate(gate[0], self->page));

	ACT(ioctl);
	EXPECT_EQ(0, pin_page(self, variant->flags));
	memset(self->page, NEW, self->ps);
	EXPECT_EQ(NEW, see(self));
	EXPECT_EQ(1, write(gate[1], "", 1));
	EXPECT_EQ(OLD, child_end(child));
}

TEST_F(cow_pin, dropped_page_stays_with_the_pin_alone)
{
	memset(self->page, OLD, self->ps);

	ACT(ioctl);
	ASSERT_EQ(0, pin_page(self, variant->flags));
	ASSERT_EQ(0, madvise(self->page, self->ps, MADV_DONTNEED));
	EXPECT_EQ(self->ps, first_nonzero(self->page, self->ps));
	memset(self->page, NEW, self->ps);
	EXPECT_EQ(OLD, see(self));
}

TEST_F(cow_pin, pin_outlives_the_mapping)
{
	size_t len = 16 * self->ps;
	unsigned char *p;

	memset(self->page, OLD, self->ps);

	ACT(ioctl);
	ASSERT_EQ(0, pin_page(self, variant->flags));
	ASSERT_EQ(0, munmap(self->page, self->ps));
	p = map_alone(len, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, NEW, len);
	EXPECT_EQ(OLD, see(self));
	EXPECT_EQ(0, ioctl(self->gup, PIN_STOP));
	EXPECT_ERRNO(EINVAL, ioctl(self->gup, PIN_READ, &(__u64){ 0 }));
}

/* A pin for writing is a write: refused where a store would be. */
TEST_F(cow_pin, pin_for_writing_needs_a_writable_mapping)
{
	int err = variant->flags & PIN_WRITE ? EFAULT : 0;

	ASSERT_EQ(0, mprotect(self->page, self->ps, PROT_READ));

	ACT(ioctl);
	EXPECT_ERRNO(err, pin_page(self, variant->flags));
	EXPECT_EQ(err ? -1 : 0, see(self));
	ASSERT_EQ(0, mprotect(self->page, self->ps, PROT_NONE));
	EXPECT_EQ(0, ioctl(self->gup, PIN_STOP));
	EXPECT_ERRNO(EFAULT, pin_page(self, variant->flags));
}

TEST_HARNESS_MAIN
