/* SPDX-License-Identifier: GPL-2.0 */
/* How many pages there are to be had: what loses pages makes them fewer. */
#ifndef MEMSAFE_FREE_PAGES_H
#define MEMSAFE_FREE_PAGES_H

#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/percpu.h>
#include <linux/vmstat.h>

/* On the buddy and the per-CPU lists; others take and return pages meanwhile. */
static inline long count_free_pages(void)
{
	long nr = 0;
	int cpu, nid, i;

	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			struct zone *zone = NODE_DATA(nid)->node_zones + i;

			if (!populated_zone(zone))
				continue;
			nr += zone_page_state_snapshot(zone, NR_FREE_PAGES);
			for_each_online_cpu(cpu)
				nr += per_cpu_ptr(zone->per_cpu_pageset, cpu)->count;
		}
	}
	return nr;
}

#endif
