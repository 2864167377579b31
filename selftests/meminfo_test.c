// SPDX-License-Identifier: GPL-2.0
/*
 * What a program takes is counted in /proc/meminfo while it has it, and never again
 * once it has given it back, by whatever road (Documentation/filesystems/proc.rst). A
 * page that stays counted in each round would show; what others do does not.
 */
#include "memsafe.h"

#define PAGES 1024
#define ROUNDS 8

FIXTURE(meminfo)
{
	size_t len;
};

/*
 * A way to have @len bytes of something and to give them back, though some stay mapped.
 */
FIXTURE_VARIANT(meminfo)
{
	const char *field;
	unsigned char *(*take)(size_t len); /* NULL: failed */
	bool (*give)(unsigned char *p, size_t len);
	const char *name; /* the system call that gives */
	long nr;
};

static unsigned char *take_locked(size_t len)
{
	unsigned char *p = map_alone(len, PROT_RW, MAP_PRIVATE, -1);

	return is_mapped(p, len) && !mlock(p, len) ? p : NULL;
}

static unsigned char *take_anon(size_t len)
{
	unsigned char *p = map_alone(len, PROT_RW, MAP_PRIVATE, -1);

	if (!is_mapped(p, len))
		return NULL;
	/* Pages of the usual size, whatever the host prefers. */
	madvise(p, len, MADV_NOHUGEPAGE);
	memset(p, 1, len);
	return p;
}

static unsigned char *take_shmem(size_t len)
{
	unsigned char *p = map_alone(len, PROT_RW, MAP_SHARED, -1);

	if (!is_mapped(p, len))
		return NULL;
	memset(p, 1, len);
	return p;
}

static bool give_munlock(unsigned char *p, size_t len)
{
	return !munlock(p, len);
}

static bool give_munmap(unsigned char *p, size_t len)
{
	return !munmap(p, len);
}

static bool give_dontneed(unsigned char *p, size_t len)
{
	return !madvise(p, len, MADV_DONTNEED);
}

static bool give_remove(unsigned char *p, size_t len)
{
	return !madvise(p, len, MADV_REMOVE);
}

#define COUNTED(kind, what, road, in, call)                                    \
	FIXTURE_VARIANT_ADD(meminfo, kind)                                     \
	{                                                                      \
		.field = in, .take = take_##what, .give = give_##road,         \
		.name = #call, .nr = __NR_##call,                              \
	}

COUNTED(mlocked_munlock, locked, munlock, "Mlocked", munlock);
COUNTED(mlocked_munmap, locked, munmap, "Mlocked", munmap);
COUNTED(unevictable_munlock, locked, munlock, "Unevictable", munlock);
COUNTED(anon_munmap, anon, munmap, "AnonPages", munmap);
COUNTED(anon_dontneed, anon, dontneed, "AnonPages", madvise);
COUNTED(shmem_munmap, shmem, munmap, "Shmem", munmap);
COUNTED(shmem_remove, shmem, remove, "Shmem", madvise);
COUNTED(mapped_munmap, shmem, munmap, "Mapped", munmap);

FIXTURE_SETUP(meminfo)
{
	self->len = PAGES * page_size();
	if (variant->take == take_locked && !has_capability(CAP_IPC_LOCK))
		SKIP(return, "needs CAP_IPC_LOCK");
	if (meminfo_kb(variant->field) < 0)
		SKIP(return, "needs %s in /proc/meminfo", variant->field);
}

FIXTURE_TEARDOWN(meminfo)
{
}

TEST_F(meminfo, is_counted_while_it_is_there)
{
	long kb = self->len / 1024;
	long before = meminfo_kb(variant->field);
	unsigned char *p = variant->take(self->len);
	long held;

	ASSERT_NE(NULL, p);
	held = meminfo_kb(variant->field);

	EXPECT_LT(kb / 2, held - before);
	ACT_NR(variant->name, variant->nr);
	EXPECT_TRUE(variant->give(p, self->len));
	EXPECT_LT(kb / 2, held - meminfo_kb(variant->field));
}

/* 0, or the number of the round that failed. */
static int take_and_give(const FIXTURE_VARIANT(meminfo) * variant, size_t len)
{
	for (int round = 1; round <= ROUNDS; round++) {
		unsigned char *p = variant->take(len);

		if (!p || !variant->give(p, len))
			return round;
	}
	return 0;
}

TEST_F(meminfo, many_rounds_leave_nothing)
{
	long kb = ROUNDS * self->len / 1024;
	long before = meminfo_kb(variant->field);

	ACT_NR(variant->name, variant->nr);
	ASSERT_EQ(0, take_and_give(variant, self->len));
	EXPECT_LT(meminfo_kb(variant->field) - before, kb / 2);
}

struct one {
	unsigned char *(*take)(size_t len);
	size_t len;
};

static int take_it(void *arg)
{
	struct one *one = arg;

	return !one->take(one->len);
}

/* Who ends gives everything back. */
TEST_F(meminfo, many_exits_leave_nothing)
{
	struct one one = {variant->take, self->len};
	long kb = ROUNDS * self->len / 1024;
	long before = meminfo_kb(variant->field);

	ACT(clone);
	for (int round = 0; round < ROUNDS; round++)
		ASSERT_EQ(0, in_child(take_it, &one));
	EXPECT_LT(meminfo_kb(variant->field) - before, kb / 2);
}

TEST_HARNESS_MAIN
