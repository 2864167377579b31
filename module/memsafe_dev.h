/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of memsafe_dev share. */
#ifndef MEMSAFE_DEV_H
#define MEMSAFE_DEV_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "memsafe_dev_uapi.h"

/*
 * Never changes between its creation and the release of the file.  A VMA holds
 * its file, so a mapping, its fault handler included, needs no lock and no
 * reference of its own to use the buffer.
 */
struct memsafe_dev_buffer {
	u64 size;
	u32 memory;
	u32 map;
	u32 flags;
	void *kaddr;		/* NULL for MEMSAFE_DEV_PAGES */
	unsigned long npages;
	struct page *pages[] __counted_by(npages);
};

/* One open file. */
struct memsafe_dev_file {
	struct memsafe_dev_buffer *buffer;
	spinlock_t lock;	/* everything below */
	struct memsafe_dev_counters counters;
	struct memsafe_dev_inject inject;
};

static inline void memsafe_dev_count(struct memsafe_dev_file *dev, u64 *counter)
{
	spin_lock(&dev->lock);
	(*counter)++;
	spin_unlock(&dev->lock);
}

/* NULL until MEMSAFE_DEV_SETUP. */
static inline struct memsafe_dev_buffer *
memsafe_dev_buffer(struct memsafe_dev_file *dev)
{
	/* Pairs with the cmpxchg_release() in memsafe_dev_setup(). */
	return smp_load_acquire(&dev->buffer);
}

struct memsafe_dev_buffer *
memsafe_dev_buffer_create(const struct memsafe_dev_setup *setup);
void memsafe_dev_buffer_destroy(struct memsafe_dev_buffer *buf);
void memsafe_dev_buffer_totals(u64 *buffers, u64 *pages);
struct page *memsafe_dev_buffer_page(const struct memsafe_dev_buffer *buf,
				     unsigned long pgoff);
int memsafe_dev_buffer_access(struct memsafe_dev_buffer *buf, u64 pos,
			      void *data, int len, bool write);
ssize_t memsafe_dev_buffer_copy(struct memsafe_dev_buffer *buf, loff_t *pos,
				struct iov_iter *iter);

bool memsafe_dev_take(struct memsafe_dev_file *dev, u32 handler, u64 pgoff,
		      u32 *action);
int memsafe_dev_mmap(struct file *file, struct vm_area_struct *vma);

#endif
