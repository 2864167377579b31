/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kind of guest that a suite needs, one line at file scope:
 *
 *	MEMSAFE_GUEST("smp");	two CPUs
 *	MEMSAFE_GUEST("pc");	PCI, with the devices that the target file lists
 *	MEMSAFE_GUEST("oops");	alone in a guest that survives an oops
 *
 * The runner reads it in the source.  A target without such a guest runs the
 * suite in its main one, where the suite must skip what it lacks.
 */
#ifndef MEMSAFE_GUEST_H
#define MEMSAFE_GUEST_H

#include <linux/module.h>

#define MEMSAFE_GUEST(kind) MODULE_INFO(memsafe_guest, kind)

#endif
