// SPDX-License-Identifier: GPL-2.0
/*
 * An access to an I/O port happens once, in its width, on that port.  in*() and
 * out*() take its number; ioread*() and iowrite*() take either kind of BAR and
 * find out which it is (Documentation/driver-api/device-io.rst).  The device
 * counts writes, and names the BAR that it is reached through.
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_guest.h"
#include "memsafe_pci.h"

MEMSAFE_GUEST("pc");

/* What TESTDEV_NAME of each BAR begins with. */
static const char port_name[] = "portio-no-eventfd";
static const char mmio_name[] = "mmio-no-eventfd";

enum { TIMES = 5 };

/* The first port of the BAR, where the test without an eventfd runs. */
static unsigned long start_test(struct kunit *test, struct pci_dev *pdev)
{
	unsigned long port = pci_resource_start(pdev, TESTDEV_PORT_BAR);

	KUNIT_ASSERT_TRUE(test, pci_resource_flags(pdev, TESTDEV_PORT_BAR) & IORESOURCE_IO);
	outb(TESTDEV_PLAIN, port + TESTDEV_TEST);
	KUNIT_ASSERT_EQ(test, 1, inb(port + TESTDEV_WIDTH));
	KUNIT_ASSERT_EQ(test, 0, inl(port + TESTDEV_COUNT));
	return port;
}

/* From the device as bytes: they are in little-endian order. */
static u32 read_bytes(unsigned long port, unsigned int bytes)
{
	u32 value = 0;

	while (bytes--)
		value = value << BITS_PER_BYTE | inb(port + bytes);
	return value;
}

/* Aligned, as the device wants it. */
static void each_width_of_in_reads_its_own_ports(struct kunit *test)
{
	unsigned long port = start_test(test, take_testdev(test)) + TESTDEV_NAME;
	unsigned int at;

	for (at = 0; at < strlen(port_name); at++)
		KUNIT_EXPECT_EQ_MSG(test, port_name[at], inb(port + at), "port %u", at);
	for (at = 0; at < strlen(port_name); at += 2)
		KUNIT_EXPECT_EQ_MSG(test, read_bytes(port + at, 2), inw(port + at), "port %u", at);
	for (at = 0; at < strlen(port_name); at += 4)
		KUNIT_EXPECT_EQ_MSG(test, read_bytes(port + at, 4), inl(port + at), "port %u", at);
}

static void string_in_reads_one_port_each_time(struct kunit *test)
{
	unsigned long port = start_test(test, take_testdev(test)) + TESTDEV_NAME;
	u8 bytes[TIMES + 1] = {};
	u16 words[TIMES + 1] = {};
	u32 longs[TIMES + 1] = {};
	unsigned int i;

	insb(port, bytes, TIMES);
	insw(port, words, TIMES);
	insl(port, longs, TIMES);

	for (i = 0; i < TIMES; i++) {
		KUNIT_EXPECT_EQ_MSG(test, inb(port), bytes[i], "byte %u", i);
		KUNIT_EXPECT_EQ_MSG(test, inw(port), words[i], "word %u", i);
		KUNIT_EXPECT_EQ_MSG(test, inl(port), longs[i], "long %u", i);
	}
	KUNIT_EXPECT_EQ(test, 0, bytes[TIMES] | words[TIMES] | longs[TIMES]);
}

static void out_8(unsigned long port, void __iomem *mapped, const u8 *values)
{
	unsigned int i;

	for (i = 0; i < TIMES; i++)
		outb(values[i], port);
}

static void out_string_8(unsigned long port, void __iomem *mapped, const u8 *values)
{
	outsb(port, values, TIMES);
}

static void iowrite_8(unsigned long port, void __iomem *mapped, const u8 *values)
{
	unsigned int i;

	for (i = 0; i < TIMES; i++)
		iowrite8(values[i], mapped);
}

static void iowrite_string_8(unsigned long port, void __iomem *mapped, const u8 *values)
{
	iowrite8_rep(mapped, values, TIMES);
}

static const struct repeated {
	const char *name;
	void (*write)(unsigned long port, void __iomem *mapped, const u8 *values);
} repeated[] = {
	{ "outb", out_8 },
	{ "outsb", out_string_8 },
	{ "iowrite8", iowrite_8 },
	{ "iowrite8_rep", iowrite_string_8 },
};

static void describe_repeated(const struct repeated *repeated, char *desc)
{
	strscpy(desc, repeated->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(repeated, repeated, describe_repeated);

static void each_write_of_a_port_reaches_the_device_once(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	void __iomem *mapped = map_bar(test, pdev, TESTDEV_PORT_BAR);
	unsigned long port = start_test(test, pdev);
	const struct repeated *repeated = test->param_value;
	u32 offset = inl(port + TESTDEV_OFFSET);
	u8 values[TIMES];

	memset(values, inb(port + TESTDEV_DATA), sizeof(values));

	repeated->write(port + offset, mapped + offset, values);

	KUNIT_EXPECT_EQ(test, TIMES, inl(port + TESTDEV_COUNT));
}

/*
 * The device counts one value on one port, the last of four that are aligned:
 * the highest byte of a wide write goes there.
 */
static void wide_out_writes_its_own_ports_in_order(struct kunit *test)
{
	unsigned long port = start_test(test, take_testdev(test));
	unsigned long counted = port + inl(port + TESTDEV_OFFSET);
	u32 right = inb(port + TESTDEV_DATA);
	u32 everywhere = right * 0x01010101;

	KUNIT_ASSERT_EQ(test, 3, counted % 4);

	outw(right << 8, counted - 1);
	KUNIT_EXPECT_EQ(test, 1, inl(port + TESTDEV_COUNT));
	outl(right << 24, counted - 3);
	KUNIT_EXPECT_EQ(test, 2, inl(port + TESTDEV_COUNT));

	outb(right, counted - 1);
	outw(right, counted - 1);
	outw(everywhere, counted - 3);
	outl(everywhere ^ right << 24, counted - 3);
	outl(everywhere, counted + 1);
	KUNIT_EXPECT_EQ(test, 2, inl(port + TESTDEV_COUNT));
}

static void ioread_of_a_port_is_in(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	void __iomem *mapped = map_bar(test, pdev, TESTDEV_PORT_BAR) + TESTDEV_NAME;
	unsigned long port = start_test(test, pdev) + TESTDEV_NAME;
	u32 longs[TIMES + 1] = {};
	unsigned int i;

	KUNIT_EXPECT_EQ(test, inb(port), ioread8(mapped));
	KUNIT_EXPECT_EQ(test, inw(port), ioread16(mapped));
	KUNIT_EXPECT_EQ(test, inl(port), ioread32(mapped));
	KUNIT_EXPECT_EQ(test, swab16(inw(port)), ioread16be(mapped));
	KUNIT_EXPECT_EQ(test, swab32(inl(port)), ioread32be(mapped));
	ioread32_rep(mapped, longs, TIMES);
	for (i = 0; i < TIMES; i++)
		KUNIT_EXPECT_EQ_MSG(test, inl(port), longs[i], "long %u", i);
	KUNIT_EXPECT_EQ(test, 0, longs[TIMES]);
}

/* One driver for both kinds: nothing but the BAR says which it is. */
static void same_calls_reach_both_kinds_of_bar(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	void __iomem *bars[] = {
		map_bar(test, pdev, TESTDEV_PORT_BAR),
		map_bar(test, pdev, TESTDEV_MMIO_BAR),
	};
	const char *const names[] = { port_name, mmio_name };
	unsigned int i, at;

	for (i = 0; i < ARRAY_SIZE(bars); i++) {
		iowrite8(TESTDEV_PLAIN, bars[i] + TESTDEV_TEST);
		for (at = 0; at < strlen(names[i]); at++)
			KUNIT_EXPECT_EQ_MSG(test, names[i][at],
					    ioread8(bars[i] + TESTDEV_NAME + at),
					    "%s byte %u", names[i], at);
	}
}

static void busy_ports_are_refused(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	unsigned long port = pci_resource_start(pdev, TESTDEV_PORT_BAR);
	struct resource *mine = request_region(port + 16, 16, "memsafe_port_io");

	KUNIT_ASSERT_NOT_NULL(test, mine);

	KUNIT_EXPECT_NULL(test, request_region(port + 16, 16, "other"));
	KUNIT_EXPECT_NULL(test, request_region(port + 31, 1, "other"));
	KUNIT_EXPECT_NULL(test, request_region(port, 17, "other"));
	KUNIT_EXPECT_EQ(test, -EBUSY, pci_request_region(pdev, TESTDEV_PORT_BAR, "other"));
	/* The neighbours on both sides are free. */
	KUNIT_EXPECT_NOT_NULL(test, request_region(port, 16, "left"));
	KUNIT_EXPECT_NOT_NULL(test, request_region(port + 32, 1, "right"));
	release_region(port + 32, 1);
	release_region(port, 16);

	release_region(port + 16, 16);
	KUNIT_EXPECT_EQ(test, 0, pci_request_region(pdev, TESTDEV_PORT_BAR, "other"));
	pci_release_region(pdev, TESTDEV_PORT_BAR);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_width_of_in_reads_its_own_ports),
	KUNIT_CASE(string_in_reads_one_port_each_time),
	KUNIT_CASE_PARAM(each_write_of_a_port_reaches_the_device_once, repeated_gen_params),
	KUNIT_CASE(wide_out_writes_its_own_ports_in_order),
	KUNIT_CASE(ioread_of_a_port_is_in),
	KUNIT_CASE(same_calls_reach_both_kinds_of_bar),
	KUNIT_CASE(busy_ports_are_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_port_io",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of accesses to I/O ports");
MODULE_LICENSE("GPL");
