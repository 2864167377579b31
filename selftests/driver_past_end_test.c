// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that lets a mapping reach past the end of its object has nothing there:
 * SIGBUS with the address for the program, EFAULT or a short count for the kernel
 * (mmap(2) on SIGBUS, sigaction(2) on BUS_ADRERR).
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

static bool open_ended(const struct memsafe_driver *driver)
{
	return !driver->past_end;
}

DRIVER_FIXTURE(driver_past_end, open_ended);

SEEN_TO_FAIL(access_is_sigbus_at_its_address, segv_past_the_end);
TEST_F(driver_past_end, access_is_sigbus_at_its_address)
{
	unsigned char *p = driver_map(DRIVER(self), self->len + self->ps, 0);
	unsigned char *q = p + self->len + 7;

	ASSERT_MAPPED(p, self->len + self->ps);

	ACT_PROBE();
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, q, probe_read(q));
	if (driver_prot(self->driver) & PROT_WRITE)
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, q, probe_write(q));
	EXPECT_NO_FAULT(probe_read(p + self->len - 1));
}

/* Of an object that a mapping begins behind. */
SEEN_TO_FAIL(mapping_behind_the_end_is_sigbus, first_page_past_the_end);
TEST_F(driver_past_end, mapping_behind_the_end_is_sigbus)
{
	unsigned char *p = driver_map(DRIVER(self), self->ps, self->len);

	ASSERT_MAPPED(p, self->ps);

	ACT_PROBE();
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, p, probe_read(p));
}

SEEN_TO_FAIL(kernel_access_ends_at_the_end, first_page_past_the_end);
TEST_F(driver_past_end, kernel_access_ends_at_the_end)
{
	unsigned char *p = driver_map(DRIVER(self), self->len + self->ps, 0);
	unsigned char *end = p + self->len;
	int to = memfd_create("memsafe", MFD_CLOEXEC);

	ASSERT_MAPPED(p, self->len + self->ps);
	ASSERT_LE(0, to);

	ACT(writev);
	EXPECT_ERRNO(EFAULT, gather(to, end, 1));
	EXPECT_EQ((ssize_t)self->ps, gather(to, end - self->ps, 2 * self->ps));
}

SEEN_TO_FAIL(grown_mapping_is_sigbus_past_the_end, first_page_past_the_end);
TEST_F(driver_past_end, grown_mapping_is_sigbus_past_the_end)
{
	unsigned char *p = driver_map(DRIVER(self), self->len, 0);
	unsigned char *q;
	int err;

	ASSERT_MAPPED(p, self->len);

	ACT(mremap);
	q = mremap(p, self->len, self->len + self->ps, MREMAP_MAYMOVE);
	EXPECT_PROMISED(self->driver->grow, err, q);
	if (!err)
		EXPECT_FAULT(SIGBUS, BUS_ADRERR, q + self->len,
			     probe_read(q + self->len));
	EXPECT_NO_FAULT(probe_read((err ? p : q) + self->len - 1));
}

TEST_HARNESS_MAIN
