// SPDX-License-Identifier: GPL-2.0
/*
 * UBSAN names an index out of bounds and an impossible shift with the function
 * that does it (Documentation/dev-tools/ubsan.rst), once for each place, and is
 * silent about the last legal value.
 */
#include <kunit/test.h>
#include <linux/compiler.h>
#include <linux/module.h>

#define MEMSAFE_SUITE "memsafe_ubsan"
#include "memsafe_detects.h"
#include "memsafe_report.h"

MEMSAFE_DETECTS("UBSAN");

#define LEN 4

/* The byte behind the array is legal memory: KASAN has nothing to say. */
static struct {
	volatile u8 array[LEN];
	u8 behind[LEN];
} row;

/* Not READ_ONCE(): it takes the address, which the end of an array may have. */
static noinline void memsafe_read_index(int i)
{
	(void)row.array[i];
}

static noinline void memsafe_write_index(int i)
{
	row.array[i] = 1;
}

static noinline int memsafe_shift_left(int by)
{
	int bits = 1;

	OPTIMIZER_HIDE_VAR(bits);
	return bits << by;
}

static noinline int memsafe_shift_right(int by)
{
	int bits = 1;

	OPTIMIZER_HIDE_VAR(bits);
	return bits >> by;
}

static void try_shift_left(int by)
{
	int bits = memsafe_shift_left(by);

	OPTIMIZER_HIDE_VAR(bits);
}

static void try_shift_right(int by)
{
	int bits = memsafe_shift_right(by);

	OPTIMIZER_HIDE_VAR(bits);
}

struct step {
	const char *name;
	void (*act)(int value);
	int legal;
	int illegal;
	struct memsafe_report report;
	bool needs_shift;
};

static const struct step steps[] = {
	{
		.name = "read past the end", .act = memsafe_read_index,
		.legal = LEN - 1, .illegal = LEN,
		.report = {
			.kind = "UBSAN: array-index-out-of-bounds",
			.function = "memsafe_read_index",
		},
	}, {
		.name = "write past the end", .act = memsafe_write_index,
		.legal = LEN - 1, .illegal = LEN,
		.report = {
			.kind = "UBSAN: array-index-out-of-bounds",
			.function = "memsafe_write_index",
		},
	}, {
		.name = "shift by the width", .act = try_shift_left, .needs_shift = true,
		.legal = 30, .illegal = 32,
		.report = {
			.kind = "UBSAN: shift-out-of-bounds",
			.function = "memsafe_shift_left",
		},
	}, {
		.name = "shift by less than 0", .act = try_shift_right, .needs_shift = true,
		.legal = 0, .illegal = -1,
		.report = {
			.kind = "UBSAN: shift-out-of-bounds",
			.function = "memsafe_shift_right",
		},
	},
};

static void describe_step(const struct step *step, char *desc)
{
	strscpy(desc, step->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(step, steps, describe_step);

static void step_too_far_is_reported_once(struct kunit *test)
{
	const struct step *step = test->param_value;

	if (!step->needs_shift && !IS_ENABLED(CONFIG_UBSAN_BOUNDS))
		kunit_skip(test, "needs CONFIG_UBSAN_BOUNDS=y");
	if (step->needs_shift && !IS_ENABLED(CONFIG_UBSAN_SHIFT))
		kunit_skip(test, "needs CONFIG_UBSAN_SHIFT=y");
	if (IS_ENABLED(CONFIG_UBSAN_TRAP))
		kunit_skip(test, "needs CONFIG_UBSAN_TRAP=n");
	skip_without_console(test);

	EXPECT_NO_REPORT(test, step->act(step->legal));
	EXPECT_REPORT(test, &step->report, step->act(step->illegal));
	EXPECT_NO_REPORT(test, step->act(step->illegal));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(step_too_far_is_reported_once, step_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what UBSAN reports");
MODULE_LICENSE("GPL");
