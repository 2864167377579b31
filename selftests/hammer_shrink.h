/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a sequence that comes to a difference to a short one that does: leave out
 * pieces, half of it first, single operations last, and keep what still differs
 * (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input").
 */
#ifndef HAMMER_SHRINK_H
#define HAMMER_SHRINK_H

#include "hammer_run.h"

/* What differs once may not do so each time it is tried. */
#define TRIES 3

static inline bool still_differs(struct sequence *s, struct difference *diff,
				 unsigned int number, enum backing backing)
{
	struct run run;

	for (int i = 0; s->count && i < TRIES; i++) {
		if (!run_sequence(&run, number, backing, s).found)
			continue;
		if (run.next + 1 < s->count)
			s->count = run.next + 1;
		*diff = run.diff;
		return true;
	}
	return false;
}

static inline void leave_out(struct sequence *to, const struct sequence *from,
			     unsigned int start, unsigned int count)
{
	unsigned int end = start + count;

	to->count = from->count - count;
	memcpy(to->ops, from->ops, start * sizeof(to->ops[0]));
	memcpy(to->ops + start, from->ops + end,
	       (from->count - end) * sizeof(to->ops[0]));
}

/* One pass with pieces of @size; was anything left out? */
static inline bool shrink_by(struct sequence *s, struct difference *diff,
			     unsigned int size, unsigned int number,
			     enum backing backing)
{
	unsigned int before = s->count;
	struct sequence fewer;

	for (unsigned int at = 0; at + size <= s->count;) {
		leave_out(&fewer, s, at, size);
		if (still_differs(&fewer, diff, number, backing))
			*s = fewer;
		else
			at += size;
	}
	return s->count < before;
}

/*
 * @diff becomes what the short one comes to. False when @s does not come to a
 * difference a second time: it stays whole.
 */
static inline bool shrink(struct sequence *s, struct difference *diff,
			  unsigned int number, enum backing backing)
{
	if (!still_differs(s, diff, number, backing))
		return false;
	for (unsigned int size = s->count / 2; size; size /= 2)
		shrink_by(s, diff, size, number, backing);
	while (shrink_by(s, diff, 1, number, backing))
		;
	return true;
}

#endif /* HAMMER_SHRINK_H */
