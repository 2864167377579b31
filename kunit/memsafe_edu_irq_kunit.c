// SPDX-License-Identifier: GPL-2.0
/*
 * An interrupt of a real device arrives once for each time that it is raised, in
 * hard interrupt context, on a stack of its own, until it is acknowledged and
 * not while it is disabled (Documentation/core-api/genericirq.rst,
 * Documentation/arch/x86/kernel-stacks.rst).
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/hardirq.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <asm/irq_regs.h>

#include "memsafe_guest.h"
#include "memsafe_pci.h"

MEMSAFE_GUEST("pc");

/* What the handler has seen. */
struct edu {
	void __iomem *regs;
	int irq;
	struct completion came;
	unsigned int calls;
	u32 status;		/* of the device, in the last call */
	bool in_hardirq;
	bool in_task;
	bool irqs_on;
	bool from_kernel;	/* what it interrupted */
	bool on_task_stack;
};

static bool is_on_stack_of(struct task_struct *task, const void *p)
{
	const void *stack = task_stack_page(task);

	return p >= stack && p < stack + THREAD_SIZE;
}

static irqreturn_t handle(int irq, void *data)
{
	struct edu *edu = data;
	u32 status = readl(edu->regs + EDU_IRQ_STATUS);

	if (!status)
		return IRQ_NONE;
	edu->calls++;
	edu->status = status;
	edu->in_hardirq = in_hardirq();
	edu->in_task = in_task();
	edu->irqs_on = !irqs_disabled();
	edu->from_kernel = !user_mode(get_irq_regs());
	edu->on_task_stack = is_on_stack_of(current, &status);

	writel(status, edu->regs + EDU_IRQ_ACK);
	/* A line that is still up when this returns would interrupt again. */
	readl(edu->regs + EDU_IRQ_STATUS);
	complete(&edu->came);
	return IRQ_HANDLED;
}

static void quiet_device(void *ctx)
{
	struct edu *edu = ctx;

	writel(0, edu->regs + EDU_STATUS);
	writel(~0U, edu->regs + EDU_IRQ_ACK);
}

static void free_vectors(void *ctx)
{
	struct pci_dev *pdev = ctx;

	pci_free_irq_vectors(pdev);
	/* MSI leaves managed data: no driver could be bound. */
	devres_release_group(&pdev->dev, pdev);
}

static void free_handler(void *ctx)
{
	struct edu *edu = ctx;

	free_irq(edu->irq, edu);
}

static struct edu *start_edu(struct kunit *test)
{
	struct pci_dev *pdev = take_edu(test);
	struct edu *edu = kunit_kzalloc(test, sizeof(*edu), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, edu);
	init_completion(&edu->came);
	edu->regs = map_bar(test, pdev, EDU_BAR);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, quiet_device, edu));
	quiet_device(edu);
	/* MSI is a write to memory. */
	pci_set_master(pdev);
	KUNIT_ASSERT_NOT_NULL(test, devres_open_group(&pdev->dev, pdev, GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, 1, pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_vectors, pdev));
	edu->irq = pci_irq_vector(pdev, 0);
	KUNIT_ASSERT_EQ(test, 0, request_irq(edu->irq, handle, IRQF_SHARED, "memsafe", edu));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_handler, edu));
	return edu;
}

/* It may take its time on a busy host; a handler that never comes fails. */
static bool came(struct edu *edu)
{
	bool in_time = wait_for_completion_timeout(&edu->came, 10 * HZ);

	synchronize_irq(edu->irq);
	return in_time;
}

static void raise(struct edu *edu, u32 status)
{
	writel(status, edu->regs + EDU_IRQ_RAISE);
}

static void each_raise_is_one_call(struct kunit *test)
{
	struct edu *edu = start_edu(test);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, edu->calls);

	for (i = 1; i <= 20; i++) {
		raise(edu, i);
		KUNIT_ASSERT_TRUE(test, came(edu));
		KUNIT_ASSERT_EQ(test, i, edu->calls);
		KUNIT_EXPECT_EQ(test, i, edu->status);
	}
}

static void handler_runs_in_hard_interrupt_context(struct kunit *test)
{
	struct edu *edu = start_edu(test);

	KUNIT_EXPECT_FALSE(test, in_hardirq());
	KUNIT_EXPECT_TRUE(test, in_task());

	raise(edu, 1);

	KUNIT_ASSERT_TRUE(test, came(edu));
	KUNIT_EXPECT_TRUE(test, edu->in_hardirq);
	KUNIT_EXPECT_FALSE(test, edu->in_task);
	KUNIT_EXPECT_FALSE(test, edu->irqs_on);
}

/* One that interrupts user mode finds the task's kernel stack empty: may use it. */
static void handler_has_a_stack_of_its_own(struct kunit *test)
{
	struct edu *edu = start_edu(test);
	int here;
	int i;

	if (!IS_ENABLED(CONFIG_X86_64))
		kunit_skip(test, "needs interrupt stacks (x86_64)");
	KUNIT_ASSERT_TRUE(test, is_on_stack_of(current, &here));

	for (i = 0; i < 100 && !edu->from_kernel; i++) {
		raise(edu, 1);
		KUNIT_ASSERT_TRUE(test, came(edu));
	}

	KUNIT_ASSERT_TRUE(test, edu->from_kernel);
	KUNIT_EXPECT_FALSE(test, edu->on_task_stack);
}

static void acknowledge_clears_its_own_bits_only(struct kunit *test)
{
	struct edu *edu = start_edu(test);

	disable_irq(edu->irq);
	raise(edu, 0x0f0);
	raise(edu, 0x00f);
	KUNIT_EXPECT_EQ(test, 0x0ff, readl(edu->regs + EDU_IRQ_STATUS));

	writel(0x03c, edu->regs + EDU_IRQ_ACK);

	KUNIT_EXPECT_EQ(test, 0x0c3, readl(edu->regs + EDU_IRQ_STATUS));
	enable_irq(edu->irq);
	KUNIT_ASSERT_TRUE(test, came(edu));
	KUNIT_EXPECT_EQ(test, 0x0c3, edu->status);
	KUNIT_EXPECT_EQ(test, 0, readl(edu->regs + EDU_IRQ_STATUS));
}

static void disabled_interrupt_comes_when_it_is_enabled(struct kunit *test)
{
	struct edu *edu = start_edu(test);

	disable_irq(edu->irq);
	raise(edu, 1);
	/* Read back: the device has raised it by now. */
	KUNIT_EXPECT_EQ(test, 1, readl(edu->regs + EDU_IRQ_STATUS));
	synchronize_irq(edu->irq);
	KUNIT_EXPECT_EQ(test, 0, edu->calls);

	enable_irq(edu->irq);

	KUNIT_EXPECT_TRUE(test, came(edu));
	KUNIT_EXPECT_EQ(test, 1, edu->calls);
}

static void freed_interrupt_calls_nobody(struct kunit *test)
{
	struct edu *edu = start_edu(test);

	kunit_release_action(test, free_handler, edu);

	raise(edu, 1);

	KUNIT_EXPECT_EQ(test, 1, readl(edu->regs + EDU_IRQ_STATUS));
	KUNIT_EXPECT_EQ(test, 0, edu->calls);
}

/* Raised by a thread of QEMU, at a time of its own. */
static void device_interrupts_when_its_work_is_done(struct kunit *test)
{
	struct edu *edu = start_edu(test);

	writel(EDU_STATUS_RAISE, edu->regs + EDU_STATUS);

	writel(5, edu->regs + EDU_FACTORIAL);

	KUNIT_ASSERT_TRUE(test, came(edu));
	KUNIT_EXPECT_EQ(test, 1, edu->calls);
	KUNIT_EXPECT_EQ(test, EDU_IRQ_FACTORIAL, edu->status);
	KUNIT_EXPECT_EQ(test, 0, readl(edu->regs + EDU_STATUS) & EDU_STATUS_COMPUTING);
	KUNIT_EXPECT_EQ(test, 120, readl(edu->regs + EDU_FACTORIAL));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_raise_is_one_call),
	KUNIT_CASE(handler_runs_in_hard_interrupt_context),
	KUNIT_CASE(handler_has_a_stack_of_its_own),
	KUNIT_CASE(acknowledge_clears_its_own_bits_only),
	KUNIT_CASE(disabled_interrupt_comes_when_it_is_enabled),
	KUNIT_CASE(freed_interrupt_calls_nobody),
	KUNIT_CASE(device_interrupts_when_its_work_is_done),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_edu_irq",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of a device's interrupt");
MODULE_LICENSE("GPL");
