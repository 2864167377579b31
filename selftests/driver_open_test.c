// SPDX-License-Identifier: GPL-2.0
/*
 * A driver's object opens, is mapped and can be read: what the rest of the battery
 * stands on. `memsafe.py drive` runs it first and goes no further without it, so
 * that a driver which hangs in open() does it once.
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

DRIVER_FIXTURE(driver_open, all_drivers);

SEEN_TO_FAIL(object_is_mapped_and_read, first_page_everywhere);
TEST_F_TIMEOUT(driver_open, object_is_mapped_and_read, 10)
{
	unsigned char *p;

	ACT(mmap);
	p = driver_map(DRIVER(self), self->len, 0);
	ASSERT_ERRNO(0, p);
	ASSERT_MAPPED(p, self->len);
	EXPECT_NO_FAULT(probe_read(p));

	ASSERT_TRUE(driver_fill(DRIVER(self)));
	EXPECT_TRUE(driver_shows(DRIVER(self), p + self->len - self->ps,
				 self->len / self->ps - 1));
}

TEST_HARNESS_MAIN
