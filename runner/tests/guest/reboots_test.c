// SPDX-License-Identifier: GPL-2.0
/*
 * The guest is gone before the second result, without a word on the console.
 * What a reboot overtakes is lost, so that the first result waits for each
 * station of its way: the pipe is empty, PID 1 sleeps again (it has written to
 * its port), and QEMU has answered a request that is younger than that.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <unistd.h>

#define BLOCK	4096

static bool pipe_is_empty(void)
{
	int unread = -1;

	return !ioctl(STDOUT_FILENO, FIONREAD, &unread) && !unread;
}

static bool init_sleeps(void)
{
	FILE *stat = fopen("/proc/1/stat", "r");
	char state = 0;

	if (stat) {
		if (fscanf(stat, "1 (%*[^)]) %c", &state) != 1)
			state = 0;
		fclose(stat);
	}
	return state == 'S';
}

static bool qemu_answers(void)
{
	void *block = aligned_alloc(BLOCK, BLOCK);
	int disk = open("/dev/vda", O_RDONLY | O_DIRECT);

	return block && read(disk, block, BLOCK) == BLOCK;
}

int main(void)
{
	puts("TAP version 13\n1..2\nok 1 reboots.holds");
	fflush(stdout);
	while (!pipe_is_empty() || !init_sleeps())
		usleep(1000);
	if (!qemu_answers())
		return 1;
	return reboot(RB_AUTOBOOT);
}
