// SPDX-License-Identifier: GPL-2.0
/*
 * Each barrier macro compiles to the instruction that it promises on this
 * architecture, and to nothing where the CPU orders by itself
 * (Documentation/memory-barriers.txt).  That the CPU then obeys can't be seen
 * under an emulator: this is about the macros.
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/string.h>
#include <asm/barrier.h>

/*
 * The code of a statement, between two labels: volatile asm statements keep
 * their order.  Never called, and not to be: some would access @p.
 */
#define CODE(name, statement)							\
	static noinline __used void code_of_##name(void __iomem *p)		\
	{									\
		asm volatile(".Lmemsafe_" #name "_start:");			\
		statement;							\
		asm volatile(".Lmemsafe_" #name "_end:");			\
	}									\
	extern const u8 name##_start[] asm(".Lmemsafe_" #name "_start");	\
	extern const u8 name##_end[] asm(".Lmemsafe_" #name "_end")

CODE(compiler, barrier());
CODE(mb, mb());
CODE(rmb, rmb());
CODE(wmb, wmb());
CODE(smp_mb, smp_mb());
CODE(smp_rmb, smp_rmb());
CODE(smp_wmb, smp_wmb());
CODE(dma_rmb, dma_rmb());
CODE(dma_wmb, dma_wmb());
CODE(before_atomic, smp_mb__before_atomic());
CODE(after_atomic, smp_mb__after_atomic());
CODE(readl, readl(p));
CODE(readl_relaxed, readl_relaxed(p));
CODE(writel, writel(0, p));
CODE(writel_relaxed, writel_relaxed(0, p));

#define NOTHING "no barrier"

/* What barriers look like in memory, and what each macro must become. */
struct instruction {
	const char *name;
	u8 bytes[4];
	unsigned int len;
};

struct macro {
	const char *name;
	const u8 *start, *end;
	const char *expected;
};

#define MACRO(text, label, expected) { text, label##_start, label##_end, expected }

#if defined(CONFIG_X86) || defined(CONFIG_UML)
#define STEP 1		/* instructions start at any byte */

static const struct instruction instructions[] = {
	{ "mfence", { 0x0f, 0xae, 0xf0 }, 3 },
	{ "lfence", { 0x0f, 0xae, 0xe8 }, 3 },
	{ "sfence", { 0x0f, 0xae, 0xf8 }, 3 },
	{ "lock addl", { 0xf0, 0x83, 0x44, 0x24 }, 4 },
};

/* UML takes the generic macros that the CPU's rules would make superfluous. */
#define ON_UML(name) (IS_ENABLED(CONFIG_UML) ? (name) : NOTHING)

/*
 * Loads are not reordered with loads, nor stores with stores; a locked
 * instruction orders all.  What is left needs no instruction.
 */
static const struct macro macros[] = {
	MACRO("mb()", mb, "mfence"),
	MACRO("rmb()", rmb, "lfence"),
	MACRO("wmb()", wmb, "sfence"),
	MACRO("smp_mb()", smp_mb, IS_ENABLED(CONFIG_SMP) ? "lock addl" : NOTHING),
	MACRO("smp_rmb()", smp_rmb, NOTHING),
	MACRO("smp_wmb()", smp_wmb, NOTHING),
	MACRO("dma_rmb()", dma_rmb, ON_UML("lfence")),
	MACRO("dma_wmb()", dma_wmb, ON_UML("sfence")),
	MACRO("smp_mb__before_atomic()", before_atomic, NOTHING),
	MACRO("smp_mb__after_atomic()", after_atomic, NOTHING),
	MACRO("readl()", readl, ON_UML("lfence")),
	MACRO("readl_relaxed()", readl_relaxed, NOTHING),
	MACRO("writel()", writel, ON_UML("sfence")),
	MACRO("writel_relaxed()", writel_relaxed, NOTHING),
};

#elif defined(CONFIG_ARM) && __LINUX_ARM_ARCH__ >= 7
#ifdef CONFIG_THUMB2_KERNEL
#define STEP 2
#define BARRIER(option) { 0xbf, 0xf3, option, 0x8f }, 4
#else
#define STEP 4
#define BARRIER(option) { option, 0xf0, 0x7f, 0xf5 }, 4
#endif

static const struct instruction instructions[] = {
	{ "dsb sy", BARRIER(0x4f) },
	{ "dsb st", BARRIER(0x4e) },
	{ "dmb ish", BARRIER(0x5b) },
	{ "dmb ishst", BARRIER(0x5a) },
	{ "dmb osh", BARRIER(0x53) },
	{ "dmb oshst", BARRIER(0x52) },
};

#define ON_SMP(name) (IS_ENABLED(CONFIG_SMP) ? (name) : NOTHING)

static const struct macro macros[] = {
	MACRO("mb()", mb, "dsb sy"),
	MACRO("rmb()", rmb, "dsb sy"),
	MACRO("wmb()", wmb, "dsb st"),
	MACRO("smp_mb()", smp_mb, ON_SMP("dmb ish")),
	MACRO("smp_rmb()", smp_rmb, ON_SMP("dmb ish")),
	MACRO("smp_wmb()", smp_wmb, ON_SMP("dmb ishst")),
	MACRO("dma_rmb()", dma_rmb, "dmb osh"),
	MACRO("dma_wmb()", dma_wmb, "dmb oshst"),
	MACRO("smp_mb__before_atomic()", before_atomic, ON_SMP("dmb ish")),
	MACRO("smp_mb__after_atomic()", after_atomic, ON_SMP("dmb ish")),
	MACRO("readl()", readl, "dsb sy"),
	MACRO("readl_relaxed()", readl_relaxed, NOTHING),
	MACRO("writel()", writel, "dsb st"),
	MACRO("writel_relaxed()", writel_relaxed, NOTHING),
};

#else
#define STEP 1

static const struct instruction instructions[] = {};

/* The case is there, to say what it needs. */
static const struct macro macros[] = {
	MACRO("mb()", mb, NULL),
};
#endif

static void describe_macro(const struct macro *macro, char *desc)
{
	strscpy(desc, macro->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(macro, macros, describe_macro);

/* The first barrier in the code. */
static const char *barrier_in(const u8 *start, const u8 *end)
{
	const struct instruction *insn;
	const u8 *at;

	for (at = start; at < end; at += STEP)
		for (insn = instructions; insn < instructions + ARRAY_SIZE(instructions); insn++)
			if (end - at >= insn->len && !memcmp(at, insn->bytes, insn->len))
				return insn->name;
	return NOTHING;
}

static void macro_compiles_to_what_it_promises(struct kunit *test)
{
	const struct macro *macro = test->param_value;

	if (!macro->expected)
		kunit_skip(test, "needs the barriers of this architecture");

	KUNIT_EXPECT_STREQ(test, macro->expected, barrier_in(macro->start, macro->end));
}

/* The labels do hold the statement between them, and nothing else. */
static void compiler_barrier_is_no_instruction_at_all(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 0, compiler_end - compiler_start);
	KUNIT_EXPECT_GT(test, mb_end - mb_start, 0);
	KUNIT_EXPECT_GT(test, readl_end - readl_start, 0);
	KUNIT_EXPECT_GT(test, writel_relaxed_end - writel_relaxed_start, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(macro_compiles_to_what_it_promises, macro_gen_params),
	KUNIT_CASE(compiler_barrier_is_no_instruction_at_all),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_barrier",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of what barriers compile to");
MODULE_LICENSE("GPL");
