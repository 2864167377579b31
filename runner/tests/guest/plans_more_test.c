// SPDX-License-Identifier: GPL-2.0
/* Leaves early, and its exit status says success. */
#include <stdio.h>

int main(void)
{
	puts("TAP version 13\n1..2\nok 1 plans_more.holds");
	return 0;
}
