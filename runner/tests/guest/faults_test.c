// SPDX-License-Identifier: GPL-2.0
/* Tests that a fault outside of a probe ends, with fault handlers installed. */
#include "../../../selftests/memsafe.h"

TEST(dies)
{
	*(volatile char *)NULL = 0;
}

FIXTURE(fixed){};

FIXTURE_SETUP(fixed)
{
}

FIXTURE_TEARDOWN(fixed)
{
}

TEST_F(fixed, dies)
{
	*(volatile char *)NULL = 0;
}

TEST_HARNESS_MAIN
