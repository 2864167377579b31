// SPDX-License-Identifier: GPL-2.0
/*
 * Fresh memory is zero (mmap(2), brk(2), ftruncate(2)), whatever kind it is and
 * whoever's secret its pages held before. Each test first leaves a secret in
 * far more pages than it then asks for. hugetlb pages are in hugetlb_test.c.
 */
#include "memsafe.h"

#define SECRET 0xa5
#define SECRET_PAGES 128
#define FRESH_PAGES 16

#define MAP_ANON_PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

FIXTURE(fresh)
{
	size_t ps;
	size_t len; /* of what is asked for */
};

FIXTURE_VARIANT(fresh)
{
	unsigned char *(*get)(size_t len); /* @len fresh bytes; NULL: failed */
	const char *name; /* the system call that gives them */
	long nr;
	const char *(*needs)(void);
};

static unsigned char *mapped(int flags, int fd, size_t len)
{
	unsigned char *p = map_alone(len, PROT_RW, flags, fd);

	return is_mapped(p, len) ? p : NULL;
}

static unsigned char *get_anon(size_t len)
{
	return mapped(MAP_PRIVATE, -1, len);
}

static unsigned char *get_anon_shared(size_t len)
{
	return mapped(MAP_SHARED, -1, len);
}

static unsigned char *get_zero(size_t len)
{
	return mapped(MAP_PRIVATE, backing_open(ZERO, len), len);
}

static unsigned char *get_shmem(size_t len)
{
	return mapped(MAP_SHARED, backing_open(SHMEM, len), len);
}

static unsigned char *get_file_hole(size_t len)
{
	return mapped(MAP_SHARED, backing_open(DISK, len), len);
}

/* Blocks that the disk gave, and that nobody wrote. */
static unsigned char *get_file_unwritten(size_t len)
{
	int fd = backing_open(DISK, 0);

	if (posix_fallocate(fd, 0, len))
		return NULL;
	return mapped(MAP_SHARED, fd, len);
}

/* What follows the last byte of a file on its page. */
static unsigned char *get_file_tail(size_t len)
{
	int fd = backing_open(DISK, 1);
	unsigned char *p;

	if (pwrite(fd, "x", 1, 0) != 1)
		return NULL;
	p = mapped(MAP_SHARED, fd, page_size());
	(void)len;
	return p && peek(p) == 'x' ? p + 1 : NULL;
}

/* A file that was full of the secret, cut and made longer again. */
static unsigned char *get_extended(size_t len)
{
	int fd = backing_open(SHMEM, 0);
	char secret[256];

	memset(secret, SECRET, sizeof(secret));
	for (size_t at = 0; at < len; at += sizeof(secret))
		if (pwrite(fd, secret, sizeof(secret), at) != sizeof(secret))
			return NULL;
	if (ftruncate(fd, 0) || ftruncate(fd, len))
		return NULL;
	return mapped(MAP_SHARED, fd, len);
}

static unsigned char *get_brk(size_t len)
{
	unsigned char *end = (unsigned char *)syscall(__NR_brk, NULL);
	size_t ps = page_size();

	end = (void *)(((uintptr_t)end + ps - 1) & ~(ps - 1));
	if ((unsigned char *)syscall(__NR_brk, end + len) != end + len)
		return NULL;
	return end;
}

/* As a C library makes the stack of a thread. */
static unsigned char *get_thread_stack(size_t len)
{
	unsigned char *p = map_alone(
		len, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE | MAP_STACK, -1);

	if (!is_mapped(p, len) || mprotect(p, len, PROT_RW))
		return NULL;
	/* Only then is it writable at all. */
	return poke(p, 0) ? p : NULL;
}

/* Where a stack grows to when it is used. */
static unsigned char *get_stack_growth(size_t len)
{
	size_t ps = page_size();
	unsigned char *room = free_range(len + (1 << 21), ps);
	unsigned char *top = room + len + (1 << 21) - ps;

	if (mmap(top, ps, PROT_RW,
		 MAP_ANON_PRIVATE | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1,
		 0) != top)
		return NULL;
	for (size_t at = ps; at <= len; at += ps)
		if (!poke(top - at, 0))
			return NULL;
	return top - len;
}

static unsigned char *get_mremap_growth(size_t len)
{
	size_t ps = page_size();
	unsigned char *p = mapped(MAP_PRIVATE, -1, ps);

	if (!p)
		return NULL;
	memset(p, SECRET, ps);
	p = mremap(p, ps, ps + len, MREMAP_MAYMOVE);
	return is_mapped(p, ps + len) && peek(p) == SECRET ? p + ps : NULL;
}

static unsigned char *get_dropped(size_t len)
{
	unsigned char *p = mapped(MAP_PRIVATE, -1, len);

	if (!p)
		return NULL;
	memset(p, SECRET, len);
	return madvise(p, len, MADV_DONTNEED) ? NULL : p;
}

static unsigned char *get_thp(size_t len)
{
	(void)len;
	return map_thp();
}

static const char *needs_disk(void)
{
	return backing_needs(DISK);
}

static const char *needs_thp(void)
{
	return map_thp() ? NULL : "a transparent huge page";
}

#define FRESH(kind, call, what)                                      \
	FIXTURE_VARIANT_ADD(fresh, kind)                             \
	{                                                            \
		.get = get_##kind, .name = #call, .nr = __NR_##call, \
		.needs = what,                                       \
	}

FRESH(anon, mmap, NULL);
FRESH(anon_shared, mmap, NULL);
FRESH(zero, mmap, NULL);
FRESH(shmem, mmap, NULL);
FRESH(file_hole, mmap, needs_disk);
FRESH(file_unwritten, mmap, needs_disk);
FRESH(file_tail, mmap, needs_disk);
FRESH(extended, ftruncate, NULL);
FRESH(brk, brk, NULL);
FRESH(thread_stack, mprotect, NULL);
FRESH(stack_growth, mmap, NULL);
FRESH(mremap_growth, mremap, NULL);
FRESH(dropped, madvise, NULL);
FRESH(thp, mmap, needs_thp);

/* Leaves SECRET in pages of all kinds, and gives them back. */
static bool leave_secret(bool huge)
{
	size_t len = SECRET_PAGES * page_size();
	unsigned char *anon = map_alone(len, PROT_RW, MAP_PRIVATE, -1);
	unsigned char *shmem = map_alone(len, PROT_RW, MAP_SHARED, -1);
	unsigned char *thp = huge ? map_thp() : NULL;

	if (anon == MAP_FAILED || shmem == MAP_FAILED)
		return false;
	memset(anon, SECRET, len);
	memset(shmem, SECRET, len);
	if (thp) {
		memset(thp, SECRET, thp_size());
		munmap(thp, thp_size());
	}
	return !munmap(anon, len) && !munmap(shmem, len);
}

FIXTURE_SETUP(fresh)
{
	const char *needs = variant->needs ? variant->needs() : NULL;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = FRESH_PAGES * self->ps;
	if (variant->get == get_file_tail)
		self->len = self->ps - 1;
	if (variant->get == get_thp)
		self->len = thp_size();
	ASSERT_TRUE(leave_secret(variant->get == get_thp));
}

FIXTURE_TEARDOWN(fresh)
{
}

TEST_F(fresh, memory_is_zero_after_a_secret_was_there)
{
	unsigned char *p;

	ACT_NR(variant->name, variant->nr);
	p = variant->get(self->len);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(self->len, first_nonzero(p, self->len));
	EXPECT_TRUE(poke(p, 7));
	EXPECT_EQ(7, p[0]);
}

/* Nobody touches it before. */
static unsigned char bss[FRESH_PAGES * 4096];

TEST(bss_is_zero_after_a_secret_was_there)
{
	ASSERT_TRUE(leave_secret(false));

	ACT_PROBE();
	EXPECT_TRUE(poke(bss + sizeof(bss) / 2, 7));
	EXPECT_EQ(7, bss[sizeof(bss) / 2]);
	bss[sizeof(bss) / 2] = 0;
	EXPECT_EQ(sizeof(bss), first_nonzero(bss, sizeof(bss)));
}

TEST_HARNESS_MAIN
