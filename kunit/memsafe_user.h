/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User memory of the running case: mapped, accessed as copy_from_user() does,
 * and looked up in the page table.
 */
#ifndef MEMSAFE_USER_H
#define MEMSAFE_USER_H

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/percpu_counter.h>
#include <linux/uaccess.h>
#include <linux/version.h>

/*
 * After a fault that the handler has settled itself (VM_FAULT_NOPAGE), UML looks
 * whether the PTE is present, not whether it is writable: maybe_map() in
 * arch/um/kernel/skas/uaccess.c.  A copy_to_user() then writes through a
 * read-only PTE.  These cases found it.
 */
#define skip_without_write_protection(test) do {				\
	if (IS_ENABLED(CONFIG_UML))						\
		kunit_skip(test, "needs kernel writes that stop at a read-only PTE (not UML)"); \
} while (0)

/* An address, or -errno as one; freed with the mm of the test. */
static inline unsigned long user_map_at(struct kunit *test, unsigned long addr,
					struct file *file, unsigned long len,
					unsigned long prot, unsigned long flags,
					unsigned long offset)
{
	return kunit_vm_mmap(test, file, addr, len, prot, flags, offset);
}

static inline unsigned long user_map(struct kunit *test, struct file *file,
				     unsigned long len, unsigned long prot,
				     unsigned long flags, unsigned long offset)
{
	return user_map_at(test, 0, file, len, prot, flags, offset);
}

/* One byte of user memory: its value, or -EFAULT. */
static inline int user_peek(unsigned long addr)
{
	u8 value;

	return get_user(value, (u8 __user *)addr) ?: value;
}

/* 0 or -EFAULT. */
static inline int user_poke(unsigned long addr, u8 value)
{
	return put_user(value, (u8 __user *)addr);
}

/* What the page table says of one address; all zero where it has nothing. */
struct user_pte {
	bool present;
	bool writable;
	unsigned long pfn;
};

static inline int copy_user_pte(pte_t *ptep, unsigned long addr, void *data)
{
	struct user_pte *out = data;
	pte_t pte = ptep_get(ptep);

	if (!pte_present(pte))
		return 0;
	*out = (struct user_pte){
		.present = true,
		.writable = pte_write(pte),
		.pfn = pte_pfn(pte),
	};
	return 0;
}

/* For callers that hold the mmap lock, such as an ->mmap. */
static inline struct user_pte user_pte_locked(unsigned long addr)
{
	struct user_pte pte = {};

	apply_to_existing_page_range(current->mm, addr & PAGE_MASK, PAGE_SIZE,
				     copy_user_pte, &pte);
	return pte;
}

static inline struct user_pte user_pte(unsigned long addr)
{
	struct user_pte pte;

	mmap_read_lock(current->mm);
	pte = user_pte_locked(addr);
	mmap_read_unlock(current->mm);
	return pte;
}

/* How many PTEs map a page, whatever it is a part of. */
static inline int page_maps(struct page *page)
{
	return atomic_read(&page->_mapcount) + 1;
}

/* How many pages of a kind, MM_FILEPAGES or MM_ANONPAGES, this mm has mapped. */
static inline long user_pages(int kind)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return percpu_counter_sum(&current->mm->rss_stat[kind]);
#else
	long nr = atomic_long_read(&current->mm->rss_stat.count[kind]);

	/* Part of the count may still wait in the task. */
#ifdef SPLIT_RSS_COUNTING
	nr += current->rss_stat.count[kind];
#endif
	return nr;
#endif
}

#endif
