/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two functions that reports of bad accesses must name, and how to expect
 * such a report.  Include memsafe_report.h first.
 */
#ifndef MEMSAFE_ACCESS_H
#define MEMSAFE_ACCESS_H

#include <linux/compiler.h>
#include <linux/version.h>

/* Before v6.4 KASAN did not say which kind of memory was freed. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define SLAB_USE_AFTER_FREE	"KASAN: use-after-free"
#else
#define SLAB_USE_AFTER_FREE	"KASAN: slab-use-after-free"
#endif

/* What is at @p, unseen by the sanitizer. */
static noinline __no_sanitize_address u8 peek(const u8 *p)
{
	return *(const volatile u8 *)p;
}

/* The functions that a report must name.  They change nothing, whosever byte it is. */
static noinline void memsafe_read_byte(u8 *p)
{
	READ_ONCE(*p);
}

static noinline void memsafe_write_byte(u8 *p)
{
	WRITE_ONCE(*p, peek(p));
}

static inline void expect_bad_access(struct kunit *test, const char *kind,
				     const char *access, u8 *p)
{
	bool is_write = !strcmp(access, "Write");
	const struct memsafe_report report = {
		.kind = kind, .access = access, .size = 1, .address = p,
		.function = is_write ? "memsafe_write_byte" : "memsafe_read_byte",
	};

	if (is_write)
		EXPECT_REPORT(test, &report, memsafe_write_byte(p));
	else
		EXPECT_REPORT(test, &report, memsafe_read_byte(p));
}

/* For the .init of suites, or as the first act of cases, that can't do without KASAN. */
static inline int kasan_case_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		kunit_skip(test, "needs CONFIG_KASAN_GENERIC=y");
	skip_without_console(test);
	return 0;
}

#endif
