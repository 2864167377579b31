/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A PCI device of QEMU that a case has for itself, whoever drives it otherwise,
 * and its BARs.
 */
#ifndef MEMSAFE_PCI_H
#define MEMSAFE_PCI_H

#include <kunit/test.h>
#include <linux/io.h>
#include <linux/pci.h>

#include "../module/memsafe_edu.h"

/* What <linux/pci.h> does not declare for a kernel without PCI: never called. */
#ifndef CONFIG_PCI
#define PCI_IRQ_ALL_TYPES 0

static inline int pci_request_region(struct pci_dev *pdev, int bar, const char *name)
{
	return -ENODEV;
}

static inline void pci_release_region(struct pci_dev *pdev, int bar)
{
}

static inline void pci_free_irq_vectors(struct pci_dev *pdev)
{
}
#endif

/* pci-testdev: docs/specs/pci-testdev.rst of QEMU.  Counts writes. */
#define TESTDEV_VENDOR		0x1b36
#define TESTDEV_DEVICE		0x0005
#define TESTDEV_MMIO_BAR	0
#define TESTDEV_PORT_BAR	1

/* Its registers, the same in both BARs, little endian, readable in any width. */
#define TESTDEV_TEST		0	/* u8, write only: starts that test */
#define TESTDEV_WIDTH		1	/* u8: bytes of the writes that count */
#define TESTDEV_OFFSET		4	/* u32: where in the BAR to write */
#define TESTDEV_DATA		8	/* u8: what to write */
#define TESTDEV_COUNT		12	/* u32: writes counted */
#define TESTDEV_NAME		16	/* of the test, ends with 0 */
#define TESTDEV_PLAIN		0	/* the test without an eventfd */

/* ivshmem-plain: docs/specs/ivshmem-spec.rst of QEMU.  BAR 2 is plain memory. */
#define IVSHMEM_VENDOR		0x1af4
#define IVSHMEM_DEVICE		0x1110
#define IVSHMEM_MEMORY_BAR	2

struct taken_device {
	struct kunit *test;
	struct pci_dev *pdev;
	bool was_driven;
};

static inline void give_device_back(void *ctx)
{
	struct taken_device *taken = ctx;

	pci_disable_device(taken->pdev);
	if (taken->was_driven)
		KUNIT_EXPECT_EQ(taken->test, 1, device_attach(&taken->pdev->dev));
	pci_dev_put(taken->pdev);
}

/*
 * Enabled, and without a driver until the case ends; skips where there is none.
 * @name: as QEMU has it.
 */
static inline struct pci_dev *take_device(struct kunit *test, u16 vendor, u16 device,
					  const char *name)
{
	struct taken_device *taken = kunit_kzalloc(test, sizeof(*taken), GFP_KERNEL);
	struct pci_dev *pdev = pci_get_device(vendor, device, NULL);

	if (!pdev)
		kunit_skip(test, "needs PCI device %s", name);
	KUNIT_ASSERT_NOT_NULL(test, taken);
	taken->test = test;
	taken->pdev = pdev;
	taken->was_driven = pdev->dev.driver;
	device_release_driver(&pdev->dev);
	KUNIT_ASSERT_EQ(test, 0, pci_enable_device(pdev));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, give_device_back, taken));
	return pdev;
}

static inline struct pci_dev *take_edu(struct kunit *test)
{
	return take_device(test, EDU_VENDOR, EDU_DEVICE, "edu");
}

static inline struct pci_dev *take_testdev(struct kunit *test)
{
	return take_device(test, TESTDEV_VENDOR, TESTDEV_DEVICE, "pci-testdev");
}

static inline struct pci_dev *take_ivshmem(struct kunit *test)
{
	return take_device(test, IVSHMEM_VENDOR, IVSHMEM_DEVICE, "ivshmem-plain");
}

static inline void unmap_bar(void *ctx)
{
	/* It needs the device only where ports are mapped by a window of it. */
	pci_iounmap(NULL, (void __iomem *)ctx);
}

/* The BAR for ioread*() and iowrite*(), of either kind, until the case ends. */
static inline void __iomem *map_bar(struct kunit *test, struct pci_dev *pdev, int bar)
{
	void __iomem *base = pci_iomap(pdev, bar, 0);

	KUNIT_ASSERT_NOT_NULL(test, (void __force *)base);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, unmap_bar, (void __force *)base));
	return base;
}

#endif
