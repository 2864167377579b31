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
 * reports is read through the console tracepoint, in the context that prints
 * them: a report from another task or from an interrupt counts when it is
 * complete before the act ends (flush the work, stop the thread).
 *
 * The including file defines MEMSAFE_SUITE, its suite's name.
 */
#ifndef MEMSAFE_REPORT_H
#define MEMSAFE_REPORT_H

#include <kunit/test.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <trace/events/printk.h>

/**
 * struct memsafe_report - what a report must say
 * @kind:	its title up to the function: "KASAN: " and its class, "UBSAN: " and
 *		its check, "WARNING", a kind of memsafe_headers[], or the line after
 *		"BUG: " such as "BUG: sleeping function called from invalid context"
 * @access:	"Read" or "Write"; NULL where the report names none, or any will do
 * @size:	bytes accessed; 0 where the report names none, or any will do
 * @address:	of the access; NULL where the report names none, or any will do
 * @function:	the first function on the stack that is no part of a sanitizer,
 *		of an allocator or of the trap path; NULL where the report has no
 *		stack
 * @then:	the report that must follow from the same act, or NULL
 */
struct memsafe_report {
	const char *kind;
	const char *access;
	size_t size;
	const void *address;
	const char *function;
	const struct memsafe_report *then;
};

/* How a report that does not say its kind itself begins. */
struct memsafe_header {
	const char *text;
	const char *kind;
	bool kills;		/* the task that meets it */
};

static const struct memsafe_header memsafe_headers[] = {
	{ "list_add corruption", "BUG: corrupted list", true },
	{ "list_del corruption", "BUG: corrupted list", true },
	{ "usercopy: Kernel memory", "BUG: bad usercopy", true },
	{ "stack guard page was hit", "BUG: stack guard page was hit", true },
	{ "kernel NULL pointer dereference",
	  "BUG: unable to handle kernel NULL pointer dereference", true },
	{ "nable to handle page fault", "BUG: unable to handle kernel paging request", true },
	{ "nable to handle kernel paging request",
	  "BUG: unable to handle kernel paging request", true },
	{ "general protection fault, ", "general protection fault", true },
	{ "ernel BUG at ", "kernel BUG", true },
	{ "WARNING: CPU: ", "WARNING", false },
	{ "BUG: Bad page state in process ", "BUG: Bad page state", false },
	{ "BUG: scheduling while atomic", "BUG: scheduling while atomic", false },
};

/* What a report has said so far. */
struct memsafe_seen {
	char kind[80];
	char reporter[64];	/* the function that its first line or the trap names */
	char access[8];
	size_t size;
	unsigned long address;
	bool stack_ended;
	bool function_on_stack;
};

#define MEMSAFE_SEEN_MAX 2

static struct {
	raw_spinlock_t lock;
	bool watching;
	struct kunit *test;		/* what current->kunit_test was */
	const struct memsafe_report *expected;
	struct task_struct *dying;	/* what it says from now on follows from that */
	int reports;
	struct memsafe_seen seen[MEMSAFE_SEEN_MAX];
	char expected_text[2 * 192];
	char seen_text[2 * 192];
} memsafe_watch = {
	.lock = __RAW_SPIN_LOCK_UNLOCKED(memsafe_watch.lock),
};

/* What is expected of the report of this number, or NULL. */
static inline const struct memsafe_report *memsafe_expected(int number)
{
	const struct memsafe_report *report = memsafe_watch.expected;

	while (report && number--)
		report = report->then;
	return report;
}

static inline void memsafe_cut_at(char *text, const char *end)
{
	char *at = strstr(text, end);

	if (at)
		*at = '\0';
}

static inline const struct memsafe_header *memsafe_find_header(const char *line)
{
	const struct memsafe_header *header = memsafe_headers;

	for (; header < memsafe_headers + ARRAY_SIZE(memsafe_headers); header++)
		if (strstr(line, header->text))
			return header;
	return NULL;
}

/*
 * The first line of a report: its kind, the function that it names, whether it
 * kills.
 */
static inline bool memsafe_parse_header(const char *line, struct memsafe_seen *seen, bool *kills)
{
	const struct memsafe_header *header = memsafe_find_header(line);
	const char *bug = strstr(line, "BUG");
	char class[48];

	*kills = header && header->kills;
	if (header) {
		strscpy(seen->kind, header->kind, sizeof(seen->kind));
		line = strstr(line, header->text);
		if (sscanf(line, "WARNING: CPU: %*d PID: %*d at %*s %63[^.+]", seen->reporter) != 1)
			seen->reporter[0] = '\0';
	} else if (sscanf(line, "UBSAN: %47s in", class) == 1) {
		snprintf(seen->kind, sizeof(seen->kind), "UBSAN: %s", class);
	} else if (!bug) {
		return false;
	} else if (sscanf(bug, "BUG: KASAN: %47s in %63[^.+]", class, seen->reporter) == 2) {
		snprintf(seen->kind, sizeof(seen->kind), "KASAN: %s", class);
	} else if (!strncmp(bug, "BUG: ", strlen("BUG: "))) {
		strscpy(seen->kind, bug, sizeof(seen->kind));
		memsafe_cut_at(seen->kind, " at ");
	} else if (!strncmp(bug, "BUG ", strlen("BUG ")) && strstr(bug, "): ")) {
		/* Of SLUB: the cache, whether the kernel was tainted, what is wrong. */
		snprintf(seen->kind, sizeof(seen->kind), "BUG: %s",
			 strstr(bug, "): ") + strlen("): "));
	} else {
		return false;
	}
	memsafe_cut_at(seen->kind, "\n");
	return true;
}

/*
 * Whether the line is a frame of the function, or of what gcc made of it (.cold).
 * The unwinder does not vouch for frames with a question mark; arm writes "f from
 * g+0x10/0x20".
 */
static inline bool memsafe_is_frame_of(const char *line, const char *function)
{
	const char *at = function ? strstr(line, function) : NULL;
	const char *next = at ? at + strlen(function) : "";

	if (*next != '+' && *next != '.' && strncmp(next, " from ", strlen(" from ")) &&
	    strncmp(next, " [", strlen(" [")))
		return false;
	if (at >= line + 2 && at[-1] == ' ' && at[-2] == '?')
		return false;
	return at == line || at[-1] == ' ' || at[-1] == ':';
}

static inline void memsafe_parse_address(const char *line, struct memsafe_seen *seen)
{
	static const char * const before[] = { "virtual address ", "address: ", "address 0x" };
	const char *at = NULL;
	int i;

	for (i = 0; i < ARRAY_SIZE(before) && !at; i++)
		at = strstr(line, before[i]);
	if (at)
		sscanf(at + strlen(before[i - 1]), "%lx", &seen->address);
}

/* x86 has a line for the direction of a bad access, arm says it with the address. */
static inline void memsafe_parse_direction(const char *line, struct memsafe_seen *seen)
{
	if (strstr(line, "#PF: supervisor read") || strstr(line, " when read"))
		strscpy(seen->access, "Read", sizeof(seen->access));
	else if (strstr(line, "#PF: supervisor write") || strstr(line, " when write"))
		strscpy(seen->access, "Write", sizeof(seen->access));
}

/* Where the trap was, on x86 and arm. */
static inline void memsafe_parse_pc(const char *line, struct memsafe_seen *seen)
{
	const char *pc = strstr(line, "IP: ") ?: strstr(line, "PC is at ");

	if (!pc || seen->reporter[0])
		return;
	if (sscanf(pc, "IP: %*4x:%63[^.+]", seen->reporter) != 1 &&
	    sscanf(pc, "IP: %63[^.+]", seen->reporter) != 1 &&
	    sscanf(pc, "PC is at %63[^.+]", seen->reporter) != 1)
		seen->reporter[0] = '\0';
}

/* A line behind the first of a report. */
static inline void memsafe_parse_body(const char *line, struct memsafe_seen *seen,
				      const struct memsafe_report *expected)
{
	char access[8];
	unsigned long address;
	size_t size;

	if (sscanf(line, "%7s of size %zu at addr %lx", access, &size, &address) == 3) {
		strscpy(seen->access, access, sizeof(seen->access));
		seen->size = size;
		seen->address = address;
	} else if (strstr(line, "llocated by task") || strstr(line, "Freed by task") ||
		   strstr(line, "---[ end trace")) {
		/* The stacks that follow are those of earlier events. */
		seen->stack_ended = true;
	} else if (!seen->stack_ended) {
		memsafe_parse_direction(line, seen);
		memsafe_parse_pc(line, seen);
		seen->function_on_stack |=
			memsafe_is_frame_of(line, expected ? expected->function : NULL);
	}
}

static inline void memsafe_read_line(const char *line)
{
	int last = min(memsafe_watch.reports, MEMSAFE_SEEN_MAX) - 1;
	struct memsafe_seen seen = {};
	bool kills;

	if (memsafe_parse_header(line, &seen, &kills)) {
		if (in_task() && memsafe_watch.dying == current)
			return;
		if (in_task() && kills)
			memsafe_watch.dying = current;
		memsafe_parse_address(line, &seen);
		memsafe_parse_direction(line, &seen);
		if (memsafe_watch.reports < MEMSAFE_SEEN_MAX)
			memsafe_watch.seen[memsafe_watch.reports] = seen;
		memsafe_watch.reports++;
	} else if (last >= 0) {
		memsafe_parse_body(line, &memsafe_watch.seen[last], memsafe_expected(last));
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

static inline bool memsafe_is_kasan(const char *kind)
{
	return !strncmp(kind, "KASAN: ", strlen("KASAN: "));
}

/* Append one report to a text; what a report does not name is left out. */
static inline void memsafe_describe(char *text, size_t len, const struct memsafe_report *report)
{
	size_t used = strlen(text);

	used += scnprintf(text + used, len - used, "%s%s", used ? ", then " : "", report->kind);
	if (report->access)
		used += scnprintf(text + used, len - used, " %s", report->access);
	if (report->size)
		used += scnprintf(text + used, len - used, " of size %zu", report->size);
	if (report->address)
		used += scnprintf(text + used, len - used, " at %px", report->address);
	if (report->function)
		scnprintf(text + used, len - used, " in %s", report->function);
}

/* The same of a report that was seen, without what was not asked for. */
static inline void memsafe_describe_seen(char *text, size_t len, const struct memsafe_seen *seen,
					 const struct memsafe_report *expected)
{
	struct memsafe_report report = {
		.kind = seen->kind,
		.access = seen->access[0] ? seen->access : NULL,
		.size = seen->size,
		.address = (void *)seen->address,
		.function = seen->reporter[0] ? seen->reporter : NULL,
	};

	if (expected && !expected->access)
		report.access = NULL;
	if (expected && !expected->size)
		report.size = 0;
	if (expected && !expected->address)
		report.address = NULL;
	if (expected && !expected->function)
		report.function = NULL;
	/* Who made an access is in KASAN's first line; others name the checker there. */
	if (seen->function_on_stack && !(memsafe_is_kasan(seen->kind) && seen->access[0]))
		report.function = expected->function;
	memsafe_describe(text, len, &report);
}

/* Say in the log which report comes now, by the title that judges give it. */
static inline void memsafe_announce(struct kunit *test, const struct memsafe_report *report)
{
	bool is_free = !strcmp(report->kind, "KASAN: double-free") ||
		       !strcmp(report->kind, "KASAN: invalid-free");
	const char *access = memsafe_is_kasan(report->kind) ? report->access : NULL;

	/* Titles tell neither kind of bad free from the other. */
	pr_info("memsafe: EXPECT %s.%s: %s%s%s%s%s\n", MEMSAFE_SUITE, test->name,
		is_free ? "KASAN: invalid-free" : report->kind, access ? " " : "", access ?: "",
		report->function ? " in " : "", report->function ?: "");
}

/*
 * Watch the console from now on.  Returns the text that memsafe_report_seen()
 * must return; a NULL @report means none.
 */
static inline const char *memsafe_report_watch(struct kunit *test,
					       const struct memsafe_report *report)
{
	char *text = memsafe_watch.expected_text;

	memsafe_watch.expected = report;
	memsafe_watch.dying = NULL;
	memsafe_watch.reports = 0;

	text[0] = '\0';
	for (; report; report = report->then) {
		memsafe_announce(test, report);
		memsafe_describe(text, sizeof(memsafe_watch.expected_text), report);
	}
	if (!text[0])
		strscpy(text, "no report", sizeof(memsafe_watch.expected_text));

	/* KASAN fails the case of any task that it reports. */
	memsafe_watch.test = current->kunit_test;
	if (memsafe_watch.expected)
		current->kunit_test = NULL;
	WRITE_ONCE(memsafe_watch.watching, true);
	barrier();
	return text;
}

/* Stop watching; returns what was seen. */
static inline const char *memsafe_report_seen(void)
{
	int i, described = min(memsafe_watch.reports, MEMSAFE_SEEN_MAX);
	char *text = memsafe_watch.seen_text;
	size_t len = sizeof(memsafe_watch.seen_text);

	barrier();
	WRITE_ONCE(memsafe_watch.watching, false);
	current->kunit_test = memsafe_watch.test;

	text[0] = '\0';
	for (i = 0; i < described; i++)
		memsafe_describe_seen(text, len, &memsafe_watch.seen[i], memsafe_expected(i));
	if (!described)
		strscpy(text, "no report", len);
	if (memsafe_watch.reports > described)
		snprintf(text + strlen(text), len - strlen(text), ", and %d more",
			 memsafe_watch.reports - described);
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
