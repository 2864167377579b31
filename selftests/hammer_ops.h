/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hammer's operations: each is done to the kernel and to the model, and what
 * they say must be the same. A world is one model and what it is a model of.
 */
#ifndef HAMMER_OPS_H
#define HAMMER_OPS_H

#include <sys/prctl.h>
#include <sys/socket.h>

#include "hammer_model.h"
#include "memsafe.h"

enum op_kind {
	OP_READ,
	OP_WRITE,
	OP_MAP_ANON,
	OP_MAP_SHARED,
	OP_MAP_PRIVATE,
	OP_UNMAP,
	OP_PROTECT,
	OP_MOVE,
	OP_DISCARD,
	OP_SYNC,
	OP_LOCK,
	OP_UNLOCK,
	OP_PREAD,
	OP_PWRITE,
	OP_TRUNCATE,
	OP_DROP,
	OP_DIRECT,
	OP_FORK,
	OP_KINDS,
};

/* As a reproducer spells them, and how many of a hundred are of each. */
static const struct {
	const char *name;
	int weight;
} op_kinds[OP_KINDS] = {
	[OP_READ] = {"read", 22},
	[OP_WRITE] = {"write", 24},
	[OP_MAP_ANON] = {"mmap_anon", 4},
	[OP_MAP_SHARED] = {"mmap_shared", 8},
	[OP_MAP_PRIVATE] = {"mmap_private", 4},
	[OP_UNMAP] = {"munmap", 3},
	[OP_PROTECT] = {"mprotect", 6},
	[OP_MOVE] = {"mremap", 5},
	[OP_DISCARD] = {"dontneed", 3},
	[OP_SYNC] = {"msync", 3},
	[OP_LOCK] = {"mlock", 2},
	[OP_UNLOCK] = {"munlock", 1},
	[OP_PREAD] = {"pread", 3},
	[OP_PWRITE] = {"pwrite", 3},
	[OP_TRUNCATE] = {"truncate", 3},
	[OP_DROP] = {"drop", 2},
	[OP_DIRECT] = {"direct", 2},
	[OP_FORK] = {"fork", 2},
};

/*
 * @page and @count are of the address space. @arg: the file's page, the mark, or
 * the other address. @value: what is stored, or PROT_*.
 */
struct op {
	enum op_kind kind;
	unsigned int who; /* which of two threads, each on a CPU of its own */
	unsigned int page;
	unsigned int count;
	unsigned int arg;
	unsigned int value;
};

struct world {
	struct model model;
	unsigned char *base;
	size_t ps;
	int fd;
	int direct; /* the same file past the page cache, -1: there is none */
	unsigned char *block; /* memory for it */
	pid_t child;
	int to_child[2];
};

/* Where the model and the kernel differ: what was expected, and seen. */
struct difference {
	bool found;
	int expected;
	int seen;
};

static inline unsigned char *world_at(const struct world *w, unsigned int page,
				      int mark)
{
	const size_t offset[MARKS] = {0, 1, w->ps / 2, w->ps - 1};

	return w->base + page * w->ps + offset[mark];
}

static inline off_t file_at(const struct world *w, unsigned int page, int mark)
{
	return page * w->ps + (world_at(w, 0, mark) - w->base);
}

static inline int seen_read(const unsigned char *p)
{
	struct probe_byte byte = {.p = (volatile unsigned char *)p};
	struct fault f = probe(probe_load_byte, &byte);

	return f.signal ? SEEN_FAULT(f.signal, f.code) : byte.value;
}

static inline int seen_write(unsigned char *p, unsigned char value)
{
	struct probe_byte byte = {.p = p, .value = value};
	struct fault f = probe(probe_store_byte, &byte);

	return f.signal ? SEEN_FAULT(f.signal, f.code) : value;
}

static inline struct difference compare(int expected, int seen)
{
	return (struct difference){expected != seen, expected, seen};
}

static inline struct difference compare_all(struct world *w)
{
	struct difference diff = {};

	for (int i = 0; i < PAGES * MARKS && !diff.found; i++)
		diff = compare(model_read(&w->model, i / MARKS, i % MARKS),
			       seen_read(world_at(w, i / MARKS, i % MARKS)));
	return diff;
}

/* Waits to be asked, looks at everything, answers, and ends. */
static inline void child_looks(struct world *w)
{
	struct difference diff;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(w->to_child[1], &go, 1) != 1)
		_exit(1);
	diff = compare_all(w);
	_exit(write(w->to_child[1], &diff, sizeof(diff)) != sizeof(diff));
}

/* Ends the child that there is, or makes one. */
static inline struct difference do_fork(struct world *w)
{
	struct difference diff = {true, 0, SEEN_NOTHING};
	pid_t us = getpid();

	if (w->child) {
		bool asked = write(w->to_child[0], "", 1) == 1;
		bool ended = child_end(w->child) == 0;

		w->child = 0;
		if (!asked || !ended ||
		    recv(w->to_child[0], &diff, sizeof(diff), MSG_DONTWAIT) !=
			    sizeof(diff))
			return (struct difference){true, 0, SEEN_NOTHING};
		return diff;
	}
	w->child = fork();
	if (w->child == 0 && getpid() != us)
		child_looks(w);
	return compare(true, w->child > 0);
}

static inline struct difference do_map(struct world *w, const struct op *op)
{
	const enum page_kind kind = ANON_PAGE + (op->kind - OP_MAP_ANON);
	int flags = kind == SHARED_PAGE ? MAP_SHARED : MAP_PRIVATE;
	void *p = w->base + op->page * w->ps;
	int fd = w->fd;

	if (kind == ANON_PAGE) {
		flags |= MAP_ANONYMOUS;
		fd = -1;
	}
	model_map(&w->model, op->page, op->count, kind, op->arg, op->value);
	return compare(true, p == mmap(p, op->count * w->ps, op->value,
				       flags | MAP_FIXED, fd,
				       fd < 0 ? 0 : op->arg * w->ps));
}

static inline struct difference do_range(struct world *w, const struct op *op)
{
	struct model *m = &w->model;
	unsigned char *p = w->base + op->page * w->ps;
	size_t len = op->count * w->ps;

	switch (op->kind) {
	case OP_UNMAP:
		model_unmap(m, op->page, op->count);
		return compare(0, errno_of(munmap(p, len)));
	case OP_PROTECT:
		return compare(model_protect(m, op->page, op->count, op->value),
			       errno_of(mprotect(p, len, op->value)));
	case OP_MOVE:
		return compare(model_move(m, op->page, op->arg),
			       errno_of(mremap(p, w->ps, w->ps,
					       MREMAP_MAYMOVE | MREMAP_FIXED,
					       w->base + op->arg * w->ps)));
	case OP_DISCARD:
		return compare(model_discard(m, op->page, op->count),
			       errno_of(madvise(p, len, MADV_DONTNEED)));
	case OP_SYNC:
		return compare(model_has_hole(m, op->page, op->count) ? ENOMEM
								      : 0,
			       errno_of(msync(p, len, MS_SYNC)));
	case OP_LOCK:
		return compare(model_lock(m, op->page, true),
			       errno_of(mlock(p, w->ps)));
	default:
		return compare(model_lock(m, op->page, false),
			       errno_of(munlock(p, w->ps)));
	}
}

static inline struct difference read_block(struct world *w, unsigned int page)
{
	struct difference diff =
		compare(w->ps, pread(w->direct, w->block, w->ps, page * w->ps));

	for (int i = 0; i < MARKS && !diff.found; i++)
		diff = compare(w->model.file->marks[page][i],
			       w->block[file_at(w, 0, i)]);
	return diff;
}

/* @page is of the file here, within its end where that matters. */
static inline struct difference do_file(struct world *w, const struct op *op)
{
	struct file_model *file = w->model.file;
	unsigned char byte = op->value;
	off_t at = file_at(w, op->page, op->arg);
	ssize_t got;

	switch (op->kind) {
	case OP_PREAD:
		got = pread(w->fd, &byte, 1, at);
		return compare(op->page < file->pages
				       ? file->marks[op->page][op->arg]
				       : SEEN_EOF,
			       got == 1 ? byte : SEEN_EOF);
	case OP_PWRITE:
		file->marks[op->page][op->arg] = byte;
		return compare(1, pwrite(w->fd, &byte, 1, at));
	case OP_TRUNCATE:
		model_truncate(&w->model, op->page);
		return compare(0, ftruncate(w->fd, op->page * w->ps));
	case OP_DROP:
		if (fsync(w->fd))
			return compare(0, errno);
		return compare(0,
			       posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED));
	default:
		return read_block(w, op->page);
	}
}

/* Is this about what the model knows? Else it is left out. */
static inline bool op_applies(const struct world *w, const struct op *op)
{
	switch (op->kind) {
	case OP_LOCK:
	case OP_UNLOCK:
		return w->model.space[op->page].kind <= ANON_PAGE;
	/* EFAULT or EINVAL, as versions differ. */
	case OP_MOVE:
		return op->page != op->arg;
	case OP_DIRECT:
		return w->direct >= 0 && op->page < w->model.file->pages;
	case OP_PWRITE:
		return op->page < w->model.file->pages;
	default:
		return true;
	}
}

static inline struct difference op_do(struct world *w, const struct op *op)
{
	if (!op_applies(w, op))
		return (struct difference){};
	switch (op->kind) {
	case OP_READ:
		return compare(model_read(&w->model, op->page, op->arg),
			       seen_read(world_at(w, op->page, op->arg)));
	case OP_WRITE:
		return compare(
			model_write(&w->model, op->page, op->arg, op->value),
			seen_write(world_at(w, op->page, op->arg), op->value));
	case OP_MAP_ANON:
	case OP_MAP_SHARED:
	case OP_MAP_PRIVATE:
		return do_map(w, op);
	case OP_FORK:
		return do_fork(w);
	case OP_PREAD:
	case OP_PWRITE:
	case OP_TRUNCATE:
	case OP_DROP:
	case OP_DIRECT:
		return do_file(w, op);
	default:
		return do_range(w, op);
	}
}

#endif /* HAMMER_OPS_H */
