// SPDX-License-Identifier: GPL-2.0
/*
 * Random mmap(), munmap(), mprotect(), mremap(), madvise(), msync(), mlock(),
 * fork(), reads and writes, by many threads in one address space: every byte and
 * every fault is what a model says. The first difference is shrunk to a short
 * sequence of operations.
 *
 *	MEMSAFE_HAMMER_SEED=N		another seed
 *	MEMSAFE_HAMMER_SECONDS=N	go on for so long
 *	MEMSAFE_HAMMER_REPLAY=OPS	only the sequence that was printed
 */
#include <time.h>

#include "hammer_shrink.h"
#include "memsafe_guest.h"

MEMSAFE_GUEST("smp");

enum {
	TEAMS = 3,  /* of two threads, with a world each */
	ROUNDS = 4, /* sequences of each team */
};

/* The limit of a program is the runner's. */
#define A_WEEK (7 * 24 * 3600)

FIXTURE(hammer)
{
	unsigned long seed;
	unsigned long seconds;
};

FIXTURE_VARIANT(hammer)
{
	enum backing backing;
};

FIXTURE_VARIANT_ADD(hammer, shmem)
{
	.backing = SHMEM,
};

FIXTURE_VARIANT_ADD(hammer, disk)
{
	.backing = DISK,
};

static unsigned long number_from(const char *variable, unsigned long otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

FIXTURE_SETUP(hammer)
{
	if (backing_needs(variant->backing))
		SKIP(return, "needs %s", backing_needs(variant->backing));
	self->seed = number_from("MEMSAFE_HAMMER_SEED", 1);
	self->seconds = number_from("MEMSAFE_HAMMER_SECONDS", 0);
}

FIXTURE_TEARDOWN(hammer)
{
}

/* What all teams share: the first difference ends the work of all. */
struct hammer {
	unsigned long seed;
	time_t end; /* 0: after ROUNDS */
	enum backing backing;
	pthread_mutex_t lock;
	bool stop;
	unsigned long operations;
	struct sequence worst;
	struct difference diff;
};

struct team {
	struct hammer *hammer;
	unsigned int number;
	pthread_t thread;
};

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* After a sequence; false when there is to be no other one. */
static bool goes_on(struct hammer *h, unsigned int rounds,
		    const struct run *run)
{
	bool more;

	pthread_mutex_lock(&h->lock);
	h->operations += run->next;
	if (run->diff.found && !h->stop) {
		h->stop = true;
		h->worst = *run->s;
		h->diff = run->diff;
	}
	more = !h->stop && (h->end ? seconds_now() < h->end : rounds < ROUNDS);
	pthread_mutex_unlock(&h->lock);
	return more;
}

static void *team_works(void *arg)
{
	struct team *team = arg;
	struct hammer *h = team->hammer;
	struct sequence s;
	struct run run;
	unsigned int round = 0;

	do {
		uint64_t which = (uint64_t)round++ * TEAMS + team->number;

		sequence_make(&s, (which << 32) + h->seed);
		run.diff = run_sequence(&run, team->number, h->backing, &s);
	} while (goes_on(h, round, &run));
	return NULL;
}

static int hammer_with_all_teams(struct hammer *h)
{
	struct team teams[TEAMS];
	int started = 0;

	while (started < TEAMS) {
		teams[started] = (struct team){h, started, 0};
		if (pthread_create(&teams[started].thread, NULL, team_works,
				   &teams[started]))
			break;
		started++;
	}
	for (int i = 0; i < started; i++)
		pthread_join(teams[i].thread, NULL);
	return started;
}

/* A byte, an errno or a count; the operation says which of them. */
static void print_seen(const char *what, int seen)
{
	if (seen == SEEN_NOTHING)
		printf("# hammer: %s: no answer\n", what);
	else if (seen <= SEEN_FAULT(1, 0))
		printf("# hammer: %s: signal %d, si_code %d\n", what,
		       -seen / 256, -seen % 256);
	else
		printf("# hammer: %s: %d\n", what, seen);
}

/* Of the last operation of the sequence that is printed. */
static void print_difference(struct hammer *h)
{
	char *text = malloc(h->worst.count * OP_TEXT + 1);
	bool again = shrink(&h->worst, &h->diff, TEAMS, h->backing);

	print_seen("expected", h->diff.expected);
	print_seen("seen", h->diff.seen);
	if (!again)
		printf("# hammer: not again without the other threads\n");
	if (text) {
		sequence_print(&h->worst, text);
		printf("# MEMSAFE_HAMMER_REPLAY=%s\n", text);
	}
	fflush(stdout);
	free(text);
}

TEST_F_TIMEOUT(hammer, memory_is_what_the_model_says, A_WEEK)
{
	const char *replay = getenv("MEMSAFE_HAMMER_REPLAY");
	struct hammer h = {
		.seed = self->seed,
		.end = self->seconds ? seconds_now() + self->seconds : 0,
		.backing = variant->backing,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct run run;

	ASSERT_TRUE(!replay || sequence_parse(&h.worst, replay));

	/* Not one that libc makes for a thread. */
	ACT(mremap);
	if (replay)
		h.diff = run_sequence(&run, 0, h.backing, &h.worst);
	else
		ASSERT_EQ(TEAMS, hammer_with_all_teams(&h));
	printf("# hammer: seed %lu, %lu operations\n", h.seed, h.operations);
	if (h.diff.found)
		print_difference(&h);
	EXPECT_FALSE(h.diff.found);
}

TEST_HARNESS_MAIN
