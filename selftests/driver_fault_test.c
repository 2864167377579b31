// SPDX-License-Identifier: GPL-2.0
/*
 * Who touches a page of a driver's mapping gets that page: the program as well as
 * the kernel on its behalf, for the first time or again (madvise(2);
 * Documentation/filesystems/locking.rst on ->fault).
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

DRIVER_FIXTURE(driver_fault, all_drivers);

/* The first byte of page i is i: fill(). */
static int first_byte(const struct memsafe_driver *driver, size_t page,
		      const unsigned char *p)
{
	return driver_keeps(driver) ? (int)(page & 0xff) : *p;
}

/* Does a first byte other than zero say that a page was read? */
static bool reading_shows(const struct memsafe_driver *driver, size_t pages)
{
	return driver_keeps(driver) && pages > 1;
}

/* In an order that no fault around another page favours. */
SEEN_TO_FAIL(pages_are_found_from_the_last_to_the_first, first_page_everywhere);
TEST_F(driver_fault, pages_are_found_from_the_last_to_the_first)
{
	size_t pages = self->len / self->ps;
	unsigned char *p;

	if (!reading_shows(self->driver, pages))
		ACT(mmap);
	p = driver_map(DRIVER(self), self->len, 0);
	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	if (reading_shows(self->driver, pages))
		ACT_PROBE();
	for (size_t page = pages; page--;) {
		EXPECT_NO_FAULT(probe_read(p + page * self->ps));
		EXPECT_EQ(first_byte(self->driver, page, p + page * self->ps),
			  peek(p + page * self->ps));
	}
}

SEEN_TO_FAIL(kernel_reads_a_page_that_was_not_there, user_faults_only);
TEST_F(driver_fault, kernel_reads_a_page_that_was_not_there)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *last = p + self->len - self->ps;
	unsigned char byte = 0xee;
	int fds[2];

	ASSERT_MAPPED(p, self->len);
	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	ASSERT_TRUE(driver_fill(DRIVER(self)));

	ACT(writev);
	EXPECT_EQ(1, gather(fds[1], last, 1));
	EXPECT_EQ(1, read(fds[0], &byte, 1));
	EXPECT_EQ(first_byte(self->driver, self->len / self->ps - 1, last),
		  byte);
}

static bool writable(const struct memsafe_driver *driver)
{
	return !driver->write && !(driver->flags & DRIVER_CHANGES);
}

SEEN_TO_FAIL(kernel_writes_a_page_that_was_not_there, user_faults_only);
TEST_F(driver_fault, kernel_writes_a_page_that_was_not_there)
{
	int prot = driver_prot(self->driver);
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *last = p + self->len - self->ps;
	int fds[2];

	ASSERT_MAPPED(p, self->len);
	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK));
	ASSERT_EQ(1, gather(fds[1], "\xee", 1));

	ACT(read);
	EXPECT_EQ(prot & PROT_WRITE ? 1 : -1, read(fds[0], last, 1));
	if (writable(self->driver))
		EXPECT_EQ(0xee, peek(last));
}

/* Bare PFNs stay. What ->mmap inserted is gone: nobody can be asked again. */
SEEN_TO_FAIL(content_survives_madv_dontneed, page_of_its_own);
TEST_F(driver_fault, content_survives_madv_dontneed)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	bool stays = has_vm_flag(p, "pf") || has_vm_flag(p, "lo");

	ASSERT_MAPPED(p, self->len);
	ASSERT_TRUE(driver_fill(DRIVER(self)));
	ASSERT_NO_FAULT(probe_read(p));

	ACT(madvise);
	EXPECT_ERRNO(stays ? EINVAL : 0, madvise(p, self->len, MADV_DONTNEED));
	EXPECT_FALSE(is_present(p));
	if (!stays && self->driver->flags & DRIVER_AT_ONCE) {
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, p, probe_read(p));
	} else {
		EXPECT_TRUE(driver_shows(DRIVER(self), p, 0));
	}
}

TEST_HARNESS_MAIN
