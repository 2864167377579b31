// SPDX-License-Identifier: GPL-2.0
/*
 * One job at a time, each in a process of its own under a time limit, between
 * two marks in the kernel's log.  Frames of a job:
 *
 *	begin	"uptime_ms N"
 *	out	what a program printed
 *	kunit	<suite>/results of the debugfs directory that a module made
 *	end	"<outcome> <number> uptime_ms N taint N dropped N", where outcome
 *		is exit, signal, timeout, stuck, or errno
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

#define KUNIT_DIR	"/sys/kernel/debug/kunit"
/* How long a killed process may take to go before it counts as stuck. */
#define KILL_GRACE_MS	5000
#define UNLOAD_MS	3000

struct outcome {
	const char *kind;
	int number;
	size_t dropped;
};

/*
 * What a gate has marked in the kernel says that it ran, once in each window.
 * Other kernels have no such parameter.
 */
static void next_window(void)
{
	static unsigned int window = 1;
	char text[16];

	snprintf(text, sizeof(text), "%u", ++window);
	write_file("/sys/module/kernel/parameters/memsafe_window", text);
}

static void begin(const char *job)
{
	kmsg("memsafe: BEGIN %s", job);
	next_window();
	port_printf("begin", job, "uptime_ms %llu\n",
		    (unsigned long long)now_ms());
}

static void end(const char *job, struct outcome out)
{
	kmsg("memsafe: END %s", job);
	port_printf("end", job, "%s %d uptime_ms %llu taint %lu dropped %zu\n",
		    out.kind, out.number, (unsigned long long)now_ms(), taint(),
		    out.dropped);
}

/* Reap the child if it has ended; anything else that died is reaped as well. */
static bool reaped(pid_t child, int *status)
{
	int other;
	pid_t pid;

	while ((pid = waitpid(-1, &other, WNOHANG)) > 0) {
		if (pid == child) {
			*status = other;
			return true;
		}
	}
	return false;
}

/* Forward what the job printed, up to the limit.  False at end of file. */
static bool forward(int fd, const char *job, size_t *sent, size_t *dropped)
{
	static char chunk[16 << 10];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (*sent + n <= OUTPUT_LIMIT) {
		port_frame("out", job, chunk, n);
		*sent += n;
	} else {
		*dropped += n;
	}
	return true;
}

static bool wait_until(pid_t child, int fd, const char *job, uint64_t deadline,
		       int *status, size_t *dropped)
{
	struct pollfd from = { .fd = fd, .events = POLLIN };
	size_t sent = 0;
	bool ended = false;

	while (!ended && now_ms() < deadline) {
		if (poll(&from, from.fd < 0 ? 0 : 1, 2) > 0 &&
		    !forward(fd, job, &sent, dropped))
			from.fd = -1;
		ended = reaped(child, status);
	}
	while (ended && poll(&from, 1, 0) > 0 &&
	       (from.revents & POLLIN) && forward(fd, job, &sent, dropped))
		;
	return ended;
}

/* PID 1 may kill everything else: nothing of a job outlives it. */
static void kill_the_rest(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static struct outcome supervise(pid_t child, int fd, const char *job,
				unsigned int seconds)
{
	struct outcome out = { .kind = "timeout", .number = (int)seconds };
	int status = 0;

	if (!wait_until(child, fd, job, now_ms() + seconds * 1000ull, &status,
			&out.dropped)) {
		kill(-1, SIGKILL);
		if (!wait_until(child, fd, job, now_ms() + KILL_GRACE_MS,
				&status, &out.dropped))
			out.kind = "stuck";
	} else if (WIFSIGNALED(status)) {
		out.kind = "signal";
		out.number = WTERMSIG(status);
	} else {
		out.kind = "exit";
		out.number = WEXITSTATUS(status);
	}
	return out;
}

static pid_t start(void (*child)(char *), char *args, int pipe_end)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	if (pipe_end >= 0) {
		dup2(pipe_end, 1);
		dup2(pipe_end, 2);
	}
	child(args);
	_exit(127);
}

static int insert(char *args)
{
	char *path = next_word(&args);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, args, 0))
		return errno;
	return 0;
}

void job_load(char *args)
{
	char *path = strdup(args);
	int error = insert(args);

	port_printf("load", "-", "%d %s\n", error, path);
	free(path);
}

static void insert_and_exit(char *args)
{
	_exit(insert(args));
}

/* KUnit makes a directory for each suite that a module brings. */
static void send_kunit_results(const char *job)
{
	DIR *suites = opendir(KUNIT_DIR);
	struct dirent *suite;
	char path[600];

	while (suites && (suite = readdir(suites))) {
		if (suite->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), KUNIT_DIR "/%s/results",
			 suite->d_name);
		port_file("kunit", job, path);
	}
	if (suites)
		closedir(suites);
}

/*
 * A file is released after its last user has closed it, by a worker: what is
 * still in use may be free in a moment.
 */
static int unload(const char *name)
{
	uint64_t until = now_ms() + UNLOAD_MS;

	while (syscall(SYS_delete_module, name, O_NONBLOCK)) {
		if (errno != EWOULDBLOCK || now_ms() > until)
			return -1;
		usleep(10000);
	}
	return 0;
}

/* "/a/foo-bar.ko" is the module foo_bar. */
static void module_name(const char *path, char *name, size_t size)
{
	const char *base = strrchr(path, '/');

	snprintf(name, size, "%s", base ? base + 1 : path);
	name[strcspn(name, ".")] = '\0';
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
}

void job_module(char *args)
{
	char *job = next_word(&args);
	unsigned int seconds = strtoul(next_word(&args), NULL, 10);
	struct outcome out;
	char name[512];
	char path[512];

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(args, " "), args);
	module_name(path, name, sizeof(name));
	begin(job);
	out = supervise(start(insert_and_exit, args, -1), -1, job, seconds);
	if (!strcmp(out.kind, "exit") && out.number)
		out.kind = "errno";
	if (!strcmp(out.kind, "exit")) {
		send_kunit_results(job);
		if (unload(name))
			out = (struct outcome){ .kind = "unload",
						.number = errno };
	}
	end(job, out);
}

static void exec_program(char *args)
{
	char *argv[64], *word;
	int argc = 0;

	while (*(word = next_word(&args)) && argc < 63) {
		if (!argc && strchr(word, '=') && word[0] != '/')
			putenv(word);
		else
			argv[argc++] = word;
	}
	argv[argc] = NULL;
	if (argc)
		execv(argv[0], argv);
	dprintf(2, "can't run %s: %s\n", argc ? argv[0] : "nothing",
		strerror(errno));
}

/* A job whose output is its result: @child runs with the rest of @args. */
static void job_printing(char *args, void (*child)(char *))
{
	char *job = next_word(&args);
	unsigned int seconds = strtoul(next_word(&args), NULL, 10);
	struct outcome out = { .kind = "errno" };
	int out_pipe[2];
	pid_t pid;

	begin(job);
	if (!pipe2(out_pipe, O_CLOEXEC | O_NONBLOCK)) {
		fcntl(out_pipe[1], F_SETFL, 0);
		pid = start(child, args, out_pipe[1]);
		close(out_pipe[1]);
		out = supervise(pid, out_pipe[0], job, seconds);
		kill_the_rest();
		close(out_pipe[0]);
	} else {
		out.number = errno;
	}
	end(job, out);
}

void job_program(char *args)
{
	job_printing(args, exec_program);
}

/*
 * The result in KTAP, as a program would say it.  EBUSY is a module that was
 * made to stay.
 */
static void unload_and_exit(char *args)
{
	const char *promise = "module_goes_when_nobody_uses_it";
	const char *skip = "SKIP needs a module with an exit function";
	char *name;
	int error = 0;

	while (!error && *(name = next_word(&args)))
		error = unload(name) ? errno : 0;
	dprintf(1, "TAP version 13\n1..1\n");
	if (error && error != EBUSY)
		dprintf(1, "# %s: %s\n", name, strerror(error));
	dprintf(1, "%s 1 %s%s%s\n",
		error && error != EBUSY ? "not ok" : "ok", promise,
		error == EBUSY ? " # " : "", error == EBUSY ? skip : "");
	_exit(error == EBUSY ? 4 : !!error);
}

void job_unload(char *args)
{
	job_printing(args, unload_and_exit);
}
