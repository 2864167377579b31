// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver's object took comes back with it: after many rounds, and when its
 * user just ends. Pages that nobody gives back are seen by no
 * sanitizer, so the counters of the kernel and of the driver are compared (proc(5)).
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

/* In pages: what others take and give back meanwhile. */
#define NOISE 64
#define ROUNDS_MAX 1024
#define TRIES 4

DRIVER_FIXTURE(driver_leak, all_drivers);

/* Enough to lose twice the noise, if each round costs what is mapped. */
static int rounds(size_t pages)
{
	size_t enough = 2 * NOISE / pages + 1;

	return enough < ROUNDS_MAX ? enough : ROUNDS_MAX;
}

/* Where the object was mapped; NULL when that failed. */
static void *one_round(const struct memsafe_driver *driver,
		       struct driver_object *object)
{
	size_t ps = page_size();
	unsigned char *p;
	int seen = 0;

	if (driver->open(object))
		return NULL;
	p = driver_map(driver, object, object->size, 0);
	for (size_t at = 0; p != MAP_FAILED && at < object->size; at += ps)
		seen |= peek(p + at);
	if (p == MAP_FAILED || munmap(p, object->size) || seen < 0)
		return NULL;
	driver_release(driver, object);
	return p;
}

/* Pages on the lists of each CPU, which MemFree leaves out. */
static long pages_on_lists(void)
{
	struct line_reader lines;
	long pages = 0;
	long count;

	if (!lines_open(&lines, "/proc/zoneinfo"))
		return 0;
	while (lines_next(&lines))
		if (sscanf(lines.line, " count: %ld", &count) == 1)
			pages += count;
	lines_close(&lines);
	return pages;
}

/*
 * What is freed to the slab may stay there, and with KASAN does for long: that is
 * for kmemleak.
 */
static long free_pages(void)
{
	/* The counters of each CPU come in later by themselves. */
	sysctl_set("/proc/sys/vm/stat_refresh", 1);
	return (meminfo_kb("MemFree") + meminfo_kb("Slab")) * 1024 /
		       (long)page_size() +
	       pages_on_lists();
}

SEEN_TO_FAIL(many_rounds_cost_no_memory, leaks_a_reference);
TEST_F(driver_leak, many_rounds_cost_no_memory)
{
	int count = rounds(self->len / self->ps);
	long lost = NOISE;
	void *p = NULL;
	long before;

	driver_release(DRIVER(self));
	ASSERT_TRUE(stay_on_this_cpu());
	ASSERT_NE(NULL, one_round(DRIVER(self)));

	ACT(munmap);
	/* A leak is there each time. */
	for (int try = 0; try < TRIES && lost >= NOISE; try++) {
		before = free_pages();
		for (int round = 0; round < count; round++) {
			p = one_round(DRIVER(self));
			ASSERT_NE(NULL, p);
		}
		lost = before - free_pages();
	}
	EXPECT_GT(NOISE, lost);
	EXPECT_EQ(0, vm_status_kb("VmLck"));
	EXPECT_EQ(0, vm_status_kb("VmPin"));
	EXPECT_UNMAPPED(p, self->len);
}

struct user {
	const struct memsafe_driver *driver;
	struct driver_object object;
};

/* Opens, maps and touches, and leaves all of it to the end of the process. */
static int use_and_end(void *arg)
{
	struct user *user = arg;
	unsigned char *p;

	if (user->driver->open(&user->object))
		return 1;
	p = driver_map(user->driver, &user->object, user->object.size, 0);
	return peek(p) < 0;
}

SEEN_TO_FAIL(end_of_the_process_gives_it_back, leaks_the_object);
TEST_F(driver_leak, end_of_the_process_gives_it_back)
{
	struct user user = {.driver = self->driver};
	long before = driver_objects(self->driver);

	driver_release(DRIVER(self));

	ACT(clone);
	for (int round = 0; round < 3; round++)
		EXPECT_EQ(0, in_child(use_and_end, &user));
	EXPECT_EQ(before - !!self->driver->objects,
		  driver_objects(self->driver));
}

TEST_HARNESS_MAIN
