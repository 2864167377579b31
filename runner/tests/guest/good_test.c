// SPDX-License-Identifier: GPL-2.0
/* Does what it says: green beside all the others. */
#include "kselftest_harness.h"

TEST(holds)
{
	EXPECT_EQ(0, close(dup(0)));
}

TEST(keeps)
{
	EXPECT_NE(0, getpid());
}

TEST_HARNESS_MAIN
