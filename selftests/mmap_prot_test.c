// SPDX-License-Identifier: GPL-2.0
/*
 * The protection of mmap(2): /proc/self/maps says what was asked for, and
 * reading, writing and executing end as it says.
 */
#include "memsafe.h"

FIXTURE(mmap_prot)
{
	size_t ps;
};

FIXTURE_VARIANT(mmap_prot)
{
	int prot;
	const char *perms;
	bool can_read;
	bool can_write;
};

FIXTURE_VARIANT_ADD(mmap_prot, none)
{
	.prot = PROT_NONE,
	.perms = "---p",
};

FIXTURE_VARIANT_ADD(mmap_prot, read)
{
	.prot = PROT_READ,
	.perms = "r--p",
	.can_read = true,
};

FIXTURE_VARIANT_ADD(mmap_prot, read_write)
{
	.prot = PROT_READ | PROT_WRITE,
	.perms = "rw-p",
	.can_read = true,
	.can_write = true,
};

FIXTURE_VARIANT_ADD(mmap_prot, read_exec)
{
	.prot = PROT_READ | PROT_EXEC,
	.perms = "r-xp",
	.can_read = true,
};

FIXTURE_VARIANT_ADD(mmap_prot, all)
{
	.prot = PROT_READ | PROT_WRITE | PROT_EXEC,
	.perms = "rwxp",
	.can_read = true,
	.can_write = true,
};

FIXTURE_SETUP(mmap_prot)
{
	self->ps = page_size();
}

FIXTURE_TEARDOWN(mmap_prot)
{
}

TEST_F(mmap_prot, reads_and_writes_end_as_maps_says)
{
	struct fault read_fault, write_fault;
	struct vma vma;
	unsigned char *p;

	ACT(mmap);
	p = map_alone(self->ps, variant->prot, MAP_PRIVATE, -1);
	ASSERT_TRUE(find_vma(p, &vma));
	read_fault = probe_read(p);
	write_fault = probe_write(p);

	EXPECT_STREQ(variant->perms, vma.perms);
	EXPECT_EQ(variant->can_read ? 0 : SIGSEGV, read_fault.signal);
	EXPECT_EQ(variant->can_read ? 0 : SEGV_ACCERR, read_fault.code);
	EXPECT_EQ(variant->can_write ? 0 : SIGSEGV, write_fault.signal);
	EXPECT_EQ(variant->can_write ? 0 : SEGV_ACCERR, write_fault.code);
}

/* The code comes from a file, so that no mapping here is ever writable. */
TEST_F(mmap_prot, exec_ends_as_maps_says)
{
	int fd = backing_open(SHMEM, self->ps);
	unsigned char *code, *p;
	struct fault f;

	ASSERT_LE(0, fd);
	code = map_alone(self->ps, PROT_RW, MAP_SHARED, fd);
	ASSERT_NE(MAP_FAILED, code);
	put_return(code);

	ACT(mmap);
	p = map_alone(self->ps, variant->prot, MAP_PRIVATE, fd);
	ASSERT_MAPPED(p, self->ps);
	f = probe_exec(p);

	EXPECT_EQ(variant->prot & PROT_EXEC ? 0 : SIGSEGV, f.signal);
	EXPECT_EQ(variant->prot & PROT_EXEC ? 0 : SEGV_ACCERR, f.code);
}

TEST_HARNESS_MAIN
