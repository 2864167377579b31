// SPDX-License-Identifier: GPL-2.0
/*
 * The handlers beside ->fault: ->huge_fault is asked first where there is room
 * for a huge page, ->map_pages before a read fault and for pages of the mapping
 * only, ->pfn_mkwrite before the first write to a bare pfn; what one of them has
 * settled costs no further fault, what it leaves goes to ->fault (struct
 * vm_operations_struct in include/linux/mm.h).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pfn_t.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>

#include "memsafe_block.h"
#include "memsafe_mmap_file.h"

/* A byte inside a page: handlers are told the page only. */
enum { INSIDE = 123 };

/* What a case wants of the handlers, and what they saw. */
struct calls {
	int faults, huge_faults, map_pages, mkwrites;
	unsigned long pgoff, address;	/* of the last huge_fault or pfn_mkwrite */
	unsigned int flags;
	pgoff_t first, last;		/* that map_pages was to map */
	struct page *huge;		/* for huge_fault; NULL to fall back */
	struct file *cache;		/* whose pages are mapped, if it is not NULL */
	vm_fault_t answer;		/* of pfn_mkwrite, so many times */
	int answers;
};

static struct calls *calls_in(struct mmap_file *mf)
{
	return (struct calls *)mf->arg;
}

static struct calls *calls_of(struct vm_fault *vmf)
{
	return calls_in(vmf->vma->vm_private_data);
}

static vm_fault_t insert_page_of_file(struct vm_fault *vmf)
{
	struct mmap_file *mf = vmf->vma->vm_private_data;

	calls_of(vmf)->faults++;
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      page_to_pfn(mf->pages[vmf->pgoff % NPAGES]));
}

static int set_pfnmap(struct mmap_file *mf, struct vm_area_struct *vma)
{
	/* VM_HUGEPAGE: whatever the default of the kernel is. */
	vm_flags_set(vma, VM_PFNMAP | (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) ?
				       VM_HUGEPAGE : 0));
	return 0;
}

/* Macro, since it asserts. */
#define expect_calls(test, ops) ({						\
	struct calls *__calls = kunit_kzalloc(test, sizeof(*__calls), GFP_KERNEL); \
	struct mmap_file *__mf = give_pages(test);				\
										\
	KUNIT_ASSERT_NOT_NULL(test, __calls);					\
	KUNIT_ASSERT_NOT_NULL(test, __mf);					\
	__mf->arg = __calls;							\
	__mf->vm_ops = ops;							\
	__calls;								\
})

/* Handlers know huge pages of any size from v6.6 on; before, drivers' were not asked. */
#if defined(CONFIG_TRANSPARENT_HUGEPAGE) && LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define skip_without_huge_faults(test) do { } while (0)

static vm_fault_t insert_huge_page(struct vm_fault *vmf, unsigned int order)
{
	struct calls *calls = calls_of(vmf);

	/* Larger ones are asked for first, where the architecture has them. */
	if (order != PMD_SHIFT - PAGE_SHIFT)
		return VM_FAULT_FALLBACK;
	calls->huge_faults++;
	calls->pgoff = vmf->pgoff;
	calls->address = vmf->address;
	calls->flags = vmf->flags;
	if (!calls->huge)
		return VM_FAULT_FALLBACK;
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(page_to_pfn(calls->huge), PFN_DEV),
				  vmf->flags & FAULT_FLAG_WRITE);
}

static const struct vm_operations_struct huge_ops = {
	MMAP_FILE_VM_OPS,
	.huge_fault = insert_huge_page,
	.fault = insert_page_of_file,
};
#else
#define skip_without_huge_faults(test)						\
	kunit_skip(test, "needs CONFIG_TRANSPARENT_HUGEPAGE=y and v6.6")

static const struct vm_operations_struct huge_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_page_of_file,
};
#endif

/* As long and as aligned as one huge page. */
static unsigned long map_room_for_huge_page(struct kunit *test)
{
	enum { ROOM = 2 };
	struct mmap_file *mf = test->priv;
	unsigned long room = user_map(test, NULL, ROOM * PMD_SIZE, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);

	if (IS_ERR_VALUE(room))
		return room;
	mf->mmap = set_pfnmap;
	return user_map_at(test, ALIGN(room, PMD_SIZE), mf->file, PMD_SIZE,
			   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, 0);
}

static void huge_fault_that_falls_back_is_followed_by_fault(struct kunit *test)
{
	struct calls *calls;
	unsigned long addr;

	skip_without_huge_faults(test);
	calls = expect_calls(test, &huge_ops);
	addr = map_room_for_huge_page(test);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, page_byte(3), user_peek(addr + 3 * PAGE_SIZE + INSIDE));

	KUNIT_EXPECT_EQ(test, 1, calls->huge_faults);
	KUNIT_EXPECT_EQ(test, 1, calls->faults);
	KUNIT_EXPECT_EQ(test, 3, calls->pgoff);
	KUNIT_EXPECT_EQ(test, addr + 3 * PAGE_SIZE, calls->address);
	KUNIT_EXPECT_FALSE(test, calls->flags & FAULT_FLAG_WRITE);

	/* There is a table now, and no room for a huge page. */
	KUNIT_EXPECT_EQ(test, page_byte(4), user_peek(addr + 4 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 1, calls->huge_faults);
	KUNIT_EXPECT_EQ(test, 2, calls->faults);
	vm_munmap(addr, PMD_SIZE);
}

static void huge_page_inserted_costs_no_further_fault(struct kunit *test)
{
	struct calls *calls;
	struct block *block;
	unsigned long addr;

	skip_without_huge_faults(test);
	calls = expect_calls(test, &huge_ops);
	block = alloc_block(test, GFP_KERNEL | __GFP_ZERO, PMD_SHIFT - PAGE_SHIFT);
	KUNIT_ASSERT_NOT_NULL(test, block);
	calls->huge = block->page;
	addr = map_room_for_huge_page(test);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE + INSIDE, 'Z'));

	KUNIT_EXPECT_TRUE(test, calls->flags & FAULT_FLAG_WRITE);
	KUNIT_EXPECT_EQ(test, 'Z', page_peek(nth_page(block->page, 1), INSIDE));
	KUNIT_EXPECT_EQ(test, 'Z', user_peek(addr + PAGE_SIZE + INSIDE));
	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PMD_SIZE - 1, 'Y'));
	KUNIT_EXPECT_EQ(test, 'Y', page_peek(nth_page(block->page, (PMD_SIZE >> PAGE_SHIFT) - 1),
					     PAGE_SIZE - 1));
	KUNIT_EXPECT_EQ(test, 1, calls->huge_faults);
	KUNIT_EXPECT_EQ(test, 0, calls->faults);

	vm_munmap(addr, PMD_SIZE);
	KUNIT_EXPECT_EQ(test, -EFAULT, user_peek(addr));
	KUNIT_EXPECT_EQ(test, 1, page_count(block->page));
}

static vm_fault_t map_cached_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct calls *calls = calls_of(vmf);

	calls->map_pages++;
	calls->first = first;
	calls->last = last;
	return filemap_map_pages(vmf, first, last);
}

static vm_fault_t map_no_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	calls_of(vmf)->map_pages++;
	return 0;
}

static vm_fault_t fault_cached_page(struct vm_fault *vmf)
{
	calls_of(vmf)->faults++;
	return filemap_fault(vmf);
}

/* The VMA holds the file of its pages instead of the one that has the handlers. */
static void close_cache_vma(struct vm_area_struct *vma)
{
	struct mmap_file *mf = vma->vm_private_data;

	mmap_file_vm_close(vma);
	fput(mf->file);
}

static int map_page_cache(struct mmap_file *mf, struct vm_area_struct *vma)
{
	get_file(mf->file);
	vma_set_file(vma, calls_in(mf)->cache);
	return 0;
}

static const struct vm_operations_struct cache_ops = {
	.close = close_cache_vma,
	.fault = fault_cached_page,
	.map_pages = map_cached_pages,
};

static const struct vm_operations_struct map_no_pages_ops = {
	.close = close_cache_vma,
	.fault = fault_cached_page,
	.map_pages = map_no_pages,
};

static void fput_action(void *file)
{
	fput(file);
}

/* Page i of the page cache holds page_byte(i); 0 or -errno. */
static int give_page_cache(struct kunit *test, struct calls *calls)
{
	struct file *cache = shmem_file_setup("memsafe", NPAGES * PAGE_SIZE, VM_NORESERVE);
	int i, err;

	if (IS_ERR(cache))
		return PTR_ERR(cache);
	err = kunit_add_action_or_reset(test, fput_action, cache);
	if (err)
		return err;
	calls->cache = cache;
	for (i = 0; i < NPAGES; i++) {
		u8 byte = page_byte(i);
		loff_t pos = i * PAGE_SIZE + INSIDE;

		if (kernel_write(cache, &byte, 1, &pos) != 1)
			return -EIO;
	}
	return 0;
}

/* Inside what is by default mapped around a fault: 64 KiB, aligned. */
static unsigned long map_cache(struct kunit *test, unsigned long pgoff, unsigned long npages,
			       unsigned long prot, unsigned long sharing)
{
	struct mmap_file *mf = test->priv;
	unsigned long room = user_map(test, NULL, 2 * SZ_64K, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);

	if (IS_ERR_VALUE(room))
		return room;
	mf->mmap = map_page_cache;
	return user_map_at(test, ALIGN(room, SZ_64K) + PAGE_SIZE, mf->file, npages * PAGE_SIZE,
			   prot, sharing | MAP_FIXED, pgoff * PAGE_SIZE);
}

static void pages_mapped_around_a_fault_cost_no_fault(struct kunit *test)
{
	struct calls *calls = expect_calls(test, &cache_ops);
	unsigned long addr, i;

	KUNIT_ASSERT_EQ(test, 0, give_page_cache(test, calls));
	addr = map_cache(test, 0, NPAGES, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, page_byte(3), user_peek(addr + 3 * PAGE_SIZE + INSIDE));

	KUNIT_EXPECT_EQ(test, 1, calls->map_pages);
	for (i = 0; i < NPAGES; i++)
		KUNIT_EXPECT_EQ_MSG(test, page_byte(i), user_peek(addr + i * PAGE_SIZE + INSIDE),
				    "page %lu", i);
	KUNIT_EXPECT_EQ(test, 1, calls->map_pages);
	KUNIT_EXPECT_EQ(test, 0, calls->faults);
}

static void map_pages_is_asked_for_pages_of_the_mapping_only(struct kunit *test)
{
	struct calls *calls = expect_calls(test, &cache_ops);
	unsigned long addr;

	KUNIT_ASSERT_EQ(test, 0, give_page_cache(test, calls));
	addr = map_cache(test, 2, 4, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, page_byte(3), user_peek(addr + PAGE_SIZE + INSIDE));

	KUNIT_EXPECT_EQ(test, 2, calls->first);
	KUNIT_EXPECT_EQ(test, 5, calls->last);
	EXPECT_NO_PAGE(test, addr - PAGE_SIZE);
	EXPECT_NO_PAGE(test, addr + 4 * PAGE_SIZE);
}

static void page_that_map_pages_leaves_goes_to_fault(struct kunit *test)
{
	struct calls *calls = expect_calls(test, &map_no_pages_ops);
	unsigned long addr;

	KUNIT_ASSERT_EQ(test, 0, give_page_cache(test, calls));
	addr = map_cache(test, 0, NPAGES, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, page_byte(3), user_peek(addr + 3 * PAGE_SIZE + INSIDE));

	KUNIT_EXPECT_EQ(test, 1, calls->map_pages);
	KUNIT_EXPECT_EQ(test, 1, calls->faults);
	KUNIT_EXPECT_FALSE(test, user_pte(addr + 2 * PAGE_SIZE).present);
}

struct sharing {
	const char *name;
	unsigned long flag;
};

static const struct sharing sharings[] = {
	{ "shared", MAP_SHARED },
	{ "private", MAP_PRIVATE },
};

static void sharing_to_desc(const struct sharing *sharing, char *desc)
{
	strscpy(desc, sharing->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(sharing, sharings, sharing_to_desc);

static void write_fault_maps_nothing_around_it(struct kunit *test)
{
	const struct sharing *sharing = test->param_value;
	struct calls *calls = expect_calls(test, &cache_ops);
	unsigned long addr;

	KUNIT_ASSERT_EQ(test, 0, give_page_cache(test, calls));
	addr = map_cache(test, 0, NPAGES, PROT_READ | PROT_WRITE, sharing->flag);
	ASSERT_MAPPED(test, addr);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + 3 * PAGE_SIZE + INSIDE, 'Z'));

	KUNIT_EXPECT_EQ(test, 0, calls->map_pages);
	KUNIT_EXPECT_EQ(test, 1, calls->faults);
	KUNIT_EXPECT_EQ(test, 'Z', user_peek(addr + 3 * PAGE_SIZE + INSIDE));
	KUNIT_EXPECT_FALSE(test, user_pte(addr + 2 * PAGE_SIZE).present);
	KUNIT_EXPECT_FALSE(test, user_pte(addr + 4 * PAGE_SIZE).present);
}

static vm_fault_t answer_mkwrite(struct vm_fault *vmf)
{
	struct calls *calls = calls_of(vmf);

	calls->mkwrites++;
	calls->pgoff = vmf->pgoff;
	calls->address = vmf->address;
	calls->flags = vmf->flags;
	return calls->answers-- > 0 ? calls->answer : 0;
}

static const struct vm_operations_struct mkwrite_ops = {
	MMAP_FILE_VM_OPS,
	.fault = insert_page_of_file,
	.pfn_mkwrite = answer_mkwrite,
};

/* A mapping whose page 1 has been read. */
static unsigned long map_and_read(struct kunit *test)
{
	struct mmap_file *mf = test->priv;
	unsigned long addr;

	mf->mmap = set_pfnmap;
	addr = map_file(test, 0, NPAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (!IS_ERR_VALUE(addr))
		user_peek(addr + PAGE_SIZE);
	return addr;
}

static void first_write_to_a_pfn_asks_pfn_mkwrite_once(struct kunit *test)
{
	struct calls *calls = expect_calls(test, &mkwrite_ops);
	unsigned long addr = map_and_read(test);

	ASSERT_MAPPED(test, addr);
	KUNIT_EXPECT_EQ(test, 0, calls->mkwrites);

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE + INSIDE, 'Y'));
	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE + INSIDE, 'Z'));

	KUNIT_EXPECT_EQ(test, 1, calls->mkwrites);
	KUNIT_EXPECT_EQ(test, 1, calls->pgoff);
	KUNIT_EXPECT_EQ(test, addr + PAGE_SIZE, calls->address);
	KUNIT_EXPECT_TRUE(test, calls->flags & FAULT_FLAG_MKWRITE);
	KUNIT_EXPECT_TRUE(test, calls->flags & FAULT_FLAG_WRITE);
}

static void error_of_pfn_mkwrite_fails_the_write_only(struct kunit *test)
{
	struct calls *calls = expect_calls(test, &mkwrite_ops);
	struct mmap_file *mf = test->priv;
	unsigned long addr = map_and_read(test);

	ASSERT_MAPPED(test, addr);
	calls->answer = VM_FAULT_SIGBUS;
	calls->answers = 1;

	KUNIT_EXPECT_EQ(test, -EFAULT, user_poke(addr + PAGE_SIZE, 'Z'));

	KUNIT_EXPECT_EQ(test, 1, calls->mkwrites);
	KUNIT_EXPECT_FALSE(test, user_pte(addr + PAGE_SIZE).writable);
	EXPECT_PAGE(test, mf, 1, addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE, 'Z'));
	KUNIT_EXPECT_EQ(test, 'Z', page_peek(mf->pages[1], 0));
}

static void nopage_of_pfn_mkwrite_repeats_the_write(struct kunit *test)
{
	enum { TIMES = 3 };
	struct mmap_file *mf = test->priv;
	struct calls *calls;
	unsigned long addr;

	skip_without_write_protection(test);
	calls = expect_calls(test, &mkwrite_ops);
	addr = map_and_read(test);
	ASSERT_MAPPED(test, addr);
	calls->answer = VM_FAULT_NOPAGE;
	calls->answers = TIMES;

	KUNIT_EXPECT_EQ(test, 0, user_poke(addr + PAGE_SIZE, 'Z'));

	KUNIT_EXPECT_EQ(test, TIMES + 1, calls->mkwrites);
	KUNIT_EXPECT_EQ(test, 'Z', page_peek(mf->pages[1], 0));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(huge_fault_that_falls_back_is_followed_by_fault),
	KUNIT_CASE(huge_page_inserted_costs_no_further_fault),
	KUNIT_CASE(pages_mapped_around_a_fault_cost_no_fault),
	KUNIT_CASE(map_pages_is_asked_for_pages_of_the_mapping_only),
	KUNIT_CASE(page_that_map_pages_leaves_goes_to_fault),
	KUNIT_CASE_PARAM(write_fault_maps_nothing_around_it, sharing_gen_params),
	KUNIT_CASE(first_write_to_a_pfn_asks_pfn_mkwrite_once),
	KUNIT_CASE(error_of_pfn_mkwrite_fails_the_write_only),
	KUNIT_CASE(nopage_of_pfn_mkwrite_repeats_the_write),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_fault_hook",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of huge_fault, map_pages and pfn_mkwrite");
MODULE_LICENSE("GPL");
