/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hammer's model: what each page of a small piece of address space is, what
 * the file behind it holds, and so what every access must find.
 *
 * Of each page four bytes are known, its marks. The file's part lies in shared
 * memory: a forked child has the address space as it was at fork(), and the file
 * as it is.
 */
#ifndef HAMMER_MODEL_H
#define HAMMER_MODEL_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "memsafe_observer.h"

enum {
	PAGES = 8,		/* of address space, and at most of the file */
	FILE_PAGES = 2 * PAGES, /* that a mapping can reach */
	MARKS = 4,
};

enum page_kind { UNMAPPED, ANON_PAGE, SHARED_PAGE, PRIVATE_PAGE };

struct page_model {
	enum page_kind kind;
	int prot;
	bool locked;
	unsigned int at;     /* page of the file */
	unsigned int copied; /* epoch of the file page when it was copied */
	unsigned char marks[MARKS]; /* of a page of its own */
};

struct file_model {
	unsigned int pages;
	/* From 1; the next one begins when the page is cut off. */
	unsigned int epoch[FILE_PAGES];
	unsigned char marks[FILE_PAGES][MARKS];
};

struct model {
	struct page_model space[PAGES];
	struct file_model *file;
};

/* An access past the end of the file, by pread(). */
#define SEEN_EOF (-1)

static inline void model_reset(struct model *m)
{
	memset(m->space, 0, sizeof(m->space));
	memset(m->file, 0, sizeof(*m->file));
	for (int i = 0; i < FILE_PAGES; i++)
		m->file->epoch[i] = 1;
}

/* Does a private page have a copy of its own? truncate() takes it away. */
static inline bool model_is_copied(const struct model *m,
				   const struct page_model *p)
{
	return p->kind == PRIVATE_PAGE && p->copied == m->file->epoch[p->at];
}

/* Where the marks of a mapped page are. */
static inline unsigned char *model_marks(struct model *m, struct page_model *p)
{
	if (p->kind == ANON_PAGE || model_is_copied(m, p))
		return p->marks;
	return m->file->marks[p->at];
}

/* What an access must end with, 0 for no fault. */
static inline int model_fault(const struct model *m, const struct page_model *p,
			      int prot)
{
	if (p->kind == UNMAPPED)
		return SEEN_FAULT(SIGSEGV, SEGV_MAPERR);
	if ((p->prot & prot) != prot)
		return SEEN_FAULT(SIGSEGV, SEGV_ACCERR);
	if (p->kind != ANON_PAGE && p->at >= m->file->pages)
		return SEEN_FAULT(SIGBUS, BUS_ADRERR);
	return 0;
}

static inline int model_read(struct model *m, unsigned int page, int mark)
{
	struct page_model *p = &m->space[page];
	int fault = model_fault(m, p, PROT_READ);

	return fault ? fault : model_marks(m, p)[mark];
}

static inline int model_write(struct model *m, unsigned int page, int mark,
			      unsigned char value)
{
	struct page_model *p = &m->space[page];
	int fault = model_fault(m, p, PROT_READ | PROT_WRITE);

	if (fault)
		return fault;
	if (p->kind == PRIVATE_PAGE && !model_is_copied(m, p)) {
		memcpy(p->marks, m->file->marks[p->at], MARKS);
		p->copied = m->file->epoch[p->at];
	}
	model_marks(m, p)[mark] = value;
	return value;
}

static inline void model_map(struct model *m, unsigned int page,
			     unsigned int count, enum page_kind kind,
			     unsigned int at, int prot)
{
	for (unsigned int i = 0; i < count; i++)
		m->space[page + i] = (struct page_model){
			.kind = kind,
			.prot = prot,
			.at = kind == ANON_PAGE ? 0 : at + i,
		};
}

static inline void model_unmap(struct model *m, unsigned int page,
			       unsigned int count)
{
	memset(&m->space[page], 0, count * sizeof(m->space[0]));
}

static inline bool model_has_hole(const struct model *m, unsigned int page,
				  unsigned int count)
{
	for (unsigned int i = page; i < page + count; i++)
		if (m->space[i].kind == UNMAPPED)
			return true;
	return false;
}

/* Up to the first hole, which is ENOMEM; an errno. */
static inline int model_protect(struct model *m, unsigned int page,
				unsigned int count, int prot)
{
	for (unsigned int i = page; i < page + count; i++) {
		if (m->space[i].kind == UNMAPPED)
			return ENOMEM;
		m->space[i].prot = prot;
	}
	return 0;
}

static inline int model_move(struct model *m, unsigned int from,
			     unsigned int to)
{
	if (m->space[from].kind == UNMAPPED)
		return EFAULT;
	m->space[to] = m->space[from];
	model_unmap(m, from, 1);
	return 0;
}

/* All that is mapped, up to a locked page; an errno. */
static inline int model_discard(struct model *m, unsigned int page,
				unsigned int count)
{
	int err = 0;

	for (unsigned int i = page; i < page + count; i++) {
		struct page_model *p = &m->space[i];

		if (p->kind == UNMAPPED)
			err = ENOMEM;
		else if (p->locked)
			return EINVAL;
		p->copied = 0;
		memset(p->marks, 0, MARKS);
	}
	return err;
}

/* Of one page of memory that has no file; an errno. */
static inline int model_lock(struct model *m, unsigned int page, bool lock)
{
	struct page_model *p = &m->space[page];

	if (p->kind == UNMAPPED)
		return ENOMEM;
	p->locked = lock;
	return lock && p->prot == PROT_NONE ? ENOMEM : 0;
}

static inline void model_truncate(struct model *m, unsigned int pages)
{
	for (unsigned int i = pages; i < m->file->pages; i++) {
		m->file->epoch[i]++;
		memset(m->file->marks[i], 0, MARKS);
	}
	m->file->pages = pages;
}

#endif /* HAMMER_MODEL_H */
