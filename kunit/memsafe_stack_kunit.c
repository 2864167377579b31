// SPDX-License-Identifier: GPL-2.0
/*
 * Each thread has a kernel stack of its own: THREAD_SIZE bytes, aligned, zeroed,
 * growing down towards a mark and a page that is not there
 * (Documentation/mm/vmalloced-kernel-stacks.rst).  A user thread has a second one
 * in its own memory; a kernel thread has no such memory, but can borrow it.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "memsafe_probe.h"

/* Threads that do nothing while the case looks at them. */
enum { SITTERS = 4 };

struct sitter {
	struct task_struct *task;
	struct completion seated;
	const void *local;		/* on its stack */
};

static struct sitter sitters[SITTERS];

static int wait_for_stop(void)
{
	while (!kthread_should_stop()) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

static int sit(void *ctx)
{
	struct sitter *sitter = ctx;

	sitter->local = __builtin_frame_address(0);
	complete(&sitter->seated);
	return wait_for_stop();
}

static int case_init(struct kunit *test)
{
	struct sitter *sitter;

	memset(sitters, 0, sizeof(sitters));
	for (sitter = sitters; sitter < sitters + SITTERS; sitter++) {
		struct task_struct *task;

		init_completion(&sitter->seated);
		task = kthread_run(sit, sitter, "memsafe_sitter");
		if (IS_ERR(task))
			return PTR_ERR(task);
		sitter->task = task;
		wait_for_completion(&sitter->seated);
	}
	return 0;
}

static void case_exit(struct kunit *test)
{
	struct sitter *sitter;

	for (sitter = sitters; sitter < sitters + SITTERS; sitter++)
		if (sitter->task)
			kthread_stop(sitter->task);
}

static bool is_within(const void *p, const void *start, size_t bytes)
{
	return p >= start && p < start + bytes;
}

static void stack_is_aligned(struct kunit *test)
{
	unsigned long align = IS_ENABLED(CONFIG_VMAP_STACK) ? THREAD_ALIGN : THREAD_SIZE;
	int i;

	for (i = 0; i < SITTERS; i++)
		KUNIT_EXPECT_EQ_MSG(test, 0,
				    (unsigned long)task_stack_page(sitters[i].task) % align,
				    "thread %d", i);
}

static void stack_is_mapped_at_thread_size(struct kunit *test)
{
#ifdef CONFIG_VMAP_STACK
	int i;

	for (i = 0; i < SITTERS; i++) {
		const struct vm_struct *area = task_stack_vm_area(sitters[i].task);

		KUNIT_EXPECT_PTR_EQ(test, task_stack_page(sitters[i].task), area->addr);
		KUNIT_EXPECT_EQ(test, THREAD_SIZE, get_vm_area_size(area));
		KUNIT_EXPECT_EQ(test, THREAD_SIZE / PAGE_SIZE, area->nr_pages);
	}
#else
	kunit_skip(test, "needs CONFIG_VMAP_STACK=y");
#endif
}

static void thread_runs_on_its_own_stack(struct kunit *test)
{
	int i;

	for (i = 0; i < SITTERS; i++)
		KUNIT_EXPECT_TRUE_MSG(test,
				      is_within(sitters[i].local, task_stack_page(sitters[i].task),
						THREAD_SIZE),
				      "thread %d", i);
}

static void stacks_do_not_overlap(struct kunit *test)
{
	int i, k;

	for (i = 0; i < SITTERS; i++)
		for (k = i + 1; k < SITTERS; k++)
			KUNIT_EXPECT_GE_MSG(test,
					    abs(task_stack_page(sitters[i].task) -
						task_stack_page(sitters[k].task)),
					    (long)THREAD_SIZE, "threads %d and %d", i, k);
}

static noinline const void *frame_of_callee(void)
{
	const void *frame = __builtin_frame_address(0);

	OPTIMIZER_HIDE_VAR(frame);
	return frame;
}

static void stack_grows_down(struct kunit *test)
{
	const void *caller = __builtin_frame_address(0), *callee = frame_of_callee();

	KUNIT_EXPECT_LT(test, (unsigned long)callee, (unsigned long)caller);
	KUNIT_EXPECT_TRUE(test, is_within(callee, task_stack_page(current), THREAD_SIZE));
}

/* The last byte of a stack and the one behind, at its low and its high end. */
struct end {
	const char *name;
	long last;
	long behind;
};

static const struct end end[] = {
	{ "low", 0, -1 },
	{ "high", THREAD_SIZE - 1, THREAD_SIZE },
};

static void describe_end(const struct end *end, char *desc)
{
	strscpy(desc, end->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(end, end, describe_end);

static void stack_is_guarded(struct kunit *test)
{
	const struct end *end = test->param_value;
	int i;

	skip_without_probe(test);
	if (!IS_ENABLED(CONFIG_VMAP_STACK))
		kunit_skip(test, "needs CONFIG_VMAP_STACK=y");

	for (i = 0; i < SITTERS; i++) {
		const u8 *stack = task_stack_page(sitters[i].task);
		u8 byte;

		KUNIT_EXPECT_EQ(test, 0, copy_from_kernel_nofault(&byte, stack + end->last, 1));
		KUNIT_EXPECT_EQ(test, -EFAULT,
				copy_from_kernel_nofault(&byte, stack + end->behind, 1));
	}
}

static void stack_ends_in_a_mark(struct kunit *test)
{
	int i;

	for (i = 0; i < SITTERS; i++)
		KUNIT_EXPECT_EQ(test, STACK_END_MAGIC, *end_of_stack(sitters[i].task));
}

/* Nobody schedules meanwhile: with SCHED_STACK_END_CHECK that would be a panic. */
static void overwritten_mark_is_noticed(struct kunit *test)
{
	unsigned long flags, *mark = end_of_stack(current);
	bool before = task_stack_end_corrupted(current), noticed;

	local_irq_save(flags);
	*mark ^= 1;
	noticed = task_stack_end_corrupted(current);
	*mark ^= 1;
	local_irq_restore(flags);

	KUNIT_EXPECT_FALSE(test, before);
	KUNIT_EXPECT_TRUE(test, noticed);
}

/* The half of its stack that a thread did not need to get started. */
struct tenant {
	const void *stack;
	const void *rubbish;		/* the first byte that it found there, or NULL */
	struct completion moved_in;
};

static int leave_rubbish(void *ctx)
{
	struct tenant *tenant = ctx;
	u8 *low = (u8 *)(end_of_stack(current) + 1);

	tenant->stack = task_stack_page(current);
	tenant->rubbish = memchr_inv(low, 0, THREAD_SIZE / 2);
	memset(low, 0x5a, THREAD_SIZE / 2);
	complete(&tenant->moved_in);
	return wait_for_stop();
}

static bool rent_stack(struct tenant *tenant)
{
	struct task_struct *task;

	init_completion(&tenant->moved_in);
	task = kthread_run(leave_rubbish, tenant, "memsafe_tenant");
	if (IS_ERR(task))
		return false;
	wait_for_completion(&tenant->moved_in);
	kthread_stop(task);
	/* The last reference goes with RCU: delayed_put_task_struct(). */
	rcu_barrier();
	return true;
}

static void fresh_stack_is_zeroed(struct kunit *test)
{
	enum { TENANTS = 64 };
	struct tenant *tenants;
	int i, before, second_hand = 0;

	tenants = kunit_kcalloc(test, TENANTS, sizeof(*tenants), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tenants);

	for (i = 0; i < TENANTS && second_hand < 4; i++) {
		KUNIT_ASSERT_TRUE(test, rent_stack(&tenants[i]));
		for (before = 0; before < i; before++)
			second_hand += tenants[i].stack == tenants[before].stack;
		KUNIT_EXPECT_NULL_MSG(test, tenants[i].rubbish, "thread %d", i);
	}

	KUNIT_EXPECT_NE_MSG(test, 0, second_hand, "no stack was used twice");
}

static void kernel_thread_has_no_mm(struct kunit *test)
{
	int i;

	for (i = 0; i < SITTERS; i++) {
		KUNIT_EXPECT_TRUE(test, sitters[i].task->flags & PF_KTHREAD);
		KUNIT_EXPECT_NULL(test, sitters[i].task->mm);
	}
}

/* Process 1, which waits until the suite is done. */
struct process {
	struct task_struct *task;
	struct mm_struct *mm;
	unsigned long sp;		/* in user mode */
};

static void leave_process(void *ctx)
{
	struct process *process = ctx;

	mmput(process->mm);
	put_task_struct(process->task);
}

/* NULL where there is none: built-in suites run before it starts. */
static struct process *meet_process(struct kunit *test)
{
	struct process *process = kunit_kzalloc(test, sizeof(*process), GFP_KERNEL);
	struct pid *pid = find_get_pid(1);

	if (process)
		process->task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!process || !process->task)
		return NULL;
	process->mm = get_task_mm(process->task);
	if (!process->mm) {
		put_task_struct(process->task);
		return NULL;
	}
	process->sp = user_stack_pointer(task_pt_regs(process->task));
	return kunit_add_action_or_reset(test, leave_process, process) ? NULL : process;
}

static void user_thread_enters_the_kernel_on_a_kernel_stack(struct kunit *test)
{
	const struct process *process = meet_process(test);
	struct pt_regs *regs;

	if (!process)
		kunit_skip(test, "needs a user process");
	regs = task_pt_regs(process->task);

	KUNIT_EXPECT_FALSE(test, process->task->flags & PF_KTHREAD);
	KUNIT_EXPECT_TRUE(test, user_mode(regs));
	KUNIT_EXPECT_TRUE(test, is_within(regs, task_stack_page(process->task), THREAD_SIZE));
	KUNIT_EXPECT_EQ(test, STACK_END_MAGIC, *end_of_stack(process->task));
}

static void user_thread_has_a_stack_in_its_own_memory(struct kunit *test)
{
	const struct process *process = meet_process(test);
	const struct vm_area_struct *vma;
	unsigned long start = 0, flags = 0;

	if (!process)
		kunit_skip(test, "needs a user process");

	mmap_read_lock(process->mm);
	vma = find_vma(process->mm, process->sp);
	if (vma) {
		start = vma->vm_start;
		flags = vma->vm_flags;
	}
	mmap_read_unlock(process->mm);

	KUNIT_ASSERT_NOT_NULL(test, vma);
	KUNIT_EXPECT_LT(test, process->sp, TASK_SIZE);
	KUNIT_EXPECT_LE(test, start, process->sp);
	KUNIT_EXPECT_TRUE(test, flags & VM_GROWSDOWN);
}

static void kernel_thread_borrows_an_mm_and_returns_it(struct kunit *test)
{
	const struct process *process = meet_process(test);
	unsigned long seen = 0, borrowed = 1, left;
	struct mm_struct *during;

	if (!process)
		kunit_skip(test, "needs a user process");
	KUNIT_ASSERT_NULL(test, current->mm);
	KUNIT_ASSERT_EQ(test, (int)sizeof(seen),
			access_process_vm(process->task, process->sp, &seen, sizeof(seen), 0));

	kthread_use_mm(process->mm);
	during = current->mm;
	left = copy_from_user(&borrowed, (void __user *)process->sp, sizeof(borrowed));
	kthread_unuse_mm(process->mm);

	KUNIT_EXPECT_PTR_EQ(test, process->mm, during);
	KUNIT_EXPECT_EQ(test, 0, left);
	KUNIT_EXPECT_EQ(test, seen, borrowed);
	KUNIT_EXPECT_NULL(test, current->mm);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(stack_is_aligned),
	KUNIT_CASE(stack_is_mapped_at_thread_size),
	KUNIT_CASE(thread_runs_on_its_own_stack),
	KUNIT_CASE(stacks_do_not_overlap),
	KUNIT_CASE(stack_grows_down),
	KUNIT_CASE_PARAM(stack_is_guarded, end_gen_params),
	KUNIT_CASE(stack_ends_in_a_mark),
	KUNIT_CASE(overwritten_mark_is_noticed),
	KUNIT_CASE(fresh_stack_is_zeroed),
	KUNIT_CASE(kernel_thread_has_no_mm),
	KUNIT_CASE(user_thread_enters_the_kernel_on_a_kernel_stack),
	KUNIT_CASE(user_thread_has_a_stack_in_its_own_memory),
	KUNIT_CASE(kernel_thread_borrows_an_mm_and_returns_it),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_stack",
	.init = case_init,
	.exit = case_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of kernel stacks");
MODULE_LICENSE("GPL");
