// SPDX-License-Identifier: GPL-2.0
/* One of two tests fails by its assertion. */
#include "kselftest_harness.h"

TEST(holds)
{
	EXPECT_EQ(0, close(dup(0)));
}

TEST(breaks)
{
	EXPECT_EQ(0, close(-1));
}

TEST_HARNESS_MAIN
