/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kind of guest that a program needs, one line at file scope, which the
 * runner reads in the source:
 *
 *	MEMSAFE_GUEST("smp");	two CPUs
 *	MEMSAFE_GUEST("pc");	PCI, with the devices that the target file lists
 *
 * A target without such a guest runs the program in its main one, where it must
 * skip what it lacks.
 */
#ifndef MEMSAFE_GUEST_H
#define MEMSAFE_GUEST_H

#define MEMSAFE_GUEST(kind) _Static_assert(sizeof(kind) > 1, "a kind")

/*
 * For a setup that changes what is everybody's on the system: the guest's init
 * says in MEMSAFE_GUEST that nobody else is there.
 */
#define SKIP_OUTSIDE_A_GUEST()                                            \
	do {                                                              \
		if (!getenv("MEMSAFE_GUEST"))                             \
			SKIP(return, "needs MEMSAFE_GUEST, for a system " \
				     "that nobody else uses");            \
	} while (0)

#endif /* MEMSAFE_GUEST_H */
