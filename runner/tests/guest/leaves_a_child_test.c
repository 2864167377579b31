// SPDX-License-Identifier: GPL-2.0
/*
 * A child that ignores signals, holds the output open and never ends: the next
 * job begins without it.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	puts("TAP version 13\n1..1\nok 1 leaves_a_child.holds");
	fflush(stdout);
	if (fork())
		return 0;
	setsid();
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (;;)
		pause();
}
