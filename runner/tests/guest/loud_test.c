// SPDX-License-Identifier: GPL-2.0
/* Prints 10 MB behind its result: what is dropped may have said anything. */
#include <stdio.h>
#include <string.h>

#define LINE	100
#define LINES	(10 * 1000 * 1000 / LINE)

int main(void)
{
	char line[LINE] = "# ";

	memset(line + 2, 'x', sizeof(line) - 3);
	puts("TAP version 13\n1..1\nok 1 loud.holds");
	for (int i = 0; i < LINES; i++)
		puts(line);
	return 0;
}
