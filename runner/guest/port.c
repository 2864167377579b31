// SPDX-License-Identifier: GPL-2.0
/* The virtio serial port named "memsafe": commands in, frames out. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

static int port = -1;

/* Does /sys/class/virtio-ports/<device>/name say "memsafe"? */
static bool is_ours(const char *device)
{
	char path[512], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", device);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return !strcmp(name, "memsafe\n");
}

bool port_open(void)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	char path[300];

	while (ports && port < 0 && (entry = readdir(ports))) {
		if (!is_ours(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		port = open(path, O_RDWR | O_CLOEXEC);
	}
	if (ports)
		closedir(ports);
	return port >= 0;
}

/* The next command without its newline, NULL when the host has gone. */
char *port_read_line(void)
{
	static char line[8192];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(line) - 1) {
		n = read(port, line + len, 1);
		if (n != 1)
			return NULL;
		if (line[len] == '\n')
			break;
		len++;
	}
	line[len] = '\0';
	return line;
}

static void write_all(const void *data, size_t len)
{
	const char *at = data;
	ssize_t n;

	while (len) {
		n = write(port, at, len);
		if (n <= 0)
			return;
		at += n;
		len -= n;
	}
}

void port_frame(const char *type, const char *job, const void *payload,
		size_t len)
{
	char head[256];

	if (port < 0)
		return;
	snprintf(head, sizeof(head), "%s %s %zu\n", type, job, len);
	write_all(head, strlen(head));
	write_all(payload, len);
	write_all("\n", 1);
}

void port_printf(const char *type, const char *job, const char *format, ...)
{
	char text[4096];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	port_frame(type, job, text, len);
}

/* Send a file as frames of at most 64 KiB; false when it can't be read. */
bool port_file(const char *type, const char *job, const char *path)
{
	static char chunk[64 << 10];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		port_frame(type, job, chunk, n);
	close(fd);
	return n == 0;
}
