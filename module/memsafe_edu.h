/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * QEMU's PCI device "edu" (docs/specs/edu.rst there), for its driver and for
 * the tests.  Registers below 0x80 are 32 bits wide and nothing else, those from
 * 0x80 on may be accessed in 64 bits too; all are little endian.
 */
#ifndef MEMSAFE_EDU_H
#define MEMSAFE_EDU_H

#define MEMSAFE_EDU_NAME	"memsafe_edu"

#define EDU_VENDOR		0x1234
#define EDU_DEVICE		0x11e8
#define EDU_BAR			0
#define EDU_BAR_SIZE		(1U << 20)	/* bytes, aligned to its size */

#define EDU_ID			0x00	/* 0xRRrr00ed, version RR.rr */
#define EDU_ID_MASK		0xffU
#define EDU_ID_VALUE		0xedU
#define EDU_LIVENESS		0x04	/* reads as the inverse of what was written */
#define EDU_FACTORIAL		0x08	/* n becomes n!, modulo 2^32 */
#define EDU_STATUS		0x20
#define EDU_STATUS_COMPUTING	(1U << 0)	/* the factorial is not ready */
#define EDU_STATUS_RAISE	(1U << 7)	/* interrupt when it is */
#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_FACTORIAL	0x001U
#define EDU_IRQ_DMA		0x100U
#define EDU_IRQ_RAISE		0x60	/* sets bits of the status */
#define EDU_IRQ_ACK		0x64	/* clears them */

/* Ignored while a transfer runs.  One of the addresses is in the device. */
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_START		(1U << 0)	/* reads as 1 until the end */
#define EDU_DMA_TO_DEVICE	(0U << 1)
#define EDU_DMA_FROM_DEVICE	(1U << 1)
#define EDU_DMA_RAISE		(1U << 2)	/* EDU_IRQ_DMA at the end */
#define EDU_DMA_BITS		28	/* of a bus address */

/*
 * The device's own memory, seen by its DMA only.  It is 4096 bytes, but QEMU 7.2
 * aborts when a transfer ends with the last of them (edu_check_range() in
 * hw/misc/edu.c takes the end as included), as it does for every range outside.
 */
#define EDU_MEMORY		0x40000
#define EDU_MEMORY_SIZE		(4096 - 8)

#endif
