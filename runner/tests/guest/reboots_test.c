// SPDX-License-Identifier: GPL-2.0
/* The guest is gone before the second result, without a word on the console. */
#include <stdio.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	puts("TAP version 13\n1..2\nok 1 reboots.holds");
	fflush(stdout);
	return reboot(RB_AUTOBOOT);
}
