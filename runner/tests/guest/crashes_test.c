// SPDX-License-Identifier: GPL-2.0
/* The program itself, not a test in its own process, dies between results. */
#include <signal.h>
#include <stdio.h>

int main(void)
{
	puts("TAP version 13\n1..2\nok 1 crashes.holds");
	fflush(stdout);
	return raise(SIGSEGV);
}
