/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every memsafe selftest includes: the kernel's kselftest harness, the
 * fault probe, the no-op harness, readers of /proc and mapping helpers.
 *
 * Each test runs in a process of its own, so mappings, limits, capabilities
 * and locks need no teardown: the exit of the process is one. A teardown is
 * for what outlives the process, such as a sysctl.
 */
#ifndef MEMSAFE_H
#define MEMSAFE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "memsafe_probe.h"
#include "memsafe_noop.h"
#include "memsafe_proc.h"
#include "memsafe_resident.h"
#include "memsafe_map.h"
#include "memsafe_task.h"

/* Before v6.10 a teardown ran in the test's own process, or not at all. */
#ifndef FIXTURE_TEARDOWN_PARENT
#define FIXTURE_TEARDOWN_PARENT FIXTURE_TEARDOWN
#endif

/*
 * The errno that a call failed with, 0 when it did not fail. @call: anything
 * that returns -1 or MAP_FAILED on failure.
 */
#define errno_of(call) ((long)(call) == -1L ? errno : 0)

/*
 * The calls below use __EXPECT() of the harness instead of EXPECT_EQ() only
 * to show their arguments as they are written in the test.
 */
#define EXPECT_ERRNO(err, call) \
	__EXPECT(err, #err, errno_of(call), "errno of " #call, ==, 0)
#define ASSERT_ERRNO(err, call) \
	__EXPECT(err, #err, errno_of(call), "errno of " #call, ==, 1)

#define __EXPECT_FAULT(sig, sigstr, si, sistr, where, wherestr, got, gotstr,  \
		       assert)                                                \
	do {                                                                  \
		struct fault __got = (got);                                   \
                                                                              \
		__EXPECT(sig, sigstr, __got.signal, "signal of " gotstr, ==,  \
			 assert);                                             \
		__EXPECT(si, sistr, __got.code, "si_code of " gotstr, ==,     \
			 assert);                                             \
		__EXPECT((uintptr_t)(where), wherestr, (uintptr_t)__got.addr, \
			 "si_addr of " gotstr, ==, assert);                   \
	} while (0)

/* Signal, si_code and si_addr of @got, a struct fault, are exactly these. */
#define EXPECT_FAULT(sig, si, where, got) \
	__EXPECT_FAULT(sig, #sig, si, #si, where, #where, got, #got, 0)
#define ASSERT_FAULT(sig, si, where, got) \
	__EXPECT_FAULT(sig, #sig, si, #si, where, #where, got, #got, 1)

#define EXPECT_NO_FAULT(got) \
	__EXPECT(0, "no signal", (got).signal, "signal of " #got, ==, 0)
#define ASSERT_NO_FAULT(got) \
	__EXPECT(0, "no signal", (got).signal, "signal of " #got, ==, 1)

/*
 * Every page of [@p, @p + @len) belongs to a mapping. The check between an
 * mmap() and the first plain access: an mmap() that did nothing may have
 * returned anything.
 */
#define ASSERT_MAPPED(p, len) \
	__EXPECT(true, "mapped", is_mapped(p, len), #p, ==, 1)
#define EXPECT_MAPPED(p, len) \
	__EXPECT(true, "mapped", is_mapped(p, len), #p, ==, 0)

/* No page of [@p, @p + @len) belongs to a mapping. */
#define EXPECT_UNMAPPED(p, len) \
	__EXPECT(0U, "no mapping", count_vmas(p, len), #p, ==, 0)

#endif /* MEMSAFE_H */
