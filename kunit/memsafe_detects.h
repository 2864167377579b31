/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The suite proves that a detector sees, by provoking on purpose what it reports;
 * one line at file scope:
 *
 *	MEMSAFE_DETECTS("KASAN");	the name of the detector, for a sentence
 *
 * The runner reads it in the source.  When such a suite fails, that other suites
 * gave no report says nothing: there is no verdict.
 */
#ifndef MEMSAFE_DETECTS_H
#define MEMSAFE_DETECTS_H

#include <linux/module.h>

#define MEMSAFE_DETECTS(detector) MODULE_INFO(memsafe_detects, detector)

#endif
