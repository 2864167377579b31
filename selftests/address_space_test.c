// SPDX-License-Identifier: GPL-2.0
/*
 * The address space of a process: what each part of a program may be used for,
 * a stack that grows down, vdso, vvar and vsyscall, 47 bits unless more are
 * asked for, and more virtual memory than there is of the other kind. The heap
 * is in brk_test.c, what /proc says in proc_maps_test.c.
 */
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <time.h>

#include "memsafe.h"

static const unsigned char constants[64] = { 1, 2, 3 };
static unsigned char data[64] = { 1, 2, 3 };
static unsigned char bss[3 * 65536];

/* The permissions in maps, "" where nothing is mapped. */
static const char *perms_of(const volatile void *p)
{
	static struct vma vma;

	return find_vma(p, &vma) ? vma.perms : "";
}

extern const ElfW(Ehdr) __ehdr_start;

/* What the program header that @p is under asks for; 0: none. */
static unsigned int flags_in_elf(const void *p)
{
	const ElfW(Ehdr) *ehdr = &__ehdr_start;
	const ElfW(Phdr) *phdr = (void *)((char *)ehdr + ehdr->e_phoff);
	uintptr_t base = ehdr->e_type == ET_DYN ? (uintptr_t)ehdr : 0;

	for (int i = 0; i < ehdr->e_phnum; i++)
		if (phdr[i].p_type == PT_LOAD &&
		    (uintptr_t)p - base - phdr[i].p_vaddr < phdr[i].p_memsz)
			return phdr[i].p_flags;
	return 0;
}

static __attribute__((noinline)) int function_of_this_program(void)
{
	return getpid() ? 7 : 8;
}

TEST(text_is_readable_and_executable_only)
{
	unsigned char *p = (unsigned char *)(uintptr_t)function_of_this_program;
	unsigned char before = *p;

	EXPECT_STREQ("r-xp", perms_of(p));
	EXPECT_EQ(7, function_of_this_program());

	ACT_PROBE();
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_EQ(before, *p);
}

/* Some linkers put them next to the text. */
TEST(constants_are_not_writable)
{
	unsigned char *p = (unsigned char *)constants;
	bool exec = flags_in_elf(p) & PF_X;

	EXPECT_EQ(PF_R, flags_in_elf(p) & (PF_R | PF_W));
	EXPECT_STREQ(exec ? "r-xp" : "r--p", perms_of(p));

	ACT_PROBE();
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_EQ(2, peek(p + 1));
	if (!exec)
		EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_exec(p));
}

TEST(data_is_as_in_the_file_and_not_executable)
{
	EXPECT_STREQ("rw-p", perms_of(data));
	EXPECT_EQ(3, data[2]);

	ACT_PROBE();
	EXPECT_TRUE(poke(data + 2, 9));
	EXPECT_EQ(9, data[2]);
	put_return(data);
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, data, probe_exec(data));
}

static int read_own_program(size_t at)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	unsigned char byte;
	bool read = pread(fd, &byte, 1, at) == 1;

	close(fd);
	return read ? byte : -1;
}

/* Private: the program on the disk is not what it does to its data. */
TEST(data_is_a_copy_of_the_file)
{
	struct vma vma;
	size_t at;

	ASSERT_TRUE(find_vma(data, &vma));
	at = (uintptr_t)(data + 1) - vma.start + vma.offset;
	ASSERT_EQ(2, data[1]);

	ACT_PROBE();
	EXPECT_TRUE(poke(data + 1, 9));
	EXPECT_EQ(9, data[1]);
	if (vma.inode)
		EXPECT_EQ(2, read_own_program(at));
}

TEST(bss_is_zero_and_not_executable)
{
	size_t middle = sizeof(bss) / 2;

	EXPECT_STREQ("rw-p", perms_of(bss + middle));
	EXPECT_EQ(sizeof(bss), first_nonzero(bss, sizeof(bss)));

	ACT_PROBE();
	EXPECT_TRUE(poke(bss + middle, 7));
	EXPECT_EQ(7, bss[middle]);
	put_return(bss + middle);
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, bss + middle,
		     probe_exec(bss + middle));
}

static __attribute__((noinline)) uintptr_t frame_of_callee(void)
{
	volatile unsigned char local = 0;

	return (uintptr_t)&local;
}

TEST(stack_grows_down_and_is_not_executable)
{
	unsigned char local[64];
	struct vma vma;

	ASSERT_TRUE(find_vma(local, &vma));
	EXPECT_STREQ("[stack]", vma.name);
	EXPECT_STREQ("rw-p", vma.perms);
	EXPECT_TRUE(has_vm_flag(local, "gd"));
	EXPECT_GT((uintptr_t)local, frame_of_callee());

	ACT_PROBE();
	put_return(local);
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, local, probe_exec(local));
}

/* Text below data below the heap, below the stack. */
TEST(parts_are_in_their_order)
{
	uintptr_t text = (uintptr_t)function_of_this_program;
	unsigned char local;
	uintptr_t heap;

	EXPECT_LT(text, (uintptr_t)data);
	EXPECT_LT((uintptr_t)data, (uintptr_t)bss);

	ACT(brk);
	heap = syscall(__NR_brk, NULL);
	EXPECT_LT((uintptr_t)bss, heap);
	EXPECT_LT(heap, (uintptr_t)&local);
}

TEST(vdso_is_an_elf_image_that_can_not_be_written)
{
	unsigned char *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	struct vma vma;

	if (!vdso)
		SKIP(return, "needs a vdso");
	ASSERT_TRUE(find_named_vma("[vdso]", &vma));
	EXPECT_EQ((uintptr_t)vdso, vma.start);
	EXPECT_STREQ("r-xp", vma.perms);

	ACT_PROBE();
	EXPECT_EQ(0, memcmp(vdso, "\177ELF", 4));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, vdso, probe_write(vdso));
}

/* What the kernel keeps there is everybody's. */
TEST(vvar_can_not_be_made_writable)
{
	struct vma vma;
	void *vvar;

	if (!find_named_vma("[vvar]", &vma))
		SKIP(return, "needs a vvar page");
	vvar = (void *)vma.start;
	EXPECT_STREQ("r--p", vma.perms);

	ACT(mprotect);
	EXPECT_ERRNO(EACCES, mprotect(vvar, vma.end - vma.start, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, vvar, probe_write(vvar));
}

#ifdef __x86_64__
#define VSYSCALL 0xffffffffff600000
#define VSYSCALL_TIME (VSYSCALL + 1024)

static void call_vsyscall_time(void *arg)
{
	time_t (*vsyscall_time)(time_t *) = (void *)VSYSCALL_TIME;

	*(time_t *)arg = vsyscall_time(NULL);
}
#endif

/* Documentation/admin-guide/kernel-parameters.txt, "vsyscall=" */
TEST(vsyscall_is_what_its_mode_says)
{
#ifdef __x86_64__
	unsigned char *p = (unsigned char *)VSYSCALL;
	bool there, readable;
	time_t before = time(NULL), now = 0;
	struct vma vma;
	struct fault f;

	there = find_named_vma("[vsyscall]", &vma);
	readable = there && vma.perms[0] == 'r';

	ACT_PROBE();
	f = probe_write(p);
	EXPECT_EQ(SIGSEGV, f.signal);
	f = probe_read(p);
	EXPECT_EQ(readable ? 0 : SIGSEGV, f.signal);
	f = probe(call_vsyscall_time, &now);
	EXPECT_EQ(there ? 0 : SIGSEGV, f.signal);
	EXPECT_EQ(there, now >= before);
	f = probe_exec(p + 8);
	EXPECT_EQ(SIGSEGV, f.signal);
#else
	SKIP(return, "needs x86_64");
#endif
}

#ifdef __x86_64__
static bool cpu_has(const char *flag)
{
	/* Longer than a line_reader's: the flags are one line. */
	char buf[8192];
	int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	char *word, *rest = buf;
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += got;
	close(fd);
	buf[len] = 0;
	while ((word = strsep(&rest, " \n")))
		if (!strcmp(word, flag))
			return true;
	return false;
}

#define BITS_47 ((uintptr_t)1 << 47)

static unsigned char *map_hinted(uintptr_t hint)
{
	return mmap((void *)hint, page_size(), PROT_RW,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
#endif

TEST(addresses_have_47_bits_unless_a_hint_says_more)
{
#ifdef __x86_64__
	unsigned char *p;

	ACT(mmap);
	p = map_hinted(0);
	ASSERT_MAPPED(p, page_size());
	EXPECT_GT(BITS_47, (uintptr_t)p);
	p = map_hinted(BITS_47 - (1 << 21));
	ASSERT_MAPPED(p, page_size());
	EXPECT_GT(BITS_47, (uintptr_t)p);
#else
	SKIP(return, "needs x86_64");
#endif
}

/* Documentation/arch/x86/x86_64/5level-paging.rst */
TEST(hint_above_47_bits_gives_such_an_address_with_5_levels)
{
#ifdef __x86_64__
	unsigned char *low, *high;

	if (!cpu_has("la57"))
		SKIP(return, "needs a CPU with la57 and CONFIG_X86_5LEVEL=y");

	ACT(mmap);
	high = map_hinted(BITS_47 << 2);
	ASSERT_MAPPED(high, page_size());
	EXPECT_LE(BITS_47, (uintptr_t)high);

	/* An address that differs only in the bits above is another one. */
	low = mmap((void *)((uintptr_t)high & (BITS_47 - 1)), page_size(),
		   PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_TRUE(poke(high, 7));
	EXPECT_EQ(0, peek(low));
	EXPECT_TRUE(poke(low, 8));
	EXPECT_EQ(7, peek(high));
#else
	SKIP(return, "needs x86_64");
#endif
}

TEST(hint_above_47_bits_is_ignored_with_4_levels)
{
#ifdef __x86_64__
	unsigned char *p;

	if (cpu_has("la57"))
		SKIP(return, "needs 4 levels of page tables");

	ACT(mmap);
	p = map_hinted(BITS_47 << 2);
	ASSERT_MAPPED(p, page_size());
	EXPECT_GT(BITS_47, (uintptr_t)p);
#else
	SKIP(return, "needs x86_64");
#endif
}

TEST(address_space_is_larger_than_memory_and_costs_none)
{
	size_t len = 4UL * 1024 * meminfo_kb("MemTotal");
	size_t ps = page_size();
	unsigned char *p;

	if (sizeof(long) < 8)
		SKIP(return, "needs a 64-bit address space");

	ACT(mmap);
	p = map_alone(len, PROT_RW, MAP_PRIVATE | MAP_NORESERVE, -1);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, madvise(p, len, MADV_NOHUGEPAGE));
	EXPECT_TRUE(poke(p, 1));
	EXPECT_TRUE(poke(p + len / 2, 2));
	EXPECT_TRUE(poke(p + len - 1, 3));

	EXPECT_EQ(1, peek(p));
	EXPECT_EQ(2, peek(p + len / 2));
	EXPECT_EQ(3, peek(p + len - 1));
	EXPECT_EQ(0, peek(p + len / 4));
	EXPECT_EQ((long)(len / 1024), smaps_kb(p, "Size"));
	EXPECT_EQ(3 * (long)ps / 1024, smaps_kb(p, "Private_Dirty"));
}

/* Two addresses, one page frame: virtual is not physical. */
TEST(two_addresses_can_be_one_page_frame)
{
	size_t ps = page_size();
	int fd = backing_open(SHMEM, ps);
	uint64_t frame;
	unsigned char *p, *q;

	ACT(mmap);
	p = map_alone(ps, PROT_RW, MAP_SHARED, fd);
	ASSERT_MAPPED(p, ps);
	q = map_alone(ps, PROT_RW, MAP_SHARED, fd);
	ASSERT_MAPPED(q, ps);
	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(7, peek(q));
	EXPECT_NE(p, q);
	frame = pagemap_entry(p) & PAGEMAP_PFN_MASK;
	EXPECT_EQ(frame, pagemap_entry(q) & PAGEMAP_PFN_MASK);
}

TEST_HARNESS_MAIN
