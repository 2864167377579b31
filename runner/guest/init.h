/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PID 1 of a guest.  It obeys lines read from a virtio serial port and answers
 * with frames on the same port:
 *
 *	<type> <job> <length>\n<length bytes of payload>\n
 *
 * Only init writes to the port, and the length says where a payload ends, so
 * nothing that a test prints can pass for a frame.  The commands are listed in
 * init.c, the frames where they are sent.
 */
#ifndef MEMSAFE_INIT_H
#define MEMSAFE_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one job may print before the rest is dropped, in bytes. */
#define OUTPUT_LIMIT	(4u << 20)

/* port.c: the line to the host */
bool port_open(void);
char *port_read_line(void);
void port_frame(const char *type, const char *job, const void *payload,
		size_t len);
void port_printf(const char *type, const char *job, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool port_file(const char *type, const char *job, const char *path);

/* mounts.c: the file systems and devices that tests find */
void mount_all(void);
bool mount_disk(const char *serial, const char *where, const char *type,
		bool read_only);

/* jobs.c: one module or program at a time */
void job_load(char *args);
void job_module(char *args);
void job_program(char *args);
void job_unload(char *args);

/* leaks.c: the kmemleak protocol */
const char *leaks_state(void);
void leaks_clear(void);
void leaks_report(void);

/* util.c */
uint64_t now_ms(void);
uint64_t jiffies(void);
void kmsg(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned long taint(void);
bool write_file(const char *path, const char *text);
char *next_word(char **rest);

#endif
