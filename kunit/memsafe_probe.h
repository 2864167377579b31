/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One access to one byte of kernel memory that may fault, unseen by the
 * sanitizer: 0 or the byte, or -EFAULT.
 */
#ifndef MEMSAFE_PROBE_H
#define MEMSAFE_PROBE_H

#include <kunit/test.h>
#include <linux/pgtable.h>
#include <linux/uaccess.h>

static noinline __maybe_unused __no_sanitize_address int probe_read(const void *from)
{
	u8 byte;

	pagefault_disable();
	__get_kernel_nofault(&byte, from, u8, fault);
	pagefault_enable();
	return byte;
fault:
	pagefault_enable();
	return -EFAULT;
}

static noinline __maybe_unused __no_sanitize_address int probe_write(void *to, u8 byte)
{
	pagefault_disable();
	__put_kernel_nofault(to, &byte, u8, fault);
	pagefault_enable();
	return 0;
fault:
	pagefault_enable();
	return -EFAULT;
}

/* Where an architecture defines none, it is PAGE_KERNEL. */
#define skip_without_read_only(test) do {					\
	if (pgprot_val(PAGE_KERNEL_RO) == pgprot_val(PAGE_KERNEL))		\
		kunit_skip(test, "needs PAGE_KERNEL_RO");			\
} while (0)

/* UML's nofault accesses are plain ones: a bad address is a panic. */
#define skip_without_probe(test) do {						\
	if (IS_ENABLED(CONFIG_UML))						\
		kunit_skip(test, "needs kernel accesses that may fault (not UML)"); \
} while (0)

#endif
