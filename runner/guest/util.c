// SPDX-License-Identifier: GPL-2.0
/* Small things that every part of init needs. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

/* Milliseconds since boot: the clock of printk and of kmemleak's jiffies. */
uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/*
 * The kernel's tick counter, 0 when unknown.  It does not begin with the clock:
 * ticks start only after the timers are set up.
 */
uint64_t jiffies(void)
{
	FILE *file = fopen("/proc/timer_list", "re");
	unsigned long long ticks = 0;
	char line[256];

	if (!file)
		return 0;
	while (!ticks && fgets(line, sizeof(line), file))
		if (sscanf(line, "jiffies: %llu", &ticks) != 1)
			ticks = 0;
	fclose(file);
	return ticks;
}

/* One line in the kernel's log, in order with the kernel's own. */
void kmsg(const char *format, ...)
{
	char text[512];
	va_list args;
	int fd, len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, text, len) != len)
		port_printf("log", "-", "lost a mark: %s\n", text);
	close(fd);
}

unsigned long taint(void)
{
	unsigned long value = 0;
	FILE *file = fopen("/proc/sys/kernel/tainted", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%lu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

bool write_file(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, len) == (ssize_t)len;
	close(fd);
	return ok;
}

/* Cut the first word off *rest; an empty string when there is none. */
char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " ");
	char *end = word + strcspn(word, " ");

	*rest = *end ? end + 1 : end;
	*end = '\0';
	return word;
}
