// SPDX-License-Identifier: GPL-2.0
/* A failure, says the result; the exit status says success. */
#include <stdio.h>

int main(void)
{
	puts("TAP version 13\n1..1\nnot ok 1 exits_0.breaks");
	return 0;
}
