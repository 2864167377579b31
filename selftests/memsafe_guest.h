/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kind of guest that a program needs, one line at file scope, which the
 * runner reads in the source:
 *
 *	MEMSAFE_GUEST("pc");	PCI, with the devices that the target file lists
 *
 * A target without such a guest runs the program in its main one, where it must
 * skip what it lacks.
 */
#ifndef MEMSAFE_GUEST_H
#define MEMSAFE_GUEST_H

#define MEMSAFE_GUEST(kind) _Static_assert(sizeof(kind) > 1, "a kind")

#endif /* MEMSAFE_GUEST_H */
