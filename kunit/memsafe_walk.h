/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the page tables that this CPU uses say of a virtual address, found by
 * walking them as the CPU does.  init_mm and walk_page_range() are not exported,
 * and neither tells what the levels above the leaf forbid.
 */
#ifndef MEMSAFE_WALK_H
#define MEMSAFE_WALK_H

#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/preempt.h>
#include <linux/sched.h>

/* Before v6.11 only architectures with huge PUDs had it. */
#ifndef pud_pfn
#define pud_pfn(pud) 0
#endif

/* The entry that ends a walk. */
enum { PTE_LEVEL = 1, PMD_LEVEL, PUD_LEVEL, P4D_LEVEL, PGD_LEVEL };

struct permissions {
	bool write;
	bool exec;
	bool user;
};

/**
 * struct walk - where an address leads
 * @mapped:	whether the walk ends in a leaf; if not, nothing else is valid but
 *		@level
 * @level:	of the entry that ends the walk
 * @leaf:	what the last entry allows
 * @all:	what all entries together allow
 * @entry:	the last entry
 * @phys:	the physical address
 */
struct walk {
	bool mapped;
	int level;
	struct permissions leaf;
	struct permissions all;
	u64 entry;
	phys_addr_t phys;
};

#if defined(CONFIG_UML) && !defined(MODULE)

#define CAN_WALK 1

static inline pgd_t *kernel_tables(void)
{
	return init_mm.pgd;
}

static inline struct permissions entry_permissions(u64 entry, bool is_leaf)
{
	/* The host knows what is executable. */
	return (struct permissions){
		.write = entry & _PAGE_RW, .exec = true, .user = entry & _PAGE_USER,
	};
}

#elif defined(CONFIG_X86) && !defined(CONFIG_UML)

#define CAN_WALK 1

static inline pgd_t *kernel_tables(void)
{
	return __va(read_cr3_pa());
}

static inline struct permissions entry_permissions(u64 entry, bool is_leaf)
{
	return (struct permissions){
		.write = entry & _PAGE_RW,
		.exec = !(entry & _PAGE_NX),
		.user = entry & _PAGE_USER,
	};
}

#elif defined(CONFIG_ARM_LPAE)

#define CAN_WALK 1

#include <asm/proc-fns.h>

/* TTBR1 is swapper_pg_dir, or where in it the last GiB begins if it has only that. */
static inline pgd_t *kernel_tables(void)
{
	phys_addr_t tables = cpu_get_ttbr(1) & PHYS_MASK & PAGE_MASK;

	if (TTBR1_SIZE && (cpu_get_ttbcr() & TTBR1_SIZE))
		tables -= TTBR1_OFFSET & PAGE_MASK;
	return phys_to_virt(tables);
}

/*
 * Tables restrict what is below them: APTable[1:0], XNTable and PXNTable.  For the
 * kernel PXN is as good as XN; it is set in every page of user space.
 */
static inline struct permissions entry_permissions(u64 entry, bool is_leaf)
{
	u64 read_only = is_leaf ? PMD_SECT_AP2 : BIT_ULL(62);
	u64 no_exec = is_leaf ? L_PTE_XN : BIT_ULL(60) | PMD_PXNTABLE;

	if (is_leaf && !(entry & L_PTE_USER))
		no_exec |= PTE_EXT_PXN;

	return (struct permissions){
		.write = !(entry & read_only),
		.exec = !(entry & no_exec),
		.user = is_leaf ? !!(entry & L_PTE_USER) : !(entry & BIT_ULL(61)),
	};
}

#else

#define CAN_WALK 0

static inline pgd_t *kernel_tables(void)
{
	return NULL;
}

static inline struct permissions entry_permissions(u64 entry, bool is_leaf)
{
	return (struct permissions){};
}

#endif

#define skip_without_walk(test) do {						\
	if (!CAN_WALK)								\
		kunit_skip(test, "needs a known root of the kernel's page tables"); \
} while (0)

/* Go through one entry of the given level; true if the walk goes on below it. */
static inline bool walk_entry(struct walk *walk, int level, u64 entry, bool present,
			      bool is_leaf)
{
	walk->level = level;
	walk->entry = entry;
	walk->mapped = present && is_leaf;
	if (!present)
		return false;
	/* The four entries at the top of PAE allow everything: they have no such bits. */
	if (IS_ENABLED(CONFIG_X86_PAE) && level > PMD_LEVEL)
		return true;
	walk->leaf = entry_permissions(entry, is_leaf);
	walk->all.write &= walk->leaf.write;
	walk->all.exec &= walk->leaf.exec;
	walk->all.user &= walk->leaf.user;
	return !is_leaf;
}

static inline phys_addr_t leaf_phys(unsigned long pfn, unsigned long addr, unsigned long size)
{
	return ((phys_addr_t)pfn << PAGE_SHIFT) + (addr & (size - 1));
}

static inline struct walk walk_from(pgd_t *tables, unsigned long addr)
{
	struct walk walk = { .all = { .write = true, .exec = true, .user = true } };
	pgd_t *pgd = pgd_offset_pgd(tables, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;
	pte_t *table, pte;

	if (!walk_entry(&walk, PGD_LEVEL, pgd_val(*pgd), pgd_present(*pgd), false))
		return walk;

	p4d = p4d_offset(pgd, addr);
	if (!walk_entry(&walk, P4D_LEVEL, p4d_val(*p4d), p4d_present(*p4d), false))
		return walk;

	pud = pud_offset(p4d, addr);
	if (!walk_entry(&walk, PUD_LEVEL, pud_val(*pud), pud_present(*pud), pud_leaf(*pud))) {
		if (walk.mapped)
			walk.phys = leaf_phys(pud_pfn(*pud), addr, PUD_SIZE);
		return walk;
	}

	pmd = pmd_offset(pud, addr);
	if (!walk_entry(&walk, PMD_LEVEL, pmd_val(*pmd), pmd_present(*pmd), pmd_leaf(*pmd))) {
		if (walk.mapped)
			walk.phys = leaf_phys(pmd_pfn(*pmd), addr, PMD_SIZE);
		return walk;
	}

	/* CONFIG_HIGHPTE: of user memory it may have no address of its own. */
	table = kmap_local_page(pmd_page(*pmd));
	pte = table[pte_index(addr)];
	kunmap_local(table);
	walk_entry(&walk, PTE_LEVEL, pte_val(pte), pte_present(pte), true);
	walk.phys = leaf_phys(pte_pfn(pte), addr, PAGE_SIZE);
	return walk;
}

/* Where a kernel address leads on this CPU. */
static inline struct walk walk_kernel(const void *addr)
{
	struct walk walk;

	/* A kernel thread's tables are borrowed, and can go when it sleeps. */
	preempt_disable();
	walk = walk_from(kernel_tables(), (unsigned long)addr);
	preempt_enable();
	return walk;
}

/* Where a user address of the current process leads. */
static inline struct walk walk_user(unsigned long addr)
{
	struct walk walk;

	mmap_read_lock(current->mm);
	walk = walk_from(current->mm->pgd, addr);
	mmap_read_unlock(current->mm);
	return walk;
}

#endif
