// SPDX-License-Identifier: GPL-2.0
/*
 * The kinds of page fault that user space can tell apart (sigaction(2),
 * getrusage(2)): nothing mapped (SEGV_MAPERR), no permission (SEGV_ACCERR),
 * not present (a minor or a major fault, counted, and no signal), and the
 * addresses that are no user addresses at all.
 */
#include "memsafe.h"

/*
 * A byte inside a page: si_addr is the address of the access, not its page.
 * An instruction of any machine may begin there.
 */
#define INSIDE 124

FIXTURE(fault_kind)
{
	unsigned char *page; /* mapped alone, read-write, not touched */
	size_t ps;
};

FIXTURE_SETUP(fault_kind)
{
	self->ps = page_size();
	self->page = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, self->page);
}

FIXTURE_TEARDOWN(fault_kind)
{
}

TEST_F(fault_kind, unmapped_page_is_maperr)
{
	unsigned char *p = self->page + INSIDE;

	ASSERT_NO_FAULT(probe_write(p));

	ACT(munmap);
	ASSERT_EQ(0, munmap(self->page, self->ps));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_read(p));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_write(p));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_exec(p));
}

TEST_F(fault_kind, page_without_any_permission_is_accerr)
{
	unsigned char *p = self->page + INSIDE;

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->page, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_read(p));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_exec(p));
}

TEST_F(fault_kind, write_to_a_read_only_page_is_accerr)
{
	unsigned char *p = self->page + INSIDE;

	ASSERT_TRUE(poke(p, 7));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->page, self->ps, PROT_READ));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
	EXPECT_EQ(7, peek(p));
}

TEST_F(fault_kind, exec_of_a_data_page_is_accerr)
{
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_MAPPED(p, self->ps);
	put_return(p);

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_exec(p));
	ASSERT_EQ(0, mprotect(p, self->ps, PROT_READ | PROT_EXEC));
	EXPECT_NO_FAULT(probe_exec(p));
}

TEST_F(fault_kind, null_is_not_mapped)
{
	ACT_PROBE();
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, NULL, probe_read(NULL));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, NULL, probe_write(NULL));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, NULL, probe_exec(NULL));
}

/* MAPERR whether something is there or not: the kernel does not tell. */
TEST_F(fault_kind, kernel_address_is_maperr)
{
#ifdef KERNEL_ADDRESS
	unsigned char *p = (unsigned char *)KERNEL_ADDRESS + INSIDE;

	ACT_PROBE();
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_read(p));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_write(p));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, p, probe_exec(p));
#else
	SKIP(return, "needs a known kernel address on this architecture");
#endif
}

/* The system call is refused where the access would have faulted. */
TEST_F(fault_kind, kernel_address_as_buffer_is_efault)
{
#ifdef KERNEL_ADDRESS
	void *p = (void *)KERNEL_ADDRESS;
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(1, write(fds[1], "x", 1));

	ACT(read);
	EXPECT_ERRNO(EFAULT, read(fds[0], p, 1));
	EXPECT_ERRNO(EFAULT, write(fds[1], p, 1));
	EXPECT_EQ(1, read(fds[0], self->page, self->ps));
	EXPECT_EQ('x', peek(self->page));
#else
	SKIP(return, "needs a known kernel address on this architecture");
#endif
}

/* Bits 56 to 63 differ: canonical with neither 4 nor 5 page-table levels. */
#define NON_CANONICAL 0x4000000000000000

TEST_F(fault_kind, non_canonical_address_has_no_si_addr)
{
#ifdef __x86_64__
	unsigned char *p = (unsigned char *)NON_CANONICAL;

	ACT_PROBE();
	EXPECT_FAULT(SIGSEGV, SI_KERNEL, NULL, probe_read(p));
	EXPECT_FAULT(SIGSEGV, SI_KERNEL, NULL, probe_write(p));
	EXPECT_FAULT(SIGSEGV, SI_KERNEL, NULL, probe_exec(p));
#else
	SKIP(return, "needs x86_64");
#endif
}

#ifdef __x86_64__
static bool cpu_is(const char *name)
{
	struct line_reader lines;
	bool found = false;

	if (!lines_open(&lines, "/proc/cpuinfo"))
		return false;
	while (!found && lines_next(&lines))
		found = !strncmp(lines.line, "model name", 10) &&
			strstr(lines.line, name);
	lines_close(&lines);
	return found;
}

/* An access based on the stack pointer raises #SS where others raise #GP. */
static void read_through_stack_pointer(void *p)
{
	unsigned long saved;

	asm volatile("mov %%rsp, %[saved]\n\t"
		     "mov %[p], %%rsp\n\t"
		     "mov (%%rsp), %%rax\n\t"
		     "mov %[saved], %%rsp"
		     : [saved] "=&r"(saved)
		     : [p] "r"(p)
		     : "rax", "memory");
}
#endif

TEST_F(fault_kind, non_canonical_stack_pointer_is_sigbus)
{
#ifdef __x86_64__
	struct fault f;

	if (cpu_is("QEMU TCG"))
		SKIP(return, "needs a CPU that raises #SS: TCG raises #GP");
	ASSERT_NO_FAULT(probe(read_through_stack_pointer, self->page));

	ACT_PROBE();
	f = probe(read_through_stack_pointer, (void *)NON_CANONICAL);
	EXPECT_FAULT(SIGBUS, SI_KERNEL, NULL, f);
#else
	SKIP(return, "needs x86_64");
#endif
}

/* What a one-byte access of @p costs. Run it once first, to warm it up. */
static struct fault_count cost_of(struct fault (*access)(volatile void *),
				  volatile void *p)
{
	struct fault_count before = faults_so_far();
	struct fault_count after;

	access(p);
	after = faults_so_far();
	return (struct fault_count){ after.minor - before.minor,
				     after.major - before.major };
}

static struct fault read_of(volatile void *p)
{
	return probe_read(p);
}

FIXTURE(not_present)
{
	size_t ps;
	int fd;
	int flags;
};

FIXTURE_VARIANT(not_present)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(not_present, anon)
{
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(not_present, anon_shared)
{
	.backing = ANON,
	.sharing = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(not_present, zero)
{
	.backing = ZERO,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(not_present, shmem)
{
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};

FIXTURE_SETUP(not_present)
{
	unsigned char warm_up;

	self->ps = page_size();
	self->flags = variant->sharing;
	self->fd = backing_open(variant->backing, self->ps);
	ASSERT_NE(-2, self->fd);
	cost_of(read_of, &warm_up);
	cost_of(probe_write, &warm_up);
}

FIXTURE_TEARDOWN(not_present)
{
}

TEST_F(not_present, first_write_costs_one_minor_fault)
{
	struct fault_count first, second;
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->ps, PROT_RW, self->flags, self->fd);
	ASSERT_MAPPED(p, self->ps);
	first = cost_of(probe_write, p);
	second = cost_of(probe_write, p);

	EXPECT_EQ(1, first.minor);
	EXPECT_EQ(0, first.major);
	EXPECT_EQ(0, second.minor);
	EXPECT_EQ(0, second.major);
}

TEST_F(not_present, first_read_costs_one_minor_fault)
{
	struct fault_count first, second;
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->ps, PROT_READ, self->flags, self->fd);
	ASSERT_MAPPED(p, self->ps);
	first = cost_of(read_of, p);
	second = cost_of(read_of, p);

	EXPECT_EQ(1, first.minor);
	EXPECT_EQ(0, first.major);
	EXPECT_EQ(0, second.minor);
	EXPECT_EQ(0, second.major);
	EXPECT_EQ(0, peek(p));
}

/* MADV_DONTNEED takes the page away, not the mapping (madvise(2)). */
TEST_F(not_present, dropped_page_costs_a_fault_again)
{
	struct fault_count again;
	unsigned char *p = map_alone(self->ps, PROT_RW, self->flags, self->fd);

	ASSERT_MAPPED(p, self->ps);
	ASSERT_TRUE(poke(p, 7));
	ASSERT_TRUE(is_present(p));

	ACT(madvise);
	ASSERT_EQ(0, madvise(p, self->ps, MADV_DONTNEED));

	EXPECT_FALSE(is_present(p));
	again = cost_of(read_of, p);
	EXPECT_EQ(1, again.minor);
	EXPECT_EQ(0, again.major);
	EXPECT_EQ(variant->sharing == MAP_SHARED ? 7 : 0, peek(p));
}

FIXTURE(major)
{
	unsigned char *page;
	size_t ps;
	int fd;
};

FIXTURE_SETUP(major)
{
	unsigned char warm_up;
	unsigned char *data;

	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	self->ps = page_size();
	data = malloc(self->ps);
	ASSERT_NE(NULL, data);
	self->fd = backing_open(DISK, self->ps);
	ASSERT_LE(0, self->fd);
	/* The whole page: only then is it in the cache with smaller blocks. */
	memset(data, 'x', self->ps);
	ASSERT_EQ(self->ps, pwrite(self->fd, data, self->ps, 0));
	ASSERT_EQ(0, fsync(self->fd));
	self->page = map_alone(self->ps, PROT_READ, MAP_SHARED, self->fd);
	ASSERT_NE(MAP_FAILED, self->page);
	cost_of(read_of, &warm_up);
}

FIXTURE_TEARDOWN(major)
{
}

/* Dropping clean pages of the file from the page cache: posix_fadvise(2). */
TEST_F(major, page_from_the_disk_costs_one_major_fault)
{
	struct fault_count first, second;

	ASSERT_EQ(1, is_resident(self->page));

	ACT(fadvise64);
	ASSERT_TRUE(drop_cache(self->fd, self->ps));
	first = cost_of(read_of, self->page);
	second = cost_of(read_of, self->page);

	EXPECT_EQ(1, first.major);
	EXPECT_EQ(0, first.minor);
	EXPECT_EQ(0, second.major);
	EXPECT_EQ('x', peek(self->page + INSIDE));
}

TEST_F(major, page_in_the_cache_costs_one_minor_fault)
{
	struct fault_count first;
	unsigned char *p;

	ASSERT_EQ(1, is_resident(self->page));

	ACT(mmap);
	p = map_alone(self->ps, PROT_READ, MAP_PRIVATE, self->fd);
	ASSERT_MAPPED(p, self->ps);
	first = cost_of(read_of, p);

	EXPECT_EQ(0, first.major);
	EXPECT_EQ(1, first.minor);
}

TEST_HARNESS_MAIN
