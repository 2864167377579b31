// SPDX-License-Identifier: GPL-2.0
/*
 * Copy on write (fork(2), mmap(2)): what reaches a private page stays in the
 * process that it was for, whoever writes: the process itself, the kernel for
 * it (read(), O_DIRECT) or through its memory as a file. Neither the other side
 * of a fork() nor the file behind the mapping sees it. Pipes and pins are in
 * cow_pipe_test.c and cow_pin_test.c.
 */
#include <sys/uio.h>

#include "memsafe.h"

#define OLD 0x11
#define NEW 0x77

/* A private page of OLD, in the middle of a huge page where that is wanted. */
FIXTURE(cow)
{
	size_t ps;
	int fd; /* behind the mapping */
	int source; /* NEW to be read */
	unsigned char *page;
};

FIXTURE_VARIANT(cow)
{
	enum backing backing;
	bool huge;
	bool (*write)(FIXTURE_DATA(cow) * self);
	const char *name;
	long nr;
};

static bool write_by_read(FIXTURE_DATA(cow) * self)
{
	return pread(self->source, self->page, self->ps, 0) ==
	       (ssize_t)self->ps;
}

/* Also where the page may not be written to: FOLL_FORCE. */
static bool write_by_proc_mem(FIXTURE_DATA(cow) * self)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	unsigned char new[64];
	size_t done = 0;

	memset(new, NEW, sizeof(new));
	while (done < self->ps &&
	       pwrite(fd, new, sizeof(new), (uintptr_t)self->page + done) ==
		       sizeof(new))
		done += sizeof(new);
	close(fd);
	return done == self->ps;
}

static bool write_by_process_vm_writev(FIXTURE_DATA(cow) * self)
{
	struct iovec to = { self->page, self->ps };
	struct iovec from = { NULL, self->ps };
	ssize_t done;

	from.iov_base = mmap(NULL, self->ps, PROT_RW,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (from.iov_base == MAP_FAILED)
		return false;
	memset(from.iov_base, NEW, self->ps);
	done = process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	return done == (ssize_t)self->ps;
}

/* source is opened with O_DIRECT for these: the disk writes to the page. */
#define write_by_direct_io write_by_read

#define ROAD(road, call, kind, where, is_huge)                               \
	FIXTURE_VARIANT_ADD(cow, road##_##kind)                              \
	{                                                                    \
		.backing = where, .huge = is_huge, .write = write_by_##road, \
		.name = #road, .nr = __NR_##call,                            \
	}
#define ROADS(kind, where, is_huge)                                       \
	ROAD(read, pread64, kind, where, is_huge);                        \
	ROAD(proc_mem, pwrite64, kind, where, is_huge);                   \
	ROAD(process_vm_writev, process_vm_writev, kind, where, is_huge); \
	ROAD(direct_io, pread64, kind, where, is_huge)

ROADS(anon, ANON, false);
ROADS(thp, ANON, true);
ROADS(shmem, SHMEM, false);
ROADS(file, DISK, false);

static bool is_direct(const FIXTURE_VARIANT(cow) * variant)
{
	return !strcmp(variant->name, "direct_io");
}

/* A page in the middle of a huge one; NULL: none to be had. */
static unsigned char *page_in_huge(void)
{
	unsigned char *p = map_thp();

	return p ? p + thp_size() / 2 : NULL;
}

/* A file of one page of @value, read past the page cache if @direct. */
static int source_of(size_t ps, unsigned char value, bool direct)
{
	int fd = backing_open(direct ? DISK : SHMEM, ps);
	unsigned char *p;

	p = mmap(NULL, ps, PROT_RW, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	memset(p, value, ps);
	munmap(p, ps);
	if (direct && (fsync(fd) || fcntl(fd, F_SETFL, O_DIRECT)))
		return -1;
	return fd;
}

FIXTURE_SETUP(cow)
{
	const char *needs =
		backing_needs(is_direct(variant) ? DISK : variant->backing);

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->source = source_of(self->ps, NEW, is_direct(variant));
	ASSERT_LE(0, self->source);
	self->fd = backing_open(variant->backing, self->ps);
	ASSERT_NE(-2, self->fd);
	self->page = variant->huge ? page_in_huge() :
				     map_alone(self->ps, PROT_RW, MAP_PRIVATE,
					       self->fd);
	if (variant->huge && !self->page)
		SKIP(return, "needs a transparent huge page");
	ASSERT_NE(MAP_FAILED, self->page);
}

FIXTURE_TEARDOWN(cow)
{
}

/* The byte behind a private mapping; 0, too, where there is no file. */
static int byte_in_file(int fd)
{
	struct iovec to = { .iov_base = &(unsigned char){ 0 }, .iov_len = 1 };

	if (fd < 0)
		return 0;
	if (lseek(fd, 0, SEEK_SET) || readv(fd, &to, 1) != 1)
		return -1;
	return *(unsigned char *)to.iov_base;
}

static int write_as_child(FIXTURE_DATA(cow) * self,
			  const FIXTURE_VARIANT(cow) * variant)
{
	if (!variant->write(self))
		return 255;
	return first_other(self->page, self->ps, NEW) == self->ps ? NEW : 254;
}

TEST_F(cow, what_a_child_gets_is_not_its_parents)
{
	pid_t child;

	memset(self->page, OLD, self->ps);

	ACT_NR(variant->name, variant->nr);
	child = fork();
	if (!child)
		_exit(write_as_child(self, variant));
	EXPECT_EQ(NEW, child_end(child));
	EXPECT_EQ(self->ps, first_other(self->page, self->ps, OLD));
	EXPECT_EQ(0, byte_in_file(self->fd));
}

/* Waits for @gate; OLD when @page is still full of it. */
static int look_after_gate(int gate, const unsigned char *page)
{
	size_t ps = page_size();
	char c;

	if (read(gate, &c, 1) != 1)
		return 255;
	return first_other(page, ps, OLD) == ps ? OLD : 254;
}

TEST_F(cow, what_a_parent_gets_is_not_its_childs)
{
	int gate[2];
	pid_t child;

	memset(self->page, OLD, self->ps);
	ASSERT_EQ(0, pipe(gate));
	child = fork();
	if (!child)
		_exit(look_after_gate(gate[0], self->page));

	ACT_NR(variant->name, variant->nr);
	EXPECT_TRUE(variant->write(self));
	EXPECT_EQ(self->ps, first_other(self->page, self->ps, NEW));
	EXPECT_EQ(1, write(gate[1], "", 1));
	EXPECT_EQ(OLD, child_end(child));
}

/* Before anyone stores to it the page is the file's own, or the zero page. */
TEST_F(cow, what_an_untouched_page_gets_is_not_in_the_file)
{
	ASSERT_NO_FAULT(probe_read(self->page));

	ACT_NR(variant->name, variant->nr);
	EXPECT_TRUE(variant->write(self));
	EXPECT_EQ(self->ps, first_other(self->page, self->ps, NEW));
	EXPECT_EQ(0, byte_in_file(self->fd));
	EXPECT_FALSE(pagemap_entry(self->page) & PAGEMAP_FILE);
}

/* Writing by force, as debuggers do, goes to a copy, too. */
FIXTURE(cow_force)
{
	size_t ps;
	int fd;
	int mem;
};

FIXTURE_VARIANT(cow_force)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(cow_force, shmem){
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(cow_force, file){
	.backing = DISK,
};

FIXTURE_SETUP(cow_force)
{
	const char *needs = backing_needs(variant->backing);
	char c = OLD;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->fd = backing_open(variant->backing, self->ps);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(1, pwrite(self->fd, &c, 1, 0));
	self->mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->mem);
}

FIXTURE_TEARDOWN(cow_force)
{
}

TEST_F(cow_force, read_only_private_page_gets_a_copy)
{
	unsigned char *p =
		map_alone(self->ps, PROT_READ, MAP_PRIVATE, self->fd);
	char c = NEW;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(OLD, peek(p));

	ACT(pwrite64);
	if (pwrite(self->mem, &c, 1, (uintptr_t)p) < 0)
		SKIP(return, "needs CONFIG_PROC_MEM_ALWAYS_FORCE=y");
	EXPECT_EQ(NEW, peek(p));
	EXPECT_EQ(OLD, byte_in_file(self->fd));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, p, probe_write(p));
}

TEST_F(cow_force, read_only_shared_page_is_refused)
{
	unsigned char *p = map_alone(self->ps, PROT_READ, MAP_SHARED, self->fd);
	char c = NEW;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(OLD, peek(p));

	ACT(pwrite64);
	EXPECT_ERRNO(EIO, pwrite(self->mem, &c, 1, (uintptr_t)p));
	EXPECT_EQ(OLD, peek(p));
	EXPECT_EQ(OLD, byte_in_file(self->fd));
}

TEST_HARNESS_MAIN
