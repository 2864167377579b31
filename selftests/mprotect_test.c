// SPDX-License-Identifier: GPL-2.0
/*
 * mprotect(2): exactly the pages of the range change, what each protection
 * allows and forbids is seen by the CPU, the data stays, mappings split and
 * merge, and each errno has its own cause. Guard pages are in
 * guard_page_test.c.
 */
#include "memsafe.h"

/*
 *	| page 0 | page 1 | page 2 |
 *	^p, 0x11 throughout
 */
FIXTURE(mprotect)
{
	size_t ps;
	size_t len;
	unsigned char *p;
	int fd;
};

FIXTURE_VARIANT(mprotect)
{
	enum backing backing;
	int sharing;
};

FIXTURE_VARIANT_ADD(mprotect, anon)
{
	.backing = ANON,
	.sharing = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(mprotect, shmem)
{
	.backing = SHMEM,
	.sharing = MAP_SHARED,
};

FIXTURE_SETUP(mprotect)
{
	self->ps = page_size();
	self->len = 3 * self->ps;
	self->fd = backing_open(variant->backing, self->len);
	ASSERT_NE(-2, self->fd);
	self->p = map_alone(self->len, PROT_RW, variant->sharing, self->fd);
	ASSERT_NE(MAP_FAILED, self->p);
	memset(self->p, 0x11, self->len);
}

FIXTURE_TEARDOWN(mprotect)
{
}

TEST_F(mprotect, read_only_forbids_writing_only)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_write(self->p));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
}

TEST_F(mprotect, write_permission_comes_back)
{
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));
	ASSERT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_write(self->p));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_RW));

	EXPECT_TRUE(poke(self->p, 0x22));
	EXPECT_EQ(0x22, peek(self->p));
}

TEST_F(mprotect, exec_permission_comes_and_goes)
{
	put_return(self->p);
	ASSERT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_exec(self->p));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, self->ps, PROT_READ | PROT_EXEC));

	EXPECT_NO_FAULT(probe_exec(self->p));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_write(self->p));
	ASSERT_EQ(0, mprotect(self->p, self->ps, PROT_READ));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_exec(self->p));
}

TEST_F(mprotect, neighbours_of_the_range_do_not_change)
{
	unsigned char *middle = self->p + self->ps;
	unsigned char *end = middle + self->ps;

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(middle, self->ps, PROT_READ));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, middle, probe_write(middle));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, end - 1, probe_write(end - 1));
	EXPECT_NO_FAULT(probe_write(middle - 1));
	EXPECT_NO_FAULT(probe_write(end));
}

TEST_F(mprotect, length_is_rounded_up)
{
	unsigned char *next = self->p + self->ps;

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, 1, PROT_READ));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, next - 1, probe_write(next - 1));
	EXPECT_NO_FAULT(probe_write(next));
}

TEST_F(mprotect, middle_splits_in_three_and_merges_again)
{
	unsigned char *middle = self->p + self->ps;
	struct vma vma;

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(middle, self->ps, PROT_READ));

	EXPECT_EQ(3, count_vmas(self->p, self->len));
	ASSERT_TRUE(find_vma(middle, &vma));
	EXPECT_EQ((uintptr_t)middle, vma.start);
	EXPECT_EQ((uintptr_t)middle + self->ps, vma.end);
	EXPECT_EQ(0, strncmp("r--", vma.perms, 3));
	ASSERT_EQ(0, mprotect(middle, self->ps, PROT_RW));
	EXPECT_EQ(1, count_vmas(self->p, self->len));
}

TEST_F(mprotect, range_over_several_mappings_changes_all)
{
	ASSERT_EQ(0, mprotect(self->p + self->ps, self->ps, PROT_NONE));
	ASSERT_EQ(3, count_vmas(self->p, self->len));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	ASSERT_EQ(1, count_vmas(self->p, self->len));
	EXPECT_EQ(self->len, first_other(self->p, self->len, 0x11));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->p, probe_write(self->p));
}

static int make_read_only(void *p)
{
	mprotect(p, page_size(), PROT_READ);
	return probe_write(p).signal;
}

TEST_F(mprotect, change_of_a_child_is_not_that_of_its_parent)
{
	ACT(mprotect);
	EXPECT_EQ(SIGSEGV, in_child(make_read_only, self->p));
	EXPECT_NO_FAULT(probe_write(self->p));
}

TEST_F(mprotect, is_inherited_by_a_child)
{
	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	EXPECT_EQ(SIGSEGV, in_child(signal_of_write, self->p));
	EXPECT_EQ(0x11, peek(self->p));
}

/* The system call is refused where the access would have faulted. */
TEST_F(mprotect, kernel_may_not_write_to_a_read_only_page)
{
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(1, write(fds[1], "x", 1));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->p, self->len, PROT_READ));

	EXPECT_ERRNO(EFAULT, read(fds[0], self->p, 1));
	EXPECT_EQ(0x11, peek(self->p));
}

TEST_F(mprotect, address_inside_a_page_is_einval)
{
	ACT(mprotect);
	EXPECT_ERRNO(EINVAL, mprotect(self->p + 1, self->ps, PROT_READ));
	EXPECT_NO_FAULT(probe_write(self->p));
}

TEST_F(mprotect, growsdown_and_growsup_at_once_is_einval)
{
	int both = PROT_GROWSDOWN | PROT_GROWSUP;

	ACT(mprotect);
	EXPECT_ERRNO(EINVAL, mprotect(self->p, self->ps, PROT_READ | both));
	EXPECT_NO_FAULT(probe_write(self->p));
}

TEST_F(mprotect, growsdown_of_an_ordinary_mapping_is_einval)
{
	ACT(mprotect);
	EXPECT_ERRNO(EINVAL,
		     mprotect(self->p, self->ps, PROT_READ | PROT_GROWSDOWN));
	EXPECT_NO_FAULT(probe_write(self->p));
}

TEST_F(mprotect, range_that_wraps_is_enomem)
{
	ACT(mprotect);
	EXPECT_ERRNO(ENOMEM, mprotect(self->p, -2 * self->ps, PROT_READ));
	EXPECT_NO_FAULT(probe_write(self->p));
}

TEST_F(mprotect, range_with_a_hole_is_enomem)
{
	unsigned char *hole = self->p + self->ps;

	ASSERT_EQ(0, munmap(hole, self->ps));

	ACT(mprotect);
	EXPECT_ERRNO(ENOMEM, mprotect(self->p, self->len, PROT_READ));
	EXPECT_ERRNO(ENOMEM, mprotect(hole, self->ps, PROT_READ));
	EXPECT_UNMAPPED(hole, self->ps);
	EXPECT_EQ(0, mprotect(hole + self->ps, self->ps, PROT_NONE));
	EXPECT_EQ(-1, peek(hole + self->ps));
}

TEST_F(mprotect, range_that_ends_in_a_hole_is_enomem)
{
	ACT(mprotect);
	EXPECT_ERRNO(ENOMEM,
		     mprotect(self->p, self->len + self->ps, PROT_READ));
	EXPECT_UNMAPPED(self->p + self->len, self->ps);
	EXPECT_EQ(0, mprotect(self->p, self->len, PROT_NONE));
	EXPECT_EQ(-1, peek(self->p));
}

/* Any file will do that is open for reading only: this program. */
TEST_F(mprotect, shared_write_of_a_read_only_descriptor_is_eacces)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	unsigned char *shared, *private;

	ASSERT_LE(0, fd);
	shared = map_alone(self->ps, PROT_READ, MAP_SHARED, fd);
	private = map_alone(self->ps, PROT_READ, MAP_PRIVATE, fd);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, private);

	ACT(mprotect);
	EXPECT_ERRNO(EACCES, mprotect(shared, self->ps, PROT_RW));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, shared, probe_write(shared));
	EXPECT_EQ(0, mprotect(private, self->ps, PROT_RW));
	EXPECT_NO_FAULT(probe_write(private));
}

TEST_HARNESS_MAIN
