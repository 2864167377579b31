// SPDX-License-Identifier: GPL-2.0
/*
 * kmemleak: forget what boot left, and at the end scan twice.  An object is
 * reported only when it is older than 5 s (MSECS_MIN_AGE, mm/kmemleak.c), so
 * the second scan waits that long after the last test.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define MIN_AGE_MS	5000

/* "on", "off" (it switched itself off: EPERM), or "absent" */
const char *leaks_state(void)
{
	if (access(KMEMLEAK, F_OK))
		return "absent";
	return write_file(KMEMLEAK, "stack=on") ? "on" : "off";
}

void leaks_clear(void)
{
	write_file(KMEMLEAK, "scan");
	write_file(KMEMLEAK, "clear");
}

static void wait_min_age(void)
{
	uint64_t until = now_ms() + MIN_AGE_MS + 100;

	while (now_ms() < until)
		usleep(50000);
}

void leaks_report(void)
{
	if (!strcmp(leaks_state(), "on")) {
		write_file(KMEMLEAK, "scan");
		wait_min_age();
		write_file(KMEMLEAK, "scan");
		port_file("leak", "-", KMEMLEAK);
	}
}
