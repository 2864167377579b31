/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fault probe: one access of one byte, and how it ended as a value.
 *
 *	struct fault f = probe_write(page + len);
 *
 * Works in every thread and on a broken stack: the handler runs on a signal
 * stack of the thread's own. A fault outside a probe kills the process, as
 * it does without these handlers.
 */
#ifndef MEMSAFE_PROBE_H
#define MEMSAFE_PROBE_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct fault {
	int signal; /* 0: the access went through */
	int code; /* si_code */
	void *addr; /* si_addr */
};

struct probe_state {
	sigjmp_buf env;
	struct fault fault;
	volatile sig_atomic_t active;
};

static __thread struct probe_state probe_state;

/* AVX-512 and AMX frames need some 12 KiB; MINSIGSTKSZ is older than both. */
#define PROBE_STACK_SIZE (64 * 1024)
static __thread unsigned char probe_stack[PROBE_STACK_SIZE]
	__attribute__((aligned(16)));

/* Set by ACT_PROBE() under MEMSAFE_NOOP: probes access nothing. */
static bool probe_disabled;

static inline void probe_handler(int signal, siginfo_t *info, void *context)
{
	struct probe_state *state = &probe_state;

	(void)context;
	if (!state->active) {
		/*
		 * Not ours, so it kills us: also where there is no instruction to
		 * run again, as when the harness forwards the end of a test.
		 */
		struct sigaction dfl = { .sa_handler = SIG_DFL };

		sigaction(signal, &dfl, NULL);
		raise(signal);
		return;
	}
	state->fault.signal = signal;
	state->fault.code = info->si_code;
	state->fault.addr = info->si_addr;
	siglongjmp(state->env, 1);
}

__attribute__((constructor)) static inline void probe_install(void)
{
	struct sigaction action = {
		.sa_sigaction = probe_handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigemptyset(&action.sa_mask);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}

/*
 * Runs @access(@arg), which must be a single access, and says how it ended.
 * Probes do not nest.
 */
static inline struct fault probe(void (*access)(void *), void *arg)
{
	struct probe_state *state = &probe_state;
	stack_t stack = { .ss_sp = probe_stack, .ss_size = PROBE_STACK_SIZE };

	memset(&state->fault, 0, sizeof(state->fault));
	if (probe_disabled)
		return state->fault;

	sigaltstack(&stack, NULL);
	if (!sigsetjmp(state->env, 1)) {
		state->active = 1;
		access(arg);
	}
	state->active = 0;
	return state->fault;
}

struct probe_byte {
	volatile unsigned char *p;
	unsigned char value;
};

static inline void probe_load_byte(void *arg)
{
	struct probe_byte *byte = arg;

	byte->value = *byte->p;
}

static inline void probe_store_byte(void *arg)
{
	struct probe_byte *byte = arg;

	*byte->p = byte->value;
}

static inline void probe_call(void *arg)
{
	void (*code)(void);

	memcpy(&code, &arg, sizeof(code));
	code();
}

static inline struct fault probe_read(const volatile void *p)
{
	struct probe_byte byte = { .p = (volatile unsigned char *)p };

	return probe(probe_load_byte, &byte);
}

/* Leaves a 0xa5 where it succeeds. */
static inline struct fault probe_write(volatile void *p)
{
	struct probe_byte byte = { .p = p, .value = 0xa5 };

	return probe(probe_store_byte, &byte);
}

/* Calls @p. Where that may succeed, put_return(@p) has to come first. */
static inline struct fault probe_exec(const volatile void *p)
{
	return probe(probe_call, (void *)p);
}

/* The byte at @p, or -1 when reading it faults. */
static inline int peek(const volatile void *p)
{
	struct probe_byte byte = { .p = (volatile unsigned char *)p };

	return probe(probe_load_byte, &byte).signal ? -1 : byte.value;
}

/* Stores @value at @p; false when that faults. */
static inline bool poke(volatile void *p, unsigned char value)
{
	struct probe_byte byte = { .p = p, .value = value };

	return !probe(probe_store_byte, &byte).signal;
}

#if defined(__x86_64__) || defined(__i386__)
#define PROBE_RETURN 0xc3 /* ret */
#elif defined(__aarch64__)
#define PROBE_RETURN 0xc0, 0x03, 0x5f, 0xd6 /* ret */
#elif defined(__arm__)
#define PROBE_RETURN 0x1e, 0xff, 0x2f, 0xe1 /* bx lr */
#elif defined(__riscv)
#define PROBE_RETURN 0x67, 0x80, 0x00, 0x00 /* ret */
#endif

/* Writes a function that only returns to @p. */
static inline void put_return(void *p)
{
	static const unsigned char code[] = { PROBE_RETURN };

	memcpy(p, code, sizeof(code));
	__builtin___clear_cache((char *)p, (char *)p + sizeof(code));
}

#endif /* MEMSAFE_PROBE_H */
