// SPDX-License-Identifier: GPL-2.0
/*
 * No page of the kernel is writable and executable, by the kernel's own look at
 * all of its page tables, which finds one that is (CONFIG_PTDUMP_DEBUGFS).
 */
#include <kunit/test.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_wx"
#include "memsafe_report.h"
#include "memsafe_debugfs.h"
#include "memsafe_user.h"

KUNIT_DEFINE_ACTION_WRAPPER(vfree_action, vfree, const void *);
KUNIT_DEFINE_ACTION_WRAPPER(unmount_action, kern_unmount, struct vfsmount *);
KUNIT_DEFINE_ACTION_WRAPPER(fput_action, fput, struct file *);

/* What the kernel says of its tables each time that it is asked. */
struct check {
	struct file *file;
	unsigned long user;	/* memory for its answer */
};

/*
 * The entries at the top of PAE have no bit for writing: for effective_prot() in
 * arch/x86/mm/dump_pagetables.c nothing below them is writable.
 */
static int open_check(struct kunit *test)
{
	struct check *check = kunit_kzalloc(test, sizeof(*check), GFP_KERNEL);
	struct file_system_type *type = get_fs_type("debugfs");
	struct vfsmount *mount;

	if (IS_ENABLED(CONFIG_X86_PAE))
		kunit_skip(test, "needs a check_wx_pages that sees what is writable (not PAE)");
	if (!check)
		return -ENOMEM;
	if (!type)
		kunit_skip(test, "needs CONFIG_DEBUG_FS=y");
	skip_without_console(test);
	mount = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(mount) || kunit_add_action_or_reset(test, unmount_action, mount))
		return -ENOMEM;

	check->file = file_open_root_mnt(mount, "check_wx_pages", O_RDONLY, 0);
	if (PTR_ERR_OR_ZERO(check->file) == -ENOENT)
		kunit_skip(test, "needs CONFIG_PTDUMP_DEBUGFS=y and its check_wx_pages, v6.12");
	if (IS_ERR(check->file) || kunit_add_action_or_reset(test, fput_action, check->file))
		return -EIO;

	check->user = user_map(test, NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | MAP_PRIVATE, 0);
	test->priv = check;
	return IS_ERR_VALUE(check->user) ? (int)check->user : 0;
}

/* Its answer, without the newline. */
static const char *check_wx_pages(struct kunit *test)
{
	struct check *check = test->priv;
	char *answer = kunit_kzalloc(test, 16, GFP_KERNEL);
	loff_t pos = 0;
	ssize_t len;

	if (!answer)
		return NULL;
	len = check->file->f_op->read(check->file, (char __user *)check->user, 15, &pos);
	if (len <= 0 || copy_from_user(answer, (char __user *)check->user, len))
		return NULL;
	return strim(answer);
}

static void no_page_is_writable_and_executable(struct kunit *test)
{
	const char *answer = NULL;

	EXPECT_NO_REPORT(test, answer = check_wx_pages(test));

	KUNIT_ASSERT_NOT_NULL(test, answer);
	KUNIT_EXPECT_STREQ(test, "SUCCESS", answer);
}

/* Whether the entry of the page was changed; nobody executes the page. */
static bool make_executable(void *start, bool executable)
{
#if defined(CONFIG_X86) && !defined(CONFIG_UML)
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)start, &level);

	if (!pte || level != PG_LEVEL_4K)
		return false;
	if (executable)
		set_pte(pte, pte_clear_flags(*pte, _PAGE_NX));
	else
		set_pte(pte, pte_set_flags(*pte, _PAGE_NX));
	return true;
#else
	return false;
#endif
}

/* The warning is that of note_wx(), which the compiler may put into note_page(). */
static const char *check_and_announce(struct kunit *test, const char **seen)
{
	struct memsafe_report both = { .kind = "WARNING", .function = "note_page" };
	const char *answer;

	memsafe_report_watch(test, NULL);
	answer = check_wx_pages(test);
	*seen = memsafe_report_seen();
	if (strstr(*seen, "note_wx"))
		both.function = "note_wx";
	memsafe_announce(test, &both);
	return answer;
}

static void page_that_is_both_is_found(struct kunit *test)
{
	const char *answer, *seen;
	void *start;

	if (!IS_ENABLED(CONFIG_X86) || IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs lookup_address() (x86)");
	if (write_debugfs(test, "clear_warn_once", "1"))
		kunit_skip(test, "needs debugfs clear_warn_once");
	start = vmalloc(PAGE_SIZE);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, vfree_action, start));
	KUNIT_ASSERT_TRUE(test, make_executable(start, true));

	answer = check_and_announce(test, &seen);

	make_executable(start, false);
	KUNIT_EXPECT_TRUE_MSG(test, !strcmp(seen, "WARNING in note_page") ||
			      !strcmp(seen, "WARNING in note_wx"), "%s", seen);
	KUNIT_ASSERT_NOT_NULL(test, answer);
	KUNIT_EXPECT_STREQ(test, "FAILED", answer);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(no_page_is_writable_and_executable),
	KUNIT_CASE(page_that_is_both_is_found),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.init = open_check,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of W^X");
MODULE_LICENSE("GPL");
