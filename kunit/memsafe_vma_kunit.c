// SPDX-License-Identifier: GPL-2.0
/*
 * A VMA is what mmap() asked for; whatever is cut out of it, each page keeps its
 * offset into the file; ->open and ->close count the VMAs, each of which holds
 * the file; ->may_split has the last word (struct vm_area_struct, struct
 * vm_operations_struct; mm/vma.c).
 */
#include <kunit/test.h>
#include <linux/mm.h>

#include "memsafe_vma.h"

/* A part whose offset is not 0 by chance. */
enum { PGOFF = 2, LEN = 8 };

struct request {
	const char *name;
	unsigned long prot, sharing, flags;
};

/* Whether it can be executed is the mount's business. */
#define REQUEST_FLAGS \
	(VM_READ | VM_WRITE | VM_SHARED | VM_MAYREAD | VM_MAYWRITE | VM_MAYSHARE)
#define MAY		(VM_MAYREAD | VM_MAYWRITE)
#define MAY_SHARED	(MAY | VM_SHARED | VM_MAYSHARE)

static const struct request requests[] = {
	{ "shared none", PROT_NONE, MAP_SHARED, MAY_SHARED },
	{ "shared read", PROT_READ, MAP_SHARED, MAY_SHARED | VM_READ },
	{ "shared write", PROT_WRITE, MAP_SHARED, MAY_SHARED | VM_WRITE },
	{ "shared read and write", PROT_READ | PROT_WRITE, MAP_SHARED,
	  MAY_SHARED | VM_READ | VM_WRITE },
	{ "private none", PROT_NONE, MAP_PRIVATE, MAY },
	{ "private read", PROT_READ, MAP_PRIVATE, MAY | VM_READ },
	{ "private write", PROT_WRITE, MAP_PRIVATE, MAY | VM_WRITE },
	{ "private read and write", PROT_READ | PROT_WRITE, MAP_PRIVATE,
	  MAY | VM_READ | VM_WRITE },
};

static void request_to_desc(const struct request *request, char *desc)
{
	strscpy(desc, request->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(request, requests, request_to_desc);

static void vma_of_a_file_is_what_was_asked_for(struct kunit *test)
{
	const struct request *request = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	addr = map_file(test, PGOFF, LEN, request->prot, request->sharing);

	ASSERT_MAPPED(test, addr);
	EXPECT_FILE_VMA(test, mf, PGOFF, addr, 0, LEN);
	KUNIT_EXPECT_EQ(test, request->flags, view_vma(addr).flags & REQUEST_FLAGS);
	KUNIT_EXPECT_PTR_EQ(test, &mmap_file_vm_ops, view_vma(addr).ops);
}

static void anonymous_vma_has_its_address_for_an_offset(struct kunit *test)
{
	unsigned long addr = user_map(test, NULL, LEN * PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);
	struct vma_view vma;

	ASSERT_MAPPED(test, addr);
	vma = view_vma(addr);
	KUNIT_EXPECT_LE(test, vma.start, addr);
	KUNIT_EXPECT_GE(test, vma.end, addr + LEN * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, vma.start >> PAGE_SHIFT, vma.pgoff);
	KUNIT_EXPECT_EQ(test, MAY | VM_READ | VM_WRITE, vma.flags & REQUEST_FLAGS);
	KUNIT_EXPECT_NULL(test, vma.file);
	KUNIT_EXPECT_NULL(test, vma.ops);
}

/* Pages to cut out of a mapping, from `first` to before `last`. */
struct cut {
	const char *name;
	int first, last;
};

static const struct cut cuts[] = {
	{ "first page", 0, 1 },
	{ "lower half", 0, LEN / 2 },
	{ "page in the middle", 3, 4 },
	{ "all but the ends", 1, LEN - 1 },
	{ "upper half", LEN / 2, LEN },
	{ "last page", LEN - 1, LEN },
};

static void cut_to_desc(const struct cut *cut, char *desc)
{
	strscpy(desc, cut->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(cut, cuts, cut_to_desc);

static int cut_out(const struct cut *cut, unsigned long addr)
{
	return vm_munmap(addr + cut->first * PAGE_SIZE, (cut->last - cut->first) * PAGE_SIZE);
}

static unsigned long map_over(struct kunit *test, const struct cut *cut, unsigned long addr)
{
	return user_map_at(test, addr + cut->first * PAGE_SIZE, NULL,
			   (cut->last - cut->first) * PAGE_SIZE, PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0);
}

/* The pieces that remain are as they were, and they are all there is. */
#define EXPECT_REMAINS(test, mf, cut, addr) do {				\
	const int __pieces = ((cut)->first > 0) + ((cut)->last < LEN);		\
										\
	if ((cut)->first > 0)							\
		EXPECT_FILE_VMA(test, mf, PGOFF, addr, 0, (cut)->first);		\
	if ((cut)->last < LEN)							\
		EXPECT_FILE_VMA(test, mf, PGOFF, addr, (cut)->last, LEN);		\
	KUNIT_EXPECT_EQ(test, __pieces, count_vmas(mf));			\
	KUNIT_EXPECT_EQ(test, 1 + __pieces, file_count((mf)->file));		\
} while (0)

static void rest_after_munmap_keeps_its_offsets(struct kunit *test)
{
	const struct cut *cut = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	addr = map_file(test, PGOFF, LEN, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, 0, cut_out(cut, addr));

	EXPECT_REMAINS(test, mf, cut, addr);
	KUNIT_EXPECT_EQ(test, 0, view_vma(addr + cut->first * PAGE_SIZE).end);
	KUNIT_EXPECT_EQ(test, 0, view_vma(addr + cut->last * PAGE_SIZE - 1).end);
}

static void rest_around_a_fixed_mapping_keeps_its_offsets(struct kunit *test)
{
	const struct cut *cut = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	addr = map_file(test, PGOFF, LEN, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	ASSERT_MAPPED(test, map_over(test, cut, addr));

	EXPECT_REMAINS(test, mf, cut, addr);
	KUNIT_EXPECT_NULL(test, view_vma(addr + cut->first * PAGE_SIZE).file);
	KUNIT_EXPECT_NE(test, 0, view_vma(addr + cut->first * PAGE_SIZE).end);
}

static void each_vma_is_closed_once(struct kunit *test)
{
	const struct cut *cut = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	addr = map_file(test, PGOFF, LEN, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, 1, count_vmas(mf));
	KUNIT_ASSERT_EQ(test, 0, cut_out(cut, addr));
	KUNIT_EXPECT_GT(test, mf->closes, 0);

	KUNIT_EXPECT_EQ(test, 0, vm_munmap(addr, LEN * PAGE_SIZE));

	KUNIT_EXPECT_EQ(test, 1, mf->mmaps);
	KUNIT_EXPECT_EQ(test, 1 + mf->opens, mf->closes);
	KUNIT_EXPECT_EQ(test, 1, file_count(mf->file));
}

/* An errno that nobody else returns here. */
static int refuse_split(struct vm_area_struct *vma, unsigned long addr)
{
	struct mmap_file *mf = vma->vm_private_data;

	mf->addr = addr;
	return -EXDEV;
}

static const struct vm_operations_struct no_split_ops = {
	MMAP_FILE_VM_OPS,
	.may_split = refuse_split,
};

static void may_split_refuses_munmap_of_a_part(struct kunit *test)
{
	const struct cut *cut = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	mf->vm_ops = &no_split_ops;
	addr = map_file(test, PGOFF, LEN, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, -EXDEV, cut_out(cut, addr));

	KUNIT_EXPECT_EQ(test, addr + (cut->first ?: cut->last) * PAGE_SIZE, mf->addr);
	EXPECT_FILE_VMA(test, mf, PGOFF, addr, 0, LEN);
	KUNIT_EXPECT_EQ(test, 1, count_vmas(mf));
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(addr, LEN * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, count_vmas(mf));
}

static void may_split_refuses_a_fixed_mapping_over_a_part(struct kunit *test)
{
	const struct cut *cut = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	mf->vm_ops = &no_split_ops;
	addr = map_file(test, PGOFF, LEN, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_LT(test, (long)map_over(test, cut, addr), 0);

	EXPECT_FILE_VMA(test, mf, PGOFF, addr, 0, LEN);
	KUNIT_EXPECT_EQ(test, 1, count_vmas(mf));
}

static int refuse_mmap(struct mmap_file *mf, struct vm_area_struct *vma)
{
	return -EXDEV;
}

static void failed_mmap_is_neither_counted_nor_closed(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	const struct mm_struct *mm = current->mm;
	unsigned long vmas = mm->map_count, pages = mm->total_vm, addr;

	mf->mmap = refuse_mmap;

	addr = user_map(test, mf->file, LEN * PAGE_SIZE, PROT_READ, MAP_SHARED, 0);

	KUNIT_EXPECT_EQ(test, -EXDEV, (long)addr);
	KUNIT_EXPECT_EQ(test, 1, mf->mmaps);
	KUNIT_EXPECT_EQ(test, 0, view_vma(mf->addr).end);
	KUNIT_EXPECT_EQ(test, vmas, mm->map_count);
	KUNIT_EXPECT_EQ(test, pages, mm->total_vm);
	KUNIT_EXPECT_EQ(test, 0, mf->opens);
	KUNIT_EXPECT_EQ(test, 0, mf->closes);
	KUNIT_EXPECT_EQ(test, 1, file_count(mf->file));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(vma_of_a_file_is_what_was_asked_for, request_gen_params),
	KUNIT_CASE(anonymous_vma_has_its_address_for_an_offset),
	KUNIT_CASE_PARAM(rest_after_munmap_keeps_its_offsets, cut_gen_params),
	KUNIT_CASE_PARAM(rest_around_a_fixed_mapping_keeps_its_offsets, cut_gen_params),
	KUNIT_CASE_PARAM(each_vma_is_closed_once, cut_gen_params),
	KUNIT_CASE_PARAM(may_split_refuses_munmap_of_a_part, cut_gen_params),
	KUNIT_CASE_PARAM(may_split_refuses_a_fixed_mapping_over_a_part, cut_gen_params),
	KUNIT_CASE(failed_mmap_is_neither_counted_nor_closed),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_vma",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of VMAs: their fields and how they split");
MODULE_LICENSE("GPL");
