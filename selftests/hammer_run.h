/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A sequence of operations in a world of its own, by two threads that take turns
 * as each operation says, on a CPU each where there are two; and how sequences
 * are made from a seed, and written as text and back.
 */
#ifndef HAMMER_RUN_H
#define HAMMER_RUN_H

#include "hammer_ops.h"

#define OPS_MAX 400
/* "A:mmap_private:7:7:15:255/" is the longest one. */
#define OP_TEXT 32

struct sequence {
	struct op ops[OPS_MAX];
	unsigned int count;
};

/* Marsaglia's xorshift; @state is never 0. */
static inline uint32_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 32;
}

static inline enum op_kind random_kind(uint64_t *state)
{
	int kind = 0, n = next_random(state) % 100;

	while (kind < OP_KINDS - 1 && n >= op_kinds[kind].weight)
		n -= op_kinds[kind++].weight;
	return kind;
}

static inline struct op random_op(uint64_t *state)
{
	static const int prots[] = {PROT_RW, PROT_RW, PROT_READ, PROT_NONE};
	struct op op = {
		.kind = random_kind(state),
		.who = next_random(state) % 2,
		.page = next_random(state) % PAGES,
	};

	op.count = 1 + next_random(state) % (PAGES - op.page);
	op.arg = next_random(state) % PAGES;
	op.value = next_random(state) % 256;
	switch (op.kind) {
	case OP_READ:
	case OP_WRITE:
	case OP_PREAD:
	case OP_PWRITE:
		op.arg %= MARKS;
		break;
	case OP_MAP_ANON:
	case OP_MAP_SHARED:
	case OP_MAP_PRIVATE:
	case OP_PROTECT:
		op.value = prots[op.value % 4];
		break;
	case OP_TRUNCATE:
		/* Mostly long: an empty file teaches little. */
		op.page = PAGES - op.page / 2;
		op.count = 0;
		break;
	default:
		break;
	}
	return op;
}

/* A file and mappings of it come first. */
static inline void sequence_make(struct sequence *s, uint64_t seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;

	s->ops[0] = (struct op){.kind = OP_TRUNCATE, .page = PAGES};
	s->ops[1] = (struct op){
		.kind = OP_MAP_SHARED, .count = PAGES, .value = PROT_RW};
	for (s->count = 2; s->count < OPS_MAX; s->count++)
		s->ops[s->count] = random_op(&state);
}

/* @text has room for s->count * OP_TEXT bytes. */
static inline void sequence_print(const struct sequence *s, char *text)
{
	*text = 0;
	for (unsigned int i = 0; i < s->count; i++) {
		const struct op *op = &s->ops[i];

		text += sprintf(text, "%s%c:%s:%u:%u:%u:%u", i ? "/" : "",
				'A' + op->who, op_kinds[op->kind].name,
				op->page, op->count, op->arg, op->value);
	}
}

static inline bool op_parse(struct op *op, const char *text)
{
	char who, name[OP_TEXT];

	if (sscanf(text, "%c:%31[a-z_]:%u:%u:%u:%u", &who, name, &op->page,
		   &op->count, &op->arg, &op->value) != 6)
		return false;
	op->who = who - 'A';
	for (op->kind = 0; op->kind < OP_KINDS; op->kind++)
		if (!strcmp(name, op_kinds[op->kind].name))
			break;
	return op->kind < OP_KINDS && op->who < 2 && op->page <= PAGES &&
	       op->page + op->count <= PAGES && op->arg < PAGES;
}

/* What sequence_print() wrote; false for anything else. */
static inline bool sequence_parse(struct sequence *s, const char *text)
{
	for (s->count = 0; s->count < OPS_MAX; s->count++) {
		if (!op_parse(&s->ops[s->count], text))
			return false;
		text = strchr(text, '/');
		if (!text++) {
			s->count++;
			return true;
		}
	}
	return false;
}

/* A world, and who is next in it. */
struct run {
	struct world world;
	const struct sequence *s;
	unsigned int next;
	unsigned int turn; /* of which thread; 2: the end */
	struct difference diff;
};

struct hand {
	struct run *run;
	unsigned int who;
};

/* Spins: a thread that sleeps may come back to an empty TLB. */
static inline unsigned int wait_turn(struct run *run, unsigned int who)
{
	unsigned int turn, spins = 0;

	while ((turn = __atomic_load_n(&run->turn, __ATOMIC_ACQUIRE)) != who &&
	       turn != 2)
		if (++spins % 256 == 0)
			sched_yield();
	return turn;
}

static inline void end_child(struct run *run)
{
	struct difference diff = do_fork(&run->world);

	if (!run->diff.found)
		run->diff = diff;
}

static inline void *hand_run(void *arg)
{
	struct hand *hand = arg;
	struct run *run = hand->run;

	while (wait_turn(run, hand->who) != 2) {
		unsigned int turn = 2;

		run->diff = op_do(&run->world, &run->s->ops[run->next]);
		if (!run->diff.found && ++run->next < run->s->count)
			turn = run->s->ops[run->next].who;
		/* It dies with the thread that made it, which is still here. */
		if (turn == 2 && run->world.child)
			end_child(run);
		__atomic_store_n(&run->turn, turn, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The first and the second CPU that we may use, or the same twice. */
static inline void stay_on_cpus(pthread_t first, pthread_t second)
{
	cpu_set_t cpus;
	int cpu, other;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return;
	cpu = next_cpu(&cpus, 0);
	other = next_cpu(&cpus, cpu + 1);
	stay_on_cpu(first, cpu);
	stay_on_cpu(second, other == CPU_SETSIZE ? cpu : other);
}

static inline bool run_in_turns(struct run *run)
{
	struct hand hands[2] = {{run, 0}, {run, 1}};
	pthread_t threads[2];

	run->turn = run->s->ops[0].who;
	if (pthread_create(&threads[0], NULL, hand_run, &hands[0]))
		return false;
	if (pthread_create(&threads[1], NULL, hand_run, &hands[1])) {
		__atomic_store_n(&run->turn, 2, __ATOMIC_RELEASE);
		pthread_join(threads[0], NULL);
		return false;
	}
	stay_on_cpus(threads[0], threads[1]);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	return true;
}

/*
 * Where worlds are: far from where mmap() puts what others ask for, so that
 * nobody gets a page that is free in one.
 */
#define WORLDS ((uintptr_t)1 << (sizeof(long) == 8 ? 44 : 29))
#define WORLD_SPAN ((uintptr_t)1 << 24)

static inline bool world_open(struct world *w, unsigned int number,
			      enum backing backing)
{
	char path[64];

	memset(w, 0, sizeof(*w));
	w->ps = page_size();
	w->base = (unsigned char *)(WORLDS + number * WORLD_SPAN);
	w->model.file = mmap(NULL, sizeof(*w->model.file), PROT_RW,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	w->block =
		mmap(NULL, w->ps, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->fd = backing_open(backing, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd);
	w->direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (w->model.file == MAP_FAILED || w->block == MAP_FAILED ||
	    w->fd < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->to_child))
		return false;
	model_reset(&w->model);
	return true;
}

/* After an open that failed there is nothing more to do. */
static inline void world_close(struct world *w)
{
	munmap(w->base, PAGES * w->ps);
	munmap(w->model.file, sizeof(*w->model.file));
	munmap(w->block, w->ps);
	close(w->fd);
	close(w->direct);
	close(w->to_child[0]);
	close(w->to_child[1]);
}

/*
 * A whole sequence, which is not empty, in a fresh world. The difference that
 * it came to, with @run->next the operation; SEEN_NOTHING when it could not
 * begin.
 */
static inline struct difference run_sequence(struct run *run,
					     unsigned int number,
					     enum backing backing,
					     const struct sequence *s)
{
	memset(run, 0, sizeof(*run));
	run->s = s;
	if (!world_open(&run->world, number, backing) || !run_in_turns(run))
		return (struct difference){true, 0, SEEN_NOTHING};
	world_close(&run->world);
	return run->diff;
}

#endif /* HAMMER_RUN_H */
