/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread on another CPU that holds a translation while ours changes:
 *
 *	this CPU		another CPU
 *	observer_touch()
 *				access: its TLB has the pages
 *	munmap(), ...		spin in user mode
 *	observer_look()
 *				access: must go by the page table as it is now
 *
 * Nothing between its two accesses is a system call. Where the kernel has page
 * tables of its own (PTI) and the CPU no PCID, each interrupt empties the TLB:
 * less is proved there.
 */
#ifndef MEMSAFE_OBSERVER_H
#define MEMSAFE_OBSERVER_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "memsafe_probe.h"
#include "memsafe_proc.h"

/* What an observer stores: before the change, and after. */
enum { STORE_TOUCH = 0x11, STORE_LOOK = 0x22 };

enum observer_turn { IDLE, TOUCH, TOUCHED, LOOK };

struct observer {
	pthread_t thread;
	enum observer_turn turn;
	volatile unsigned char *p;
	size_t len; /* all pages are touched */
	size_t at;  /* this byte is looked at */
	bool writes;
	int seen;
};

/* What is seen where an access faults; a byte otherwise. */
#define SEEN_FAULT(signal, code) (-((signal)*256 + (code)))
/* The observer could not even touch, or did not answer. */
#define SEEN_NOTHING INT32_MIN

/* More than any answer takes, some ten seconds. */
#define OBSERVER_SPINS (1UL << 31)

/* For TEST_F_TIMEOUT: two CPUs of an emulator may have to share one core. */
#define OBSERVER_SECONDS 300

/*
 * A few hundred rounds find a flush that is not there; what is only late wants
 * more: MEMSAFE_ROUNDS multiplies.
 */
static inline int rounds(int by_default)
{
	const char *factor = getenv("MEMSAFE_ROUNDS");

	return by_default * (factor ? atoi(factor) : 1);
}

static inline void observer_set(struct observer *o, enum observer_turn turn)
{
	__atomic_store_n(&o->turn, turn, __ATOMIC_SEQ_CST);
}

static inline enum observer_turn observer_turn(struct observer *o)
{
	return __atomic_load_n(&o->turn, __ATOMIC_SEQ_CST);
}

static inline void observer_access(struct observer *o, size_t at, int value)
{
	if (o->writes)
		o->p[at] = value;
	else
		o->seen = o->p[at];
}

/* For probe(): its last access is the one that may fault. */
static inline void observer_turns(void *arg)
{
	struct observer *o = arg;
	size_t ps = page_size();

	for (size_t at = 0; at < o->len; at += ps)
		observer_access(o, at, STORE_TOUCH);
	o->seen = STORE_LOOK;
	observer_set(o, TOUCHED);
	while (observer_turn(o) == TOUCHED)
		;
	observer_access(o, o->at, STORE_LOOK);
}

static inline void *observer_run(void *arg)
{
	struct observer *o = arg;

	for (;;) {
		struct fault fault;

		while (observer_turn(o) != TOUCH)
			;
		fault = probe(observer_turns, o);
		if (fault.signal)
			o->seen = SEEN_FAULT(fault.signal, fault.code);
		observer_set(o, IDLE);
	}
	return NULL;
}

/* The next CPU from @cpu on that we may use, CPU_SETSIZE when there is none. */
static inline int next_cpu(const cpu_set_t *cpus, int cpu)
{
	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, cpus))
		cpu++;
	return cpu;
}

static inline bool stay_on_cpu(pthread_t thread, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return !pthread_setaffinity_np(thread, sizeof(one), &one);
}

/* For a fixture's setup, which is what skips. */
static inline bool has_two_cpus(void)
{
	cpu_set_t cpus;

	return !sched_getaffinity(0, sizeof(cpus), &cpus) &&
	       CPU_COUNT(&cpus) >= 2;
}

/*
 * Keeps us on one CPU and starts @o on another, until the process ends.
 * False when that can't be done.
 */
static inline bool observer_start(struct observer *o)
{
	cpu_set_t cpus;
	int ours;

	memset(o, 0, sizeof(*o));
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return false;
	ours = next_cpu(&cpus, 0);
	return !pthread_create(&o->thread, NULL, observer_run, o) &&
	       stay_on_cpu(o->thread, next_cpu(&cpus, ours + 1)) &&
	       stay_on_cpu(pthread_self(), ours);
}

/* False when @turn has not ended in time. */
static inline bool observer_wait(struct observer *o, enum observer_turn turn)
{
	for (unsigned long n = 0; n < OBSERVER_SPINS; n++)
		if (observer_turn(o) != turn)
			return true;
	return false;
}

/*
 * Has the observer access all pages of [@p, @p + @len) and keep their
 * translations; false when it could not.
 */
static inline bool observer_touch(struct observer *o, volatile void *p,
				  size_t len, bool writes)
{
	o->p = p;
	o->len = len;
	o->writes = writes;
	observer_set(o, TOUCH);
	return observer_wait(o, TOUCH) && observer_turn(o) == TOUCHED;
}

/*
 * What its second access, of the byte at @at, found: the byte that it read,
 * STORE_LOOK where it wrote, or SEEN_FAULT().
 */
static inline int observer_look(struct observer *o, size_t at)
{
	o->at = at;
	observer_set(o, LOOK);
	return observer_wait(o, LOOK) ? o->seen : SEEN_NOTHING;
}

#endif /* MEMSAFE_OBSERVER_H */
