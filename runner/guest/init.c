// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's PID 1: set up what tests find, greet the host, then obey.
 *
 *	load PATH [PARAM...]			insert a module and keep it
 *	module JOB SECONDS PATH [PARAM...]	insert, collect KUnit results, remove
 *	program JOB SECONDS [VAR=VALUE...] PATH [ARG...]
 *	unload JOB SECONDS NAME...		remove modules, in this order
 *	disk SERIAL				mount it at /SERIAL, read-only
 *	leaks clear|report			forget; scan and send
 *	calibrate				how fast is it now?
 *	wake NUMBER				a mutant of a kernel that has many
 *	quit					power off
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

/*
 * A fixed piece of work, in nanoseconds: the host scales its time-outs with
 * it.  Integer only, no memory traffic, about 10 ms on bare metal.
 */
static unsigned long long calibrate(void)
{
	struct timespec start, end;
	volatile uint32_t sink;
	uint32_t x = 2463534242u;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 4000000; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
	}
	sink = x;
	(void)sink;
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - start.tv_sec) * 1000000000ull + end.tv_nsec -
	       start.tv_nsec;
}

static void say_hello(void)
{
	uint64_t up_ms = now_ms(), ticks = jiffies();
	struct sysinfo memory = { 0 };
	struct utsname uts = { 0 };

	uname(&uts);
	sysinfo(&memory);
	port_printf("hello", "-",
		    "release %s\nversion %s\nmachine %s\nuptime_ms %llu\n"
		    "jiffies %llu\ncalibration_ns %llu\ncpus %ld\nmemory_kb %lu\n"
		    "page_size %ld\ntaint %lu\nkmemleak %s\n",
		    uts.release, uts.version, uts.machine,
		    (unsigned long long)up_ms, (unsigned long long)ticks,
		    calibrate(),
		    sysconf(_SC_NPROCESSORS_ONLN),
		    memory.totalram / 1024 * memory.mem_unit,
		    sysconf(_SC_PAGESIZE), taint(), leaks_state());
	port_file("cmdline", "-", "/proc/cmdline");
}

static void leaks(char *what)
{
	if (!strcmp(what, "clear"))
		leaks_clear();
	else if (!strcmp(what, "report"))
		leaks_report();
	port_printf("leaks", "-", "%s", leaks_state());
}

static void disk(char *serial)
{
	char where[64];

	snprintf(where, sizeof(where), "/%s", serial);
	port_printf("disk", "-", "%s",
		    mount_disk(serial, where, "ext4", true) ? "mounted" :
							      "absent");
}

static void wake(const char *number)
{
	port_printf("wake", "-", "%s",
		    write_file("/sys/module/kernel/parameters/memsafe_mutant", number) ?
			    "awake" : "absent");
}

/* Returns false when the host wants the guest to end. */
static bool obey(char *line)
{
	char *verb = next_word(&line);

	if (!strcmp(verb, "load"))
		job_load(line);
	else if (!strcmp(verb, "module"))
		job_module(line);
	else if (!strcmp(verb, "program"))
		job_program(line);
	else if (!strcmp(verb, "unload"))
		job_unload(line);
	else if (!strcmp(verb, "disk"))
		disk(line);
	else if (!strcmp(verb, "leaks"))
		leaks(line);
	else if (!strcmp(verb, "wake"))
		wake(line);
	else if (!strcmp(verb, "calibrate"))
		port_printf("calibration", "-", "calibration_ns %llu\n", calibrate());
	else if (!strcmp(verb, "quit"))
		return false;
	else
		port_printf("log", "-", "no such command: %s\n", verb);
	return true;
}

int main(void)
{
	const struct rlimit no_core = { 0, 0 };
	char *line;

	mount_all();
	kmsg("memsafe: INIT");
	setrlimit(RLIMIT_CORE, &no_core);
	setenv("PATH", "/memsafe/bin:/bin:/sbin", 1);
	setenv("HOME", "/tmp", 1);
	/* Programs may change what is everybody's, such as swap. */
	setenv("MEMSAFE_GUEST", "1", 1);
	if (port_open()) {
		mount_disk("scratch", "/scratch", "ext4", false);
		if (!mount_disk("payload", "/memsafe", "ext4", true))
			port_printf("log", "-", "no payload disk\n");
		say_hello();
		while ((line = port_read_line()) && obey(line))
			;
		port_printf("bye", "-", "taint %lu\n", taint());
	} else {
		kmsg("memsafe: no results port");
	}
	sync();
	kmsg("memsafe: END OF GUEST");
	reboot(RB_AUTOBOOT);
	return 1;
}
