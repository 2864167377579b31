/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Physical addresses of each sort as the tree of resources knows them: the end of
 * RAM, a hole, the registers of a device.
 */
#ifndef MEMSAFE_IOMEM_H
#define MEMSAFE_IOMEM_H

#include <kunit/test.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/string.h>

/* The first address behind the last range of RAM. */
static inline phys_addr_t ram_end(void)
{
	struct resource *res = iomem_resource.child;
	phys_addr_t end = 0;

	for (; res; res = res->sibling)
		if ((res->flags & IORESOURCE_SYSTEM_RAM) == IORESOURCE_SYSTEM_RAM)
			end = res->end + 1;
	return ALIGN_DOWN(end, PAGE_SIZE);
}

/* The last page below @end that was given to the page allocator. */
static inline phys_addr_t last_managed_page(phys_addr_t end)
{
	unsigned long pfn = PHYS_PFN(end) - 1;

	while (!pfn_valid(pfn) || PageReserved(pfn_to_page(pfn)))
		pfn--;
	return PFN_PHYS(pfn);
}

static inline void release_hole(void *hole)
{
	release_resource(hole);
}

/*
 * @size addresses, aligned to their number, that nobody uses, and that nobody can
 * claim as long as the case runs; 0 if there are none.  Nothing answers there: look
 * at mappings of them, never through.
 */
static inline phys_addr_t claim_hole(struct kunit *test, unsigned long size)
{
	struct resource *hole = kunit_kzalloc(test, sizeof(*hole), GFP_KERNEL);

	if (!hole)
		return 0;
	hole->name = MEMSAFE_SUITE;
	hole->flags = IORESOURCE_MEM;
	if (allocate_resource(&iomem_resource, hole, size, SZ_16M, U32_MAX, size, NULL, NULL))
		return 0;
	return kunit_add_action_or_reset(test, release_hole, hole) ? 0 : hole->start;
}

/* The first resource among @res and its siblings, or below them, or NULL. */
static inline struct resource *find_resource(struct resource *res, const char *name)
{
	for (; res; res = res->sibling) {
		struct resource *found;

		if (res->name && strstr(res->name, name))
			return res;
		found = find_resource(res->child, name);
		if (found)
			return found;
	}
	return NULL;
}

#endif
