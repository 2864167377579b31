// SPDX-License-Identifier: GPL-2.0
/*
 * A PROT_NONE page on either side of a buffer stops every access that leaves
 * the buffer, with SIGSEGV, SEGV_ACCERR and the address of the access
 * (mmap(2), mprotect(2)), and stops none that stays inside.
 */
#include "memsafe.h"

/*
 *	| guard page | first ... last | guard page |
 *	below        ^buf             ^buf + len
 */
FIXTURE(guard_page)
{
	unsigned char *buf;
	size_t len;
	size_t ps;
	unsigned char *below; /* the last byte before the buffer */
	unsigned char *above; /* the first byte after it */
};

FIXTURE_VARIANT(guard_page)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(guard_page, anon)
{
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(guard_page, shmem)
{
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(guard_page, file)
{
	.backing = DISK,
	.sharing = MAP_SHARED,
};

FIXTURE_SETUP(guard_page)
{
	const char *needs = backing_needs(variant->backing);
	unsigned char *area;
	size_t size;
	int fd;

	if (needs)
		SKIP(return, "needs %s", needs);
	self->ps = page_size();
	self->len = 2 * self->ps;
	size = self->len + 2 * self->ps;
	fd = backing_open(variant->backing, size);
	ASSERT_NE(-2, fd);
	area = map_alone(size, PROT_RW, variant->sharing, fd);
	ASSERT_NE(MAP_FAILED, area);
	memset(area, 0x11, size);

	self->buf = area + self->ps;
	self->below = self->buf - 1;
	self->above = self->buf + self->len;
}

FIXTURE_TEARDOWN(guard_page)
{
}

TEST_F(guard_page, read_below_faults)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->buf - self->ps, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->below,
		     probe_read(self->below));
	EXPECT_NO_FAULT(probe_read(self->buf));
}

TEST_F(guard_page, write_below_faults)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->buf - self->ps, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->below,
		     probe_write(self->below));
	EXPECT_NO_FAULT(probe_write(self->buf));
}

TEST_F(guard_page, read_above_faults)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->above, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->above,
		     probe_read(self->above));
	EXPECT_NO_FAULT(probe_read(self->above - 1));
}

TEST_F(guard_page, write_above_faults)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->above, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->above,
		     probe_write(self->above));
	EXPECT_NO_FAULT(probe_write(self->above - 1));
}

TEST_F(guard_page, write_below_leaves_the_guard_as_it_was)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->buf - self->ps, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->below,
		     probe_write(self->below));
	ASSERT_EQ(0, mprotect(self->buf - self->ps, self->ps, PROT_READ));
	EXPECT_EQ(0x11, peek(self->below));
}

TEST_F(guard_page, exec_below_and_above_faults)
{
	size_t size = self->len + 2 * self->ps;
	unsigned char *low = self->buf - self->ps;
	const int rwx = PROT_RW | PROT_EXEC;

	if (variant->backing == DISK && mprotect(low, size, rwx))
		SKIP(return, "needs a scratch file system without noexec");
	for (size_t off = 0; off < size; off += self->ps)
		put_return(low + off);

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->buf, self->len, rwx));
	ASSERT_EQ(0, mprotect(low, self->ps, PROT_NONE));
	ASSERT_EQ(0, mprotect(self->above, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, low, probe_exec(low));
	EXPECT_NO_FAULT(probe_exec(self->buf));
	EXPECT_NO_FAULT(probe_exec(self->above - self->ps));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->above,
		     probe_exec(self->above));
}

TEST_F(guard_page, guards_on_both_sides_hold_at_once)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->buf - self->ps, self->ps, PROT_NONE));
	ASSERT_EQ(0, mprotect(self->above, self->ps, PROT_NONE));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->below,
		     probe_write(self->below));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->above,
		     probe_write(self->above));
	EXPECT_TRUE(poke(self->buf, 0x22));
	EXPECT_TRUE(poke(self->above - 1, 0x22));
}

TEST_F(guard_page, guard_splits_the_mapping_in_three)
{
	unsigned char *low = self->buf - self->ps;
	struct vma vma;

	ASSERT_EQ(1, count_vmas(low, self->len + 2 * self->ps));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(low, self->ps, PROT_NONE));
	ASSERT_EQ(0, mprotect(self->above, self->ps, PROT_NONE));

	EXPECT_EQ(3, count_vmas(low, self->len + 2 * self->ps));
	ASSERT_TRUE(find_vma(self->buf, &vma));
	EXPECT_EQ((uintptr_t)self->buf, vma.start);
	EXPECT_EQ((uintptr_t)self->above, vma.end);
	EXPECT_EQ(0, strncmp("rw-", vma.perms, 3));
}

TEST_F(guard_page, lifting_the_guard_gives_the_data_back)
{
	unsigned char *guard = self->above;

	ASSERT_EQ(0, mprotect(guard, self->ps, PROT_NONE));
	ASSERT_FAULT(SIGSEGV, SEGV_ACCERR, guard, probe_read(guard));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(guard, self->ps, PROT_RW));

	EXPECT_EQ(0x11, peek(guard));
	EXPECT_TRUE(poke(guard, 0x22));
	EXPECT_EQ(0x22, peek(guard));
}

TEST_F(guard_page, guard_holds_in_a_child)
{
	struct fault f;

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->above, self->ps, PROT_NONE));

	EXPECT_EQ(SIGSEGV, in_child(signal_of_write, self->above));
	f = probe_write(self->above);
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->above, f);
}

TEST_HARNESS_MAIN
