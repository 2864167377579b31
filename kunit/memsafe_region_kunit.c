// SPDX-License-Identifier: GPL-2.0
/*
 * Who asks for the registers of a device gets them alone, or an error that says
 * why; and when the driver goes, or fails to come, its claim and its mapping go
 * too (Documentation/driver-api/driver-model/devres.rst, the kernel-doc of
 * devm_ioremap_resource() and request_region()).
 */
#include <kunit/test.h>
#include <linux/device.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "memsafe_guest.h"
#include "memsafe_pci.h"

MEMSAFE_GUEST("pc");

/* Ours lies in the middle of what the device has. */
enum { PART = 256, START = 2 * PART };

static void release_part(void *ctx)
{
	resource_size_t start = *(resource_size_t *)ctx;

	release_mem_region(start, PART);
}

/* [START, START + PART) of the BAR, until the case ends. */
static resource_size_t claim_part(struct kunit *test, struct pci_dev *pdev)
{
	resource_size_t *start = kunit_kzalloc(test, sizeof(*start), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, start);
	*start = pci_resource_start(pdev, TESTDEV_MMIO_BAR) + START;
	KUNIT_ASSERT_NOT_NULL(test, request_mem_region(*start, PART, "memsafe_region"));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, release_part, start));
	return *start;
}

/* Could somebody have this now?  Leaves it as it was. */
static bool is_free(resource_size_t start, resource_size_t len)
{
	bool got = request_mem_region(start, len, "memsafe_region");

	if (got)
		release_mem_region(start, len);
	return got;
}

static struct resource *mmio_of(struct pci_dev *pdev)
{
	return &pdev->resource[TESTDEV_MMIO_BAR];
}

static bool is_bar_free(struct pci_dev *pdev)
{
	return is_free(pci_resource_start(pdev, TESTDEV_MMIO_BAR),
		       pci_resource_len(pdev, TESTDEV_MMIO_BAR));
}

static void claimed_region_has_one_owner(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	resource_size_t start;

	KUNIT_ASSERT_TRUE(test, is_bar_free(pdev));

	start = claim_part(test, pdev);

	KUNIT_EXPECT_FALSE(test, is_free(start, PART));
	KUNIT_EXPECT_FALSE(test, is_free(start, 1));
	KUNIT_EXPECT_FALSE(test, is_free(start + PART - 1, 2));
	KUNIT_EXPECT_FALSE(test, is_free(start - 1, 2));
	KUNIT_EXPECT_FALSE(test, is_bar_free(pdev));
	KUNIT_EXPECT_EQ(test, -EBUSY, pci_request_region(pdev, TESTDEV_MMIO_BAR, "other"));
}

static void neighbours_of_a_claimed_region_are_free(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	resource_size_t start = claim_part(test, pdev);

	KUNIT_EXPECT_TRUE(test, is_free(start - PART, PART));
	KUNIT_EXPECT_TRUE(test, is_free(start + PART, PART));
}

static void released_region_is_free(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	resource_size_t start = pci_resource_start(pdev, TESTDEV_MMIO_BAR);

	KUNIT_ASSERT_NOT_NULL(test, request_mem_region(start, PART, "memsafe_region"));
	KUNIT_ASSERT_FALSE(test, is_bar_free(pdev));

	release_mem_region(start, PART);

	KUNIT_EXPECT_TRUE(test, is_bar_free(pdev));
}

/* What is given back must be what was claimed: __release_region(), kernel/resource.c */
static void part_of_a_claimed_region_can_not_be_released(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	resource_size_t start = claim_part(test, pdev);

	release_mem_region(start, PART / 2);
	release_mem_region(start + PART / 2, PART / 2);

	KUNIT_EXPECT_FALSE(test, is_free(start, PART / 2));
	KUNIT_EXPECT_FALSE(test, is_free(start + PART / 2, PART / 2));
}

/* A driver that does nothing but map one resource. */
static struct {
	const struct resource *resource;
	int result;		/* of its probe, after the mapping */
	int mapped;		/* 0, or the error of the mapping */
	void __iomem *regs;
} probed;

static int map_in_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	void __iomem *regs = devm_ioremap_resource(&pdev->dev, probed.resource);

	probed.mapped = PTR_ERR_OR_ZERO((void __force *)regs);
	if (probed.mapped)
		return probed.mapped;
	probed.regs = regs;
	return probed.result;
}

static const struct pci_device_id testdev_ids[] = {
	{ PCI_DEVICE(TESTDEV_VENDOR, TESTDEV_DEVICE) },
	{}
};

static struct pci_driver testdev_driver = {
	.name = "memsafe_region",
	.id_table = testdev_ids,
	.probe = map_in_probe,
};

/*
 * As pci_register_driver(), but no module is named in sysfs: before v6.7 suites ran
 * before the kobject of theirs was there.
 */
static int register_without_owner(struct pci_driver *driver)
{
	return __pci_register_driver(driver, NULL, NULL);
}

static void unregister_driver(void *ctx)
{
	pci_unregister_driver(&testdev_driver);
}

/* The driver has met the device when this returns; its probe gives @result. */
static void probe_device(struct kunit *test, const struct resource *resource, int result)
{
	probed.resource = resource;
	probed.result = result;
	probed.mapped = -ENOENT;
	probed.regs = NULL;
	KUNIT_ASSERT_EQ(test, 0, register_without_owner(&testdev_driver));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, unregister_driver, NULL));
}

/* Could the kernel read at that address?  Also after it was unmapped. */
static bool is_readable(void __iomem *p)
{
	u32 value;

	/* vmalloc space keeps stale translations until somebody asks. */
	vm_unmap_aliases();
	return !copy_from_kernel_nofault(&value, (void __force *)p, sizeof(value));
}

static void unbind_releases_the_region_and_the_mapping(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);

	probe_device(test, mmio_of(pdev), 0);
	KUNIT_ASSERT_EQ(test, 0, probed.mapped);
	KUNIT_ASSERT_PTR_EQ(test, &testdev_driver.driver, pdev->dev.driver);
	KUNIT_ASSERT_FALSE(test, is_bar_free(pdev));
	KUNIT_ASSERT_TRUE(test, is_readable(probed.regs));

	device_release_driver(&pdev->dev);

	KUNIT_EXPECT_TRUE(test, is_bar_free(pdev));
	KUNIT_EXPECT_FALSE(test, is_readable(probed.regs));
}

static void failed_probe_releases_the_region_and_the_mapping(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);

	probe_device(test, mmio_of(pdev), -ENODEV);
	KUNIT_ASSERT_EQ(test, 0, probed.mapped);

	KUNIT_EXPECT_NULL(test, pdev->dev.driver);
	KUNIT_EXPECT_TRUE(test, is_bar_free(pdev));
	KUNIT_EXPECT_FALSE(test, is_readable(probed.regs));
}

static void busy_resource_is_ebusy_and_stays_as_it_was(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);

	claim_part(test, pdev);

	probe_device(test, mmio_of(pdev), 0);

	KUNIT_EXPECT_EQ(test, -EBUSY, probed.mapped);
	KUNIT_EXPECT_NULL(test, pdev->dev.driver);
	KUNIT_EXPECT_FALSE(test, is_bar_free(pdev));
}

/* Where the device has no such resource, the driver passes NULL on. */
static void missing_resource_is_einval(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);

	probe_device(test, NULL, 0);

	KUNIT_EXPECT_EQ(test, -EINVAL, probed.mapped);
	KUNIT_EXPECT_NULL(test, pdev->dev.driver);
}

static void resource_of_another_kind_is_einval(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);
	const struct resource *ports = &pdev->resource[TESTDEV_PORT_BAR];

	KUNIT_ASSERT_TRUE(test, ports->flags & IORESOURCE_IO);

	probe_device(test, ports, 0);

	KUNIT_EXPECT_EQ(test, -EINVAL, probed.mapped);
	KUNIT_EXPECT_TRUE(test, is_bar_free(pdev));
}

static void device_binds_again_after_unbind(struct kunit *test)
{
	struct pci_dev *pdev = take_testdev(test);

	probe_device(test, mmio_of(pdev), 0);
	device_release_driver(&pdev->dev);
	probed.mapped = -ENOENT;

	KUNIT_EXPECT_EQ(test, 1, device_attach(&pdev->dev));

	KUNIT_EXPECT_EQ(test, 0, probed.mapped);
	KUNIT_EXPECT_TRUE(test, is_readable(probed.regs));
	KUNIT_EXPECT_FALSE(test, is_bar_free(pdev));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(claimed_region_has_one_owner),
	KUNIT_CASE(neighbours_of_a_claimed_region_are_free),
	KUNIT_CASE(released_region_is_free),
	KUNIT_CASE(part_of_a_claimed_region_can_not_be_released),
	KUNIT_CASE(unbind_releases_the_region_and_the_mapping),
	KUNIT_CASE(failed_probe_releases_the_region_and_the_mapping),
	KUNIT_CASE(busy_resource_is_ebusy_and_stays_as_it_was),
	KUNIT_CASE(missing_resource_is_einval),
	KUNIT_CASE(resource_of_another_kind_is_einval),
	KUNIT_CASE(device_binds_again_after_unbind),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_region",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of claims to device memory");
MODULE_LICENSE("GPL");
