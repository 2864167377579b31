/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The battery's side of memsafe_driver.h: a fixture with one variant for each
 * adapter, the object that it opened, and the contract as an expectation.
 *
 *	DRIVER_FIXTURE(driver_mmap, all_drivers);
 *
 *	SEEN_TO_FAIL(map_past_the_end_fails, past_end);
 *	TEST_F(driver_mmap, map_past_the_end_fails)
 */
#ifndef MEMSAFE_DRIVER_TEST_H
#define MEMSAFE_DRIVER_TEST_H

#include "memsafe.h"

#include <fnmatch.h>

#include "memsafe_guest.h"

#include "memsafe_driver.h"

/* The linker's: all that MEMSAFE_DRIVER() collects. */
extern struct memsafe_driver *const __start_memsafe_drivers[];
extern struct memsafe_driver *const __stop_memsafe_drivers[];

/* Plenty for the adapters of one fixture. */
#define DRIVERS_MAX 128

static inline bool all_drivers(const struct memsafe_driver *driver)
{
	(void)driver;
	return true;
}

static inline bool driver_asked_for(struct memsafe_driver *driver)
{
	const char *only = getenv("MEMSAFE_DRIVER");

	if (!only && getenv("MEMSAFE_NODE"))
		only = "node";
	return (!only || !fnmatch(only, driver->name, 0)) &&
	       (!driver->asked_for || driver->asked_for(driver));
}

/*
 * A case and the bug of the reference driver with which it fails, on one of
 * the adapters "memsafe*" (module/memsafe_dev_bug.h). With MEMSAFE_BUG=each
 * each case runs with its own.
 */
struct driver_bug {
	const char *test;
	const char *bug;
};

#define SEEN_TO_FAIL(test, name)                                               \
	static const struct driver_bug test##_bug __attribute__((              \
		section("memsafe_bugs"), used, aligned(8))) = {#test, #name}

extern const struct driver_bug __start_memsafe_bugs[];
extern const struct driver_bug __stop_memsafe_bugs[];

#define DRIVER_BUG "/sys/module/memsafe_dev/parameters/bug"

/*
 * Gives the reference driver the bug that MEMSAFE_BUG asks for. True without
 * MEMSAFE_BUG, false where the driver was not built with its bugs.
 */
static inline bool driver_bug_set(const char *test)
{
	const char *name = getenv("MEMSAFE_BUG");
	int fd;
	bool done;

	if (!name)
		return true;
	if (!strcmp(name, "each")) {
		name = "none";
		for (const struct driver_bug *bug = __start_memsafe_bugs;
		     bug < __stop_memsafe_bugs; bug++)
			if (!strcmp(bug->test, test))
				name = bug->bug;
	}
	fd = open(DRIVER_BUG, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 &&
	       write(fd, name, strlen(name)) == (ssize_t)strlen(name);
	close(fd);
	printf("# bug: %s\n", name);
	return done;
}

/* FIXTURE(), FIXTURE_VARIANT_ADD() and the rest, for the drivers that @applies. */
#define DRIVER_FIXTURE(fixture, applies)                                       \
	FIXTURE(fixture)                                                       \
	{                                                                      \
		struct memsafe_driver *driver;                                 \
		struct driver_object object;                                   \
		size_t ps;                                                     \
		size_t len; /* of the object, in whole pages */                \
	};                                                                     \
	FIXTURE_VARIANT(fixture)                                               \
	{                                                                      \
		struct memsafe_driver *driver;                                 \
	};                                                                     \
	static void __attribute__((constructor(KSELFTEST_PRIO_TEST)))          \
	fixture##_add_drivers(void)                                            \
	{                                                                      \
		static struct __fixture_variant_metadata objects[DRIVERS_MAX]; \
		struct __fixture_variant_metadata *next = objects;             \
                                                                               \
		for (struct memsafe_driver *const *driver =                    \
			     __start_memsafe_drivers;                          \
		     driver < __stop_memsafe_drivers &&                        \
		     next < objects + DRIVERS_MAX;                             \
		     driver++) {                                               \
			if (!driver_asked_for(*driver) || !applies(*driver))   \
				continue;                                      \
			next->name = (*driver)->name;                          \
			next->data = driver;                                   \
			__register_fixture_variant(                            \
				&_##fixture##_fixture_object, next++);         \
		}                                                              \
	}                                                                      \
	FIXTURE_SETUP(fixture)                                                 \
	{                                                                      \
		const char *needs;                                             \
                                                                               \
		if (!variant)                                                  \
			SKIP(return, "needs a driver that is " #applies);      \
		self->driver = variant->driver;                                \
		needs = self->driver->needs ? self->driver->needs() : NULL;    \
		if (needs)                                                     \
			SKIP(return, "needs %s", needs);                       \
		ASSERT_TRUE(driver_bug_set(_metadata->name));                  \
		self->ps = page_size();                                        \
		self->object.fd = -1;                                          \
		ASSERT_EQ(0, self->driver->open(&self->object));               \
		ASSERT_LT(0, self->object.size);                               \
		self->len = (self->object.size + self->ps - 1) / self->ps *    \
			    self->ps;                                          \
	}                                                                      \
	FIXTURE_TEARDOWN(fixture)                                              \
	{                                                                      \
	}

/*
 * The fixture's object as the helpers take it, whatever fixture that is.
 */
#define DRIVER(self) (self)->driver, &(self)->object

static inline void driver_release(const struct memsafe_driver *driver,
				  struct driver_object *object)
{
	if (driver->close)
		driver->close(object);
	else
		driver_close(object);
}

/* What a shared mapping may be. */
static inline int driver_prot(const struct memsafe_driver *driver)
{
	return driver->write ? PROT_READ : PROT_RW;
}

static inline void *driver_map(const struct memsafe_driver *driver,
			       struct driver_object *object, size_t len,
			       off_t at)
{
	return mmap(NULL, len, driver_prot(driver), MAP_SHARED, object->fd,
		    object->offset + at);
}

/* Can the tests write a content, and find it again? */
static inline bool driver_keeps(const struct memsafe_driver *driver)
{
	return !(driver->flags & DRIVER_CHANGES) &&
	       (!driver->write || driver->write_to);
}

static inline bool driver_fill_by_write(const struct memsafe_driver *driver,
					struct driver_object *object)
{
	size_t ps = page_size();
	unsigned char *page = malloc(ps);
	bool done = page;

	for (size_t at = 0; done && at < object->size; at += ps) {
		size_t rest = object->size - at;

		fill(page, ps, at / ps);
		done = driver->write_to(object, page, rest < ps ? rest : ps,
					at);
	}
	free(page);
	return done;
}

/*
 * Page i gets fill() with the seed i: without a mapping where the driver has
 * such a way, else through one of the whole. True also when the contract has no
 * content that stays.
 */
static inline bool driver_fill(const struct memsafe_driver *driver,
			       struct driver_object *object)
{
	size_t ps = page_size();
	unsigned char *p;

	if (!driver_keeps(driver))
		return true;
	if (driver->write_to)
		return driver_fill_by_write(driver, object);
	p = driver_map(driver, object, object->size, 0);
	if (!is_mapped(p, object->size))
		return false;
	for (size_t at = 0; at < object->size; at += ps)
		fill(p + at, ps, at / ps);
	return !munmap(p, object->size);
}

/* Does @p show the content that driver_fill() gave to page @page? */
static inline bool driver_shows(const struct memsafe_driver *driver,
				const struct driver_object *object,
				const unsigned char *p, size_t page)
{
	size_t ps = page_size();
	size_t rest = object->size - page * ps;
	size_t len = rest < ps ? rest : ps;

	if (!driver_keeps(driver))
		return peek(p) >= 0;
	return peek(p) >= 0 && first_difference(p, len, page) == len;
}

/* The byte at @at without a mapping; -1: there is no such way. */
static inline int driver_peek(const struct memsafe_driver *driver,
			      struct driver_object *object, off_t at)
{
	unsigned char byte;

	if (!driver->read || !driver->read(object, &byte, 1, at))
		return -1;
	return byte;
}

/* How many mappings of the object there are; 0 where nobody counts. */
static inline long driver_mappings(const struct memsafe_driver *driver,
				   struct driver_object *object)
{
	return driver->mappings ? driver->mappings(object) : 0;
}

/* How many objects the driver has, of all its users; 0 where nobody counts. */
static inline long driver_objects(const struct memsafe_driver *driver)
{
	return driver->objects ? driver->objects() : 0;
}

/* Is @err what the contract says of a call that it describes by @entry? */
static inline bool is_promised(int entry, int err)
{
	return entry == DRIVER_ANY || entry == err;
}

/*
 * @call fails with the errno of the contract, or works where that has a 0, or
 * either of them; how it ended is in @err.
 */
#define EXPECT_PROMISED(entry, err, call)                                      \
	do {                                                                   \
		(err) = errno_of(call);                                        \
		__EXPECT((entry) == DRIVER_ANY ? (err) : (entry), #entry,      \
			 (err), "errno of " #call, ==, 0);                     \
	} while (0)

#endif /* MEMSAFE_DRIVER_TEST_H */
