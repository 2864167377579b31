/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Children, limits and capabilities of a test's own process.
 */
#ifndef MEMSAFE_TASK_H
#define MEMSAFE_TASK_H

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memsafe_probe.h"

#define NO_CHILD (-1000)

/*
 * Starts @body(@arg) in a forked child, for child_end(). NO_CHILD when fork()
 * made none, whatever it returned.
 */
static inline pid_t child_start(int (*body)(void *), void *arg)
{
	pid_t us = getpid();
	pid_t child = fork();

	if (child == 0 && getpid() != us)
		_exit(body(arg));
	return child > 0 ? child : NO_CHILD;
}

/*
 * What the body of @child returned (0 to 255), minus the number of the signal
 * that killed it, or NO_CHILD.
 */
static inline int child_end(pid_t child)
{
	int status;

	if (child == NO_CHILD)
		return NO_CHILD;
	while (waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			return NO_CHILD;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int in_child(int (*body)(void *), void *arg)
{
	return child_end(child_start(body, arg));
}

/* A body for in_child(): 7, stored at @p and read back. */
static inline int store_seven(void *p)
{
	return poke(p, 7) ? peek(p) : 255;
}

/* A body for in_child(): the signal of a write to @p, 0 for none. */
static inline int signal_of_write(void *p)
{
	return probe_write(p).signal;
}

/*
 * For what the kernel keeps a batch of for each CPU, such as pages on their way
 * to a list: a call that empties the batch empties this CPU's.
 */
static inline bool stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	return !sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* Soft limit only: what one test of a process lowers, it can raise again. */
static inline bool limit_set(int resource, rlim_t soft)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return false;
	limit.rlim_cur = soft;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < soft)
		limit.rlim_max = soft;
	return !setrlimit(resource, &limit);
}

static inline bool capability_data(struct __user_cap_data_struct data[2],
				   long nr)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return !syscall(nr, &header, data);
}

/* Is @cap, such as CAP_IPC_LOCK, effective? */
static inline bool has_capability(int cap)
{
	struct __user_cap_data_struct data[2] = {};

	return capability_data(data, __NR_capget) &&
	       data[cap / 32].effective & (1U << (cap % 32));
}

/* Takes @cap from this process; true also when it never had it. */
static inline bool drop_capability(int cap)
{
	struct __user_cap_data_struct data[2] = {};

	if (!capability_data(data, __NR_capget))
		return false;
	data[cap / 32].effective &= ~(1U << (cap % 32));
	return capability_data(data, __NR_capset);
}

#endif /* MEMSAFE_TASK_H */
