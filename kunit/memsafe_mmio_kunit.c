// SPDX-License-Identifier: GPL-2.0
/*
 * An access to device memory happens once, in its width, on its own bytes, in
 * little-endian order whatever the CPU's is, and reaches the device
 * (Documentation/driver-api/device-io.rst).  Seen on three devices: one whose
 * BAR is plain memory, one that counts writes, and one that computes and takes
 * 32-bit accesses only.
 */
#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/io.h>
/* The two below define readq() and writeq() where the CPU has none. */
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/io-64-nonatomic-hi-lo.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_guest.h"
#include "memsafe_pci.h"

MEMSAFE_GUEST("pc");

/* Each byte of it differs, from one another and from FILL. */
#define VALUE	0x0102030405060708ULL
#define FILL	0xaa

struct accessor {
	const char *name;
	unsigned int bytes;
	bool big_endian;
	u64 (*read)(void __iomem *p);
	void (*write)(void __iomem *p, u64 value);
};

#define ACCESSOR_FUNCTIONS(in, out)			\
	static u64 call_##in(void __iomem *p)		\
	{						\
		return in(p);				\
	}						\
	static void call_##out(void __iomem *p, u64 v)	\
	{						\
		out(v, p);				\
	}

ACCESSOR_FUNCTIONS(readb, writeb)
ACCESSOR_FUNCTIONS(readw, writew)
ACCESSOR_FUNCTIONS(readl, writel)
ACCESSOR_FUNCTIONS(readq, writeq)
ACCESSOR_FUNCTIONS(readb_relaxed, writeb_relaxed)
ACCESSOR_FUNCTIONS(readw_relaxed, writew_relaxed)
ACCESSOR_FUNCTIONS(readl_relaxed, writel_relaxed)
ACCESSOR_FUNCTIONS(ioread8, iowrite8)
ACCESSOR_FUNCTIONS(ioread16, iowrite16)
ACCESSOR_FUNCTIONS(ioread32, iowrite32)
ACCESSOR_FUNCTIONS(ioread16be, iowrite16be)
ACCESSOR_FUNCTIONS(ioread32be, iowrite32be)
ACCESSOR_FUNCTIONS(lo_hi_readq, lo_hi_writeq)
ACCESSOR_FUNCTIONS(hi_lo_readq, hi_lo_writeq)

#define ACCESSOR(in, out, width, be) \
	{ #in " and " #out, width, be, call_##in, call_##out }

static const struct accessor accessors[] = {
	ACCESSOR(readb, writeb, 1, false),
	ACCESSOR(readw, writew, 2, false),
	ACCESSOR(readl, writel, 4, false),
	ACCESSOR(readq, writeq, 8, false),
	ACCESSOR(readb_relaxed, writeb_relaxed, 1, false),
	ACCESSOR(readw_relaxed, writew_relaxed, 2, false),
	ACCESSOR(readl_relaxed, writel_relaxed, 4, false),
	ACCESSOR(ioread8, iowrite8, 1, false),
	ACCESSOR(ioread16, iowrite16, 2, false),
	ACCESSOR(ioread32, iowrite32, 4, false),
	ACCESSOR(ioread16be, iowrite16be, 2, true),
	ACCESSOR(ioread32be, iowrite32be, 4, true),
	ACCESSOR(lo_hi_readq, lo_hi_writeq, 8, false),
	ACCESSOR(hi_lo_readq, hi_lo_writeq, 8, false),
};

static void describe_accessor(const struct accessor *a, char *desc)
{
	strscpy(desc, a->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(accessor, accessors, describe_accessor);

/* The byte of VALUE that lies at this place when the accessor writes it. */
static u8 byte_at(const struct accessor *a, unsigned int place)
{
	return VALUE >> BITS_PER_BYTE * (a->big_endian ? a->bytes - 1 - place : place);
}

static void fill_io(void __iomem *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		writeb(FILL, p + i);
}

/* The first place in [from, to) that does not hold FILL; `to` when all do. */
static size_t first_changed(void __iomem *p, size_t from, size_t to)
{
	size_t i;

	for (i = from; i < to && readb(p + i) == FILL; i++)
		;
	return i;
}

/*
 *	| FILL | VALUE | FILL        |
 *	0      8       8 + bytes     32
 */
enum { PLACE = 8, AREA = 32 };

static void write_changes_its_own_bytes_in_order(struct kunit *test)
{
	void __iomem *ram = map_bar(test, take_ivshmem(test), IVSHMEM_MEMORY_BAR);
	const struct accessor *a = test->param_value;
	unsigned int i;

	fill_io(ram, AREA);

	a->write(ram + PLACE, VALUE);

	KUNIT_EXPECT_EQ(test, PLACE, first_changed(ram, 0, PLACE));
	for (i = 0; i < a->bytes; i++)
		KUNIT_EXPECT_EQ_MSG(test, byte_at(a, i), readb(ram + PLACE + i), "byte %u", i);
	KUNIT_EXPECT_EQ(test, AREA, first_changed(ram, PLACE + a->bytes, AREA));
}

static void read_takes_its_own_bytes_in_order(struct kunit *test)
{
	void __iomem *ram = map_bar(test, take_ivshmem(test), IVSHMEM_MEMORY_BAR);
	const struct accessor *a = test->param_value;
	unsigned int i;

	fill_io(ram, AREA);
	for (i = 0; i < a->bytes; i++)
		writeb(byte_at(a, i), ram + PLACE + i);

	KUNIT_EXPECT_EQ(test, VALUE & GENMASK_ULL(BITS_PER_BYTE * a->bytes - 1, 0),
			a->read(ram + PLACE));
}

/* Whole words, their rests on either side, and more than a page. */
static const struct piece {
	unsigned int offset;
	unsigned int len;
} pieces[] = {
	{ 0, 1 }, { 1, 3 }, { 3, 13 }, { 4, 64 }, { 7, 255 }, { 1, PAGE_SIZE + 1 },
};

static void describe_piece(const struct piece *piece, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bytes at %u", piece->len, piece->offset);
}
KUNIT_ARRAY_PARAM(piece, pieces, describe_piece);

enum { RANGE_AREA = 2 * PAGE_SIZE };

static u8 nth_byte(size_t i)
{
	/* Not FILL: it has the top bit. */
	return (i * 7 + i / 128) & 0x7f;
}

static void memcpy_toio_writes_its_own_range_only(struct kunit *test)
{
	void __iomem *ram = map_bar(test, take_ivshmem(test), IVSHMEM_MEMORY_BAR);
	const struct piece *piece = test->param_value;
	const unsigned int end = piece->offset + piece->len;
	u8 *bytes = kunit_kmalloc(test, piece->len, GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	for (i = 0; i < piece->len; i++)
		bytes[i] = nth_byte(i);
	fill_io(ram, RANGE_AREA);

	memcpy_toio(ram + piece->offset, bytes, piece->len);

	KUNIT_EXPECT_EQ(test, piece->offset, first_changed(ram, 0, piece->offset));
	for (i = 0; i < piece->len && readb(ram + piece->offset + i) == nth_byte(i); i++)
		;
	KUNIT_EXPECT_EQ(test, piece->len, i);
	KUNIT_EXPECT_EQ(test, RANGE_AREA, first_changed(ram, end, RANGE_AREA));
}

static void memcpy_fromio_reads_its_own_range_only(struct kunit *test)
{
	enum { GUARD = 0xbb };
	void __iomem *ram = map_bar(test, take_ivshmem(test), IVSHMEM_MEMORY_BAR);
	const struct piece *piece = test->param_value;
	u8 *bytes = kunit_kmalloc(test, piece->len + 1, GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	memset(bytes, GUARD, piece->len + 1);
	fill_io(ram, RANGE_AREA);
	for (i = 0; i < piece->len; i++)
		writeb(nth_byte(i), ram + piece->offset + i);

	memcpy_fromio(bytes, ram + piece->offset, piece->len);

	for (i = 0; i < piece->len && bytes[i] == nth_byte(i); i++)
		;
	KUNIT_EXPECT_EQ(test, piece->len, i);
	KUNIT_EXPECT_EQ(test, GUARD, bytes[piece->len]);
}

static void memset_io_sets_its_own_range_only(struct kunit *test)
{
	enum { SET = 0x5c };
	void __iomem *ram = map_bar(test, take_ivshmem(test), IVSHMEM_MEMORY_BAR);
	const struct piece *piece = test->param_value;
	const unsigned int end = piece->offset + piece->len;
	unsigned int i;

	fill_io(ram, RANGE_AREA);

	memset_io(ram + piece->offset, SET, piece->len);

	KUNIT_EXPECT_EQ(test, piece->offset, first_changed(ram, 0, piece->offset));
	for (i = piece->offset; i < end && readb(ram + i) == SET; i++)
		;
	KUNIT_EXPECT_EQ(test, end, i);
	KUNIT_EXPECT_EQ(test, RANGE_AREA, first_changed(ram, end, RANGE_AREA));
}

/* Write combining: the bytes are there once the buffers are flushed. */
static void write_through_a_combining_mapping_is_read_through_another(struct kunit *test)
{
	struct pci_dev *pdev = take_ivshmem(test);
	void __iomem *ram;
	unsigned int i;

	ram = map_bar(test, pdev, IVSHMEM_MEMORY_BAR);
	fill_io(ram, AREA);
	kunit_release_action(test, unmap_bar, (void __force *)ram);
	ram = ioremap_wc(pci_resource_start(pdev, IVSHMEM_MEMORY_BAR), PAGE_SIZE);
	KUNIT_ASSERT_NOT_NULL(test, (void __force *)ram);

	for (i = PLACE; i < AREA; i++)
		writeb(nth_byte(i), ram + i);
	wmb();
	iounmap(ram);

	ram = map_bar(test, pdev, IVSHMEM_MEMORY_BAR);
	KUNIT_EXPECT_EQ(test, PLACE, first_changed(ram, 0, PLACE));
	for (i = PLACE; i < AREA; i++)
		KUNIT_EXPECT_EQ_MSG(test, nth_byte(i), readb(ram + i), "byte %u", i);
}

enum { TIMES = 5 };

static void write_8(void __iomem *p, const u8 *values)
{
	unsigned int i;

	for (i = 0; i < TIMES; i++)
		writeb(values[i], p);
}

static void iowrite_8(void __iomem *p, const u8 *values)
{
	unsigned int i;

	for (i = 0; i < TIMES; i++)
		iowrite8(values[i], p);
}

static void write_string_8(void __iomem *p, const u8 *values)
{
	writesb(p, values, TIMES);
}

static void iowrite_string_8(void __iomem *p, const u8 *values)
{
	iowrite8_rep(p, values, TIMES);
}

static const struct repeated {
	const char *name;
	void (*write)(void __iomem *p, const u8 *values);
} repeated[] = {
	{ "writeb", write_8 },
	{ "iowrite8", iowrite_8 },
	{ "writesb", write_string_8 },
	{ "iowrite8_rep", iowrite_string_8 },
};

static void describe_repeated(const struct repeated *repeated, char *desc)
{
	strscpy(desc, repeated->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(repeated, repeated, describe_repeated);

/* No write is left out, merged with the one before, or made twice. */
static void each_write_of_a_register_reaches_the_device_once(struct kunit *test)
{
	void __iomem *bar = map_bar(test, take_testdev(test), TESTDEV_MMIO_BAR);
	const struct repeated *repeated = test->param_value;
	u8 values[TIMES];

	writeb(TESTDEV_PLAIN, bar + TESTDEV_TEST);
	KUNIT_ASSERT_EQ(test, 1, readb(bar + TESTDEV_WIDTH));
	KUNIT_ASSERT_EQ(test, 0, readl(bar + TESTDEV_COUNT));
	memset(values, readb(bar + TESTDEV_DATA), sizeof(values));

	repeated->write(bar + readl(bar + TESTDEV_OFFSET), values);

	KUNIT_EXPECT_EQ(test, TIMES, readl(bar + TESTDEV_COUNT));
}

/* A string operation stays at its address and moves in memory. */
static void string_write_leaves_the_last_value(struct kunit *test)
{
	static const u32 values[TIMES] = { 1, 2, 3, 4, 0x01020304 };
	void __iomem *ram = map_bar(test, take_ivshmem(test), IVSHMEM_MEMORY_BAR);

	fill_io(ram, AREA);

	iowrite32_rep(ram + PLACE, values, TIMES);

	KUNIT_EXPECT_EQ(test, values[TIMES - 1], readl(ram + PLACE));
	KUNIT_EXPECT_EQ(test, AREA, first_changed(ram, PLACE + sizeof(values[0]), AREA));
}

static void string_read_fills_memory_from_one_register(struct kunit *test)
{
	void __iomem *ram = map_bar(test, take_ivshmem(test), IVSHMEM_MEMORY_BAR);
	u32 values[TIMES + 1] = {};
	unsigned int i;

	fill_io(ram, AREA);
	writel(0x01020304, ram + PLACE);

	ioread32_rep(ram + PLACE, values, TIMES);

	for (i = 0; i < TIMES; i++)
		KUNIT_EXPECT_EQ_MSG(test, 0x01020304, values[i], "value %u", i);
	KUNIT_EXPECT_EQ(test, 0, values[TIMES]);
}

static void register_answers_what_it_computed(struct kunit *test)
{
	void __iomem *edu = map_bar(test, take_edu(test), EDU_BAR);
	const u32 written[] = { 0, 0x12345678, ~0U };
	unsigned int i;

	KUNIT_EXPECT_EQ(test, EDU_ID_VALUE, readl(edu + EDU_ID) & EDU_ID_MASK);
	for (i = 0; i < ARRAY_SIZE(written); i++) {
		writel(written[i], edu + EDU_LIVENESS);
		KUNIT_EXPECT_EQ(test, ~written[i], readl(edu + EDU_LIVENESS));
		KUNIT_EXPECT_EQ(test, ~written[i], ioread32(edu + EDU_LIVENESS));
	}
}

/* By a thread of QEMU: the status register says when it is ready. */
static bool is_ready(void __iomem *edu)
{
	const unsigned long deadline = jiffies + 10 * HZ;

	while (readl(edu + EDU_STATUS) & EDU_STATUS_COMPUTING) {
		if (time_after(jiffies, deadline))
			return false;
		usleep_range(100, 1000);
	}
	return true;
}

static void register_changes_without_a_write(struct kunit *test)
{
	void __iomem *edu = map_bar(test, take_edu(test), EDU_BAR);

	writel(3, edu + EDU_FACTORIAL);
	KUNIT_EXPECT_TRUE(test, is_ready(edu));
	KUNIT_EXPECT_EQ(test, 6, readl(edu + EDU_FACTORIAL));

	writel(10, edu + EDU_FACTORIAL);
	KUNIT_EXPECT_TRUE(test, is_ready(edu));
	KUNIT_EXPECT_EQ(test, 3628800, readl(edu + EDU_FACTORIAL));
}

/* The device has no 64-bit registers here: it answers ~0 and hears nothing. */
static void readq_is_one_access_of_64_bits(struct kunit *test)
{
	void __iomem *edu = map_bar(test, take_edu(test), EDU_BAR);

	if (!IS_ENABLED(CONFIG_64BIT))
		kunit_skip(test, "needs CONFIG_64BIT=y");
	writel(0, edu + EDU_LIVENESS);

	writeq(~0ULL, edu + EDU_ID);

	KUNIT_EXPECT_EQ(test, ~0U, readl(edu + EDU_LIVENESS));
	KUNIT_EXPECT_EQ(test, ~0ULL, readq(edu + EDU_ID));
}

static void lo_hi_readq_is_two_accesses_of_32_bits(struct kunit *test)
{
	void __iomem *edu = map_bar(test, take_edu(test), EDU_BAR);
	const u64 value = 0x1234567800000000ULL;

	lo_hi_writeq(value, edu + EDU_ID);
	KUNIT_EXPECT_EQ(test, ~upper_32_bits(value), readl(edu + EDU_LIVENESS));
	KUNIT_EXPECT_EQ(test, (u64)~upper_32_bits(value) << 32 | readl(edu + EDU_ID),
			lo_hi_readq(edu + EDU_ID));

	hi_lo_writeq(~value, edu + EDU_ID);
	KUNIT_EXPECT_EQ(test, upper_32_bits(value), readl(edu + EDU_LIVENESS));
	KUNIT_EXPECT_EQ(test, (value & ~0xffffffffULL) | readl(edu + EDU_ID),
			hi_lo_readq(edu + EDU_ID));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(write_changes_its_own_bytes_in_order, accessor_gen_params),
	KUNIT_CASE_PARAM(read_takes_its_own_bytes_in_order, accessor_gen_params),
	KUNIT_CASE_PARAM(memcpy_toio_writes_its_own_range_only, piece_gen_params),
	KUNIT_CASE_PARAM(memcpy_fromio_reads_its_own_range_only, piece_gen_params),
	KUNIT_CASE_PARAM(memset_io_sets_its_own_range_only, piece_gen_params),
	KUNIT_CASE(write_through_a_combining_mapping_is_read_through_another),
	KUNIT_CASE_PARAM(each_write_of_a_register_reaches_the_device_once, repeated_gen_params),
	KUNIT_CASE(string_write_leaves_the_last_value),
	KUNIT_CASE(string_read_fills_memory_from_one_register),
	KUNIT_CASE(register_answers_what_it_computed),
	KUNIT_CASE(register_changes_without_a_write),
	KUNIT_CASE(readq_is_one_access_of_64_bits),
	KUNIT_CASE(lo_hi_readq_is_two_accesses_of_32_bits),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_mmio",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of accesses to device memory");
MODULE_LICENSE("GPL");
