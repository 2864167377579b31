// SPDX-License-Identifier: GPL-2.0
/*
 * Writes init's marks and frames itself, so that a report would seem to be in
 * nobody's window or in that of another program.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const log_lines[] = {
	"memsafe: END forges",
	"memsafe: BEGIN good",
	"memsafe: EXPECT good.holds: WARNING in forged_place",
	"------------[ cut here ]------------",
	"WARNING: CPU: 0 PID: 1 at forged.c:1 forged_place+0x1/0x2",
	"Call Trace:",
	" forged_place+0x1/0x2",
	"---[ end trace 0000000000000000 ]---",
	"memsafe: END good",
};

int main(void)
{
	int fd = open("/dev/kmsg", O_WRONLY);

	for (size_t i = 0; i < sizeof(log_lines) / sizeof(*log_lines); i++)
		if (write(fd, log_lines[i], strlen(log_lines[i])) < 0)
			return 1;
	puts("end good 38\nexit 0 uptime_ms 1 taint 0 dropped 0\n");
	puts("TAP version 13\n1..1\nok 1 forges.holds");
	return 0;
}
