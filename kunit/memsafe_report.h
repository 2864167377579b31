/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel report that a case expects, declared before the act that provokes
 * it:
 *
 *	static const struct memsafe_report past_end = {
 *		.kind = "KASAN: slab-out-of-bounds", .access = "Write", .size = 1,
 *		.function = "memsafe_write_byte",
 *	};
 *
 *	EXPECT_REPORT(test, &past_end, memsafe_write_byte(object + size));
 *
 * The case fails on any other report, on a second one, and on none.  The text of
 * reports is read through the console tracepoint, in the task that prints them:
 * a report from another task counts when it is complete before the act ends
 * (flush the work, stop the thread).
 *
 * The including file defines MEMSAFE_SUITE, its suite's name.
 */
#ifndef MEMSAFE_REPORT_H
#define MEMSAFE_REPORT_H

#include <kunit/test.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <trace/events/printk.h>

/**
 * struct memsafe_report - what a report must say
 * @kind:	"KASAN: " and its class, "WARNING", or a line such as "BUG:
 *		sleeping function called from invalid context"
 * @access:	"Read" or "Write", NULL where the report names none
 * @size:	bytes accessed, 0 where the report names none
 * @function:	the first function on the stack that is no part of a sanitizer,
 *		of an allocator or of the trap path
 */
struct memsafe_report {
	const char *kind;
	const char *access;
	size_t size;
	const char *function;
};

static struct {
	raw_spinlock_t lock;
	bool watching;
	struct kunit *test;		/* what current->kunit_test was */
	const char *function;		/* expected */
	int reports;
	char kind[80];			/* of the first report */
	char reporter[64];		/* the function that its first line names */
	char access[8];
	size_t size;
	bool stack_ended;
	bool function_on_stack;
	char expected_text[192];
	char seen_text[192];
} memsafe_watch = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(memsafe_watch.lock),
};

/* The first line of a report: its kind, and the function that it names. */
static inline bool memsafe_parse_header(const char *line, char *kind, char *function)
{
	const char *warning = strstr(line, "WARNING: CPU: ");
	const char *bug = strstr(line, "BUG: ");
	char *place;

	if (warning) {
		strscpy(kind, "WARNING", sizeof(memsafe_watch.kind));
		if (sscanf(warning, "WARNING: CPU: %*d PID: %*d at %*s %63[^.+]", function) != 1)
			function[0] = '\0';
		return true;
	}
	if (!bug)
		return false;
	if (sscanf(bug, "BUG: KASAN: %63s in %63[^.+]", kind, function) == 2) {
		memmove(kind + strlen("KASAN: "), kind, strlen(kind) + 1);
		memcpy(kind, "KASAN: ", strlen("KASAN: "));
		return true;
	}
	strscpy(kind, bug, sizeof(memsafe_watch.kind));
	place = strstr(kind, " at ");
	if (place)
		*place = '\0';
	return true;
}

/* Whether the line is a frame of the function, or of what gcc made of it (.cold). */
static inline bool memsafe_is_frame_of(const char *line, const char *function)
{
	const char *at = function ? strstr(line, function) : NULL;
	char next = at ? at[strlen(function)] : '\0';

	return (next == '+' || next == '.') && (at == line || at[-1] == ' ');
}

static inline void memsafe_read_line(const char *line)
{
	char kind[sizeof(memsafe_watch.kind)] = "", function[64] = "", access[8];
	size_t size;

	if (memsafe_parse_header(line, kind, function)) {
		if (memsafe_watch.reports++)
			return;
		strscpy(memsafe_watch.kind, kind, sizeof(memsafe_watch.kind));
		strscpy(memsafe_watch.reporter, function, sizeof(memsafe_watch.reporter));
	} else if (memsafe_watch.reports != 1) {
		return;
	} else if (sscanf(line, "%7s of size %zu at addr", access, &size) == 2) {
		strscpy(memsafe_watch.access, access, sizeof(memsafe_watch.access));
		memsafe_watch.size = size;
	} else if (strstr(line, "llocated by task") || strstr(line, "Freed by task")) {
		/* The stacks that follow are those of earlier events. */
		memsafe_watch.stack_ended = true;
	} else if (!memsafe_watch.stack_ended) {
		memsafe_watch.function_on_stack |=
			memsafe_is_frame_of(line, memsafe_watch.function);
	}
}

static inline void memsafe_probe_console(void *unused, const char *text, size_t len)
{
	unsigned long flags;
	char line[256];

	if (!READ_ONCE(memsafe_watch.watching))
		return;
	len = min(len, sizeof(line) - 1);
	memcpy(line, text, len);
	line[len] = '\0';

	raw_spin_lock_irqsave(&memsafe_watch.lock, flags);
	memsafe_read_line(line);
	raw_spin_unlock_irqrestore(&memsafe_watch.lock, flags);
}

static inline void memsafe_describe_report(char *text, size_t len, const char *kind,
					   const char *access, size_t size,
					   const char *function)
{
	if (access && *access)
		snprintf(text, len, "%s %s of size %zu in %s", kind, access, size, function);
	else
		snprintf(text, len, "%s in %s", kind, function);
}

/* Say in the log which report comes now, by the title that judges give it. */
static inline void memsafe_announce(struct kunit *test, const struct memsafe_report *report)
{
	bool is_free = !strcmp(report->kind, "KASAN: double-free") ||
		       !strcmp(report->kind, "KASAN: invalid-free");

	/* Titles tell neither kind of bad free from the other. */
	pr_info("memsafe: EXPECT %s.%s: %s%s%s in %s\n", MEMSAFE_SUITE, test->name,
		is_free ? "KASAN: invalid-free" : report->kind,
		report->access ? " " : "", report->access ?: "", report->function);
}

/*
 * Watch the console from now on.  Returns the text that memsafe_report_seen()
 * must return; a NULL @report means none.
 */
static inline const char *memsafe_report_watch(struct kunit *test,
					       const struct memsafe_report *report)
{
	if (report) {
		memsafe_announce(test, report);
		memsafe_describe_report(memsafe_watch.expected_text,
					sizeof(memsafe_watch.expected_text), report->kind,
					report->access, report->size, report->function);
	} else {
		strscpy(memsafe_watch.expected_text, "no report",
			sizeof(memsafe_watch.expected_text));
	}

	memsafe_watch.function = report ? report->function : NULL;
	memsafe_watch.reports = 0;
	memsafe_watch.access[0] = '\0';
	memsafe_watch.stack_ended = false;
	memsafe_watch.function_on_stack = false;

	/* KASAN fails the case of any task that it reports. */
	memsafe_watch.test = current->kunit_test;
	if (report)
		current->kunit_test = NULL;
	WRITE_ONCE(memsafe_watch.watching, true);
	barrier();
	return memsafe_watch.expected_text;
}

/* Stop watching; returns what was seen. */
static inline const char *memsafe_report_seen(void)
{
	const char *function = memsafe_watch.reporter;
	char *text = memsafe_watch.seen_text;
	size_t len = sizeof(memsafe_watch.seen_text);

	barrier();
	WRITE_ONCE(memsafe_watch.watching, false);
	current->kunit_test = memsafe_watch.test;

	/* Where no access is named, the first line names the allocator's function. */
	if (!memsafe_watch.access[0] && memsafe_watch.function_on_stack)
		function = memsafe_watch.function;
	if (!memsafe_watch.reports)
		strscpy(text, "no report", len);
	else
		memsafe_describe_report(text, len, memsafe_watch.kind, memsafe_watch.access,
					memsafe_watch.size, function);
	if (memsafe_watch.reports > 1)
		snprintf(text + strlen(text), len - strlen(text), " and %d more",
			 memsafe_watch.reports - 1);
	return text;
}

/* The act gives exactly this report, a pointer to a struct memsafe_report. */
#define EXPECT_REPORT(test, report, act) do {					\
	const char *__expected = memsafe_report_watch(test, report);		\
										\
	act;									\
	KUNIT_EXPECT_STREQ_MSG(test, __expected, memsafe_report_seen(),		\
			       "at %s", #act);					\
} while (0)

/* The act gives no report at all. */
#define EXPECT_NO_REPORT(test, act) EXPECT_REPORT(test, NULL, act)

/* For a suite's suite_init and suite_exit. */
static inline int memsafe_report_init(struct kunit_suite *suite)
{
	int err = register_trace_console(memsafe_probe_console, NULL);

	/* Without tracepoints the cases that need them skip. */
	return err == -ENOSYS ? 0 : err;
}

static inline void memsafe_report_exit(struct kunit_suite *suite)
{
	unregister_trace_console(memsafe_probe_console, NULL);
	tracepoint_synchronize_unregister();
}

#define skip_without_console(test) do {						\
	if (!IS_ENABLED(CONFIG_TRACEPOINTS))					\
		kunit_skip(test, "needs CONFIG_TRACEPOINTS=y");			\
} while (0)

#endif
