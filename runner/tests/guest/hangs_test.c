// SPDX-License-Identifier: GPL-2.0
/* Waits for ever after its first result. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	puts("TAP version 13\n1..2\nok 1 hangs.holds");
	fflush(stdout);
	for (;;)
		pause();
}
