// SPDX-License-Identifier: GPL-2.0
/*
 * Two threads on one driver's object: one goes on finding its pages while the other
 * maps, unmaps or closes, or both touch a page for the first time. What goes wrong
 * between them is a report of the kernel's, or a page that is not the object's.
 */
#include "memsafe_driver_test.h"

#include <pthread.h>

MEMSAFE_GUEST("smp");

#define ROUNDS 100
#define FIRST_TOUCHES 20

static bool mapped_twice(const struct memsafe_driver *driver)
{
	return !driver->second;
}

DRIVER_FIXTURE(driver_race, mapped_twice);

/* The other thread's part, again and again. */
struct other {
	const struct memsafe_driver *driver;
	struct driver_object *object;
	size_t len;
	int (*act)(struct other *other);
	pthread_t thread;
	int failed; /* the rounds in which its act did */
	bool stop;
};

static void *go_on(void *arg)
{
	struct other *other = arg;

	while (!__atomic_load_n(&other->stop, __ATOMIC_SEQ_CST))
		other->failed += !!other->act(other);
	return NULL;
}

static int map_and_unmap(struct other *other)
{
	unsigned char *p =
		driver_map(other->driver, other->object, other->len, 0);

	return p == MAP_FAILED || peek(p) < 0 || munmap(p, other->len);
}

static int open_and_close(struct other *other)
{
	struct driver_object object = {};

	if (other->driver->open(&object))
		return 1;
	driver_release(other->driver, &object);
	return 0;
}

/* Pages of a new mapping that do not show the object; all when there is none. */
static int missed_pages(const struct memsafe_driver *driver,
			struct driver_object *object, size_t len)
{
	unsigned char *p = driver_map(driver, object, len, 0);
	size_t ps = page_size();
	int missed = 0;

	if (!is_mapped(p, len))
		return len / ps;
	for (size_t page = 0; page < len / ps; page++)
		missed += !driver_shows(driver, object, p + page * ps, page);
	return munmap(p, len) ? (int)(len / ps) : missed;
}

/* The same for many new mappings, and what went wrong in the other thread. */
static int missed_beside(struct other *other)
{
	int missed = 0;

	for (int round = 0; round < ROUNDS; round++)
		missed +=
			missed_pages(other->driver, other->object, other->len);
	__atomic_store_n(&other->stop, true, __ATOMIC_SEQ_CST);
	pthread_join(other->thread, NULL);
	return missed + other->failed;
}

SEEN_TO_FAIL(pages_are_found_beside_a_munmap, gone_after_munmap);
TEST_F(driver_race, pages_are_found_beside_a_munmap)
{
	struct other other = {DRIVER(self), self->len, .act = map_and_unmap};

	ASSERT_TRUE(driver_fill(DRIVER(self)));
	ASSERT_EQ(0, pthread_create(&other.thread, NULL, go_on, &other));

	ACT(mmap);
	EXPECT_EQ(0, missed_beside(&other));
	EXPECT_EQ(0, driver_mappings(DRIVER(self)));
	EXPECT_MAPPED(driver_map(DRIVER(self), self->len, 0), self->len);
}

SEEN_TO_FAIL(pages_are_found_beside_a_close, page_of_its_own);
TEST_F(driver_race, pages_are_found_beside_a_close)
{
	struct other other = {DRIVER(self), self->len, .act = open_and_close};

	ASSERT_TRUE(driver_fill(DRIVER(self)));
	ASSERT_EQ(0, pthread_create(&other.thread, NULL, go_on, &other));

	ACT(mmap);
	EXPECT_EQ(0, missed_beside(&other));
	EXPECT_EQ(0, driver_mappings(DRIVER(self)));
	EXPECT_MAPPED(driver_map(DRIVER(self), self->len, 0), self->len);
}

/* The other thread touches what it is given as soon as it is told. */
struct toucher {
	const struct memsafe_driver *driver;
	size_t len;
	unsigned char *p;
	pthread_t thread;
	int told; /* the round that has begun; -1: no more */
	int done;
};

/* Who may write leaves a byte of its own, at 0 or 1. */
static void touch(const struct memsafe_driver *driver, unsigned char *p, int who)
{
	if (driver->write)
		peek(p);
	else
		poke(p + who, 1 + who);
}

static void *touch_when_told(void *arg)
{
	struct toucher *other = arg;
	int round;

	while ((round = __atomic_load_n(&other->told, __ATOMIC_SEQ_CST)) >= 0) {
		if (round == other->done)
			continue;
		touch(other->driver, other->p, 1);
		__atomic_store_n(&other->done, round, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Do two mappings show one page, with what both have stored? */
static bool is_one_page(const struct memsafe_driver *driver,
			const unsigned char *p, const unsigned char *q)
{
	if (driver->flags & DRIVER_CHANGES)
		return peek(p) >= 0 && peek(q) >= 0;
	if (!driver->write && (peek(q) != 1 || peek(p + 1) != 2))
		return false;
	return peek(p) == peek(q) && peek(p + 1) == peek(q + 1);
}

/* Two mappings of a fresh object, each touched by a thread of its own at once. */
static bool touched_at_once(struct toucher *other, int round)
{
	const struct memsafe_driver *driver = other->driver;
	struct driver_object object = {};
	size_t len = other->len;
	unsigned char *p, *q;
	bool is_one;

	if (driver->open(&object))
		return false;
	p = driver_map(driver, &object, len, 0);
	q = driver_map(driver, &object, len, 0);
	is_one = is_mapped(p, len) && is_mapped(q, len);
	if (is_one) {
		other->p = q;
		__atomic_store_n(&other->told, round, __ATOMIC_SEQ_CST);
		touch(driver, p, 0);
		while (__atomic_load_n(&other->done, __ATOMIC_SEQ_CST) != round)
			;
		is_one = is_one_page(driver, p, q);
		is_one &= !munmap(p, len) && !munmap(q, len);
	}
	driver_release(driver, &object);
	return is_one;
}

SEEN_TO_FAIL(page_that_two_touch_first_is_one, page_of_its_own);
TEST_F(driver_race, page_that_two_touch_first_is_one)
{
	struct toucher other = {.driver = self->driver, .len = self->len};
	int found = 0;

	ASSERT_EQ(0, pthread_create(&other.thread, NULL, touch_when_told,
				    &other));

	ACT(mmap);
	for (int round = 1; round <= FIRST_TOUCHES; round++)
		found += touched_at_once(&other, round);
	__atomic_store_n(&other.told, -1, __ATOMIC_SEQ_CST);
	ASSERT_EQ(0, pthread_join(other.thread, NULL));
	EXPECT_EQ(FIRST_TOUCHES, found);
	EXPECT_EQ(0, driver_mappings(DRIVER(self)));
}

TEST_HARNESS_MAIN
