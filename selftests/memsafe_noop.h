/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The no-op harness: does a test notice a kernel that does nothing?
 *
 * Each test marks its act with ACT(<system call>). Normally that is nothing.
 * With MEMSAFE_NOOP=success, or =<errno name or number>, the rest of the test
 * runs under a seccomp filter that makes this one system call return 0, or
 * that errno, without doing anything. Every test must then fail by an
 * assertion of its own body.
 */
#ifndef MEMSAFE_NOOP_H
#define MEMSAFE_NOOP_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "memsafe_probe.h"

#if defined(__x86_64__)
#define MEMSAFE_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define MEMSAFE_AUDIT_ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define MEMSAFE_AUDIT_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define MEMSAFE_AUDIT_ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define MEMSAFE_AUDIT_ARCH AUDIT_ARCH_RISCV64
#endif

/* libc's ftruncate() takes 64 bits wherever there are two. */
#ifdef __NR_ftruncate64
#define MEMSAFE_NR_FTRUNCATE __NR_ftruncate64
#else
#define MEMSAFE_NR_FTRUNCATE __NR_ftruncate
#endif

/* So does its fcntl(). */
#ifdef __NR_fcntl64
#define MEMSAFE_NR_FCNTL __NR_fcntl64
#else
#define MEMSAFE_NR_FCNTL __NR_fcntl
#endif

/* libc's mmap() is mmap2 wherever that exists, even beside an old mmap. */
#ifdef __NR_mmap2
#define MEMSAFE_NR_MMAP __NR_mmap2
#ifndef __NR_mmap
#define __NR_mmap __NR_mmap2
#endif
#else
#define MEMSAFE_NR_MMAP __NR_mmap
#endif

/* So is posix_fadvise(), which arm has under a name of its own. */
#if defined(__NR_arm_fadvise64_64)
#define MEMSAFE_NR_FADVISE __NR_arm_fadvise64_64
#elif defined(__NR_fadvise64_64)
#define MEMSAFE_NR_FADVISE __NR_fadvise64_64
#else
#define MEMSAFE_NR_FADVISE __NR_fadvise64
#endif
#ifndef __NR_fadvise64
#define __NR_fadvise64 MEMSAFE_NR_FADVISE
#endif

/* The errno that MEMSAFE_NOOP asks for: 0 for success, -1 for no errno. */
static inline int noop_errno(const char *wanted)
{
	char *end;
	long number = strtol(wanted, &end, 10);

	if (!strcmp(wanted, "success"))
		return 0;
	if (end != wanted && !*end)
		return number > 0 && number < 4096 ? (int)number : -1;
	for (int err = 1; err < 4096; err++) {
		const char *name = strerrorname_np(err);

		if (name && !strcmp(wanted, name))
			return err;
	}
	return -1;
}

/* From here on system call @nr returns -@err and does nothing. */
static inline bool noop_filter(unsigned int nr, unsigned int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MEMSAFE_AUDIT_ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* False when MEMSAFE_NOOP is set and can't be honoured. */
static inline bool noop_arm(const char *name, unsigned int nr)
{
	const char *wanted = getenv("MEMSAFE_NOOP");
	int err;

	if (!wanted)
		return true;
	err = noop_errno(wanted);
	if (err < 0) {
		fprintf(stderr, "# noop: no such errno: %s\n", wanted);
		return false;
	}
	if (nr == __NR_mmap)
		nr = MEMSAFE_NR_MMAP;
	if (nr == __NR_ftruncate)
		nr = MEMSAFE_NR_FTRUNCATE;
	if (nr == __NR_fcntl)
		nr = MEMSAFE_NR_FCNTL;
	if (nr == __NR_fadvise64)
		nr = MEMSAFE_NR_FADVISE;
	printf("# noop: %s\n", name);
	fflush(stdout);
	return noop_filter(nr, err);
}

/* As noop_arm(), for an act that is an access and no system call. */
static inline void noop_arm_probe(void)
{
	if (!getenv("MEMSAFE_NOOP"))
		return;
	printf("# noop: probe\n");
	fflush(stdout);
	probe_disabled = true;
}

/* The next statement makes system call @nr, which a variant calls @name. */
#define ACT_NR(name, nr)                                                  \
	do {                                                              \
		if (!noop_arm(name, nr))                                  \
			SKIP(return, "needs CONFIG_SECCOMP_FILTER=y and " \
				     "a valid MEMSAFE_NOOP");             \
	} while (0)

/* @name: the system call that the next statement makes, as in __NR_<name>. */
#define ACT(name) ACT_NR(#name, __NR_##name)

/*
 * The act is the access of a probe: under MEMSAFE_NOOP, whatever its value,
 * the probes that follow access nothing and report no fault.
 */
#define ACT_PROBE() noop_arm_probe()

#endif /* MEMSAFE_NOOP_H */
