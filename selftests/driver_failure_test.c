// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation of a driver's open, preparation, mmap, fault, munmap and close
 * fails once: the step says ENOMEM or does without, nothing of it is left, and the
 * driver works as before (Documentation/fault-injection/fault-injection.rst on
 * fail-nth). What is reported or leaked meanwhile is the runner's to see.
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

/* No cycle here has more allocations: a sweep that goes on has lost its way. */
#define MAX_ALLOCATIONS 2000
#define SWEEP_SECONDS 120
/* No page table of the lowest level is for more. */
#define PAGE_TABLE_BYTES (2UL << 20)

DRIVER_FIXTURE(driver_failure, all_drivers);

/* What these spare by default is nearly everything: see the documentation. */
static const struct {
	const char *path;
	long value;
} settings[] = {
	{"/sys/kernel/debug/failslab/ignore-gfp-wait", 0},
	{"/sys/kernel/debug/failslab/verbose", 0},
	{"/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", 0},
	{"/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", 0},
	{"/sys/kernel/debug/fail_page_alloc/min-order", 0},
	{"/sys/kernel/debug/fail_page_alloc/verbose", 0},
};

/* False: the kernel has no such thing. */
static bool fail_everything(void)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (!sysctl_set(settings[i].path, settings[i].value))
			return false;
	return !access("/proc/thread-self/fail-nth", W_OK);
}

#define SKIP_WITHOUT_INJECTION()                                               \
	do {                                                                   \
		SKIP_OUTSIDE_A_GUEST();                                        \
		if (!fail_everything())                                        \
			SKIP(return,                                           \
				   "needs CONFIG_FAULT_INJECTION_DEBUG_FS=y "  \
				   "with FAILSLAB and FAIL_PAGE_ALLOC");       \
	} while (0)

/* The @nth allocation of this thread from now on fails; 0: none. */
static bool fail_nth(int fd, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	return pwrite(fd, text, len, 0) == len;
}

/* What is left of it: 0 when it has failed, UINT_MAX when nobody knows. */
static unsigned int fail_nth_left(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return UINT32_MAX;
	return strtoul(text, NULL, 10);
}

/*
 * An address for mappings of @size bytes whose first page table stays: a touched
 * page lies before it. A remap_pfn_range() of x86 that has mapped nothing yet
 * when it fails ends in a warning of the kernel's own (FINDINGS.md,
 * untrack_pfn). MAP_FAILED when there is none.
 */
static unsigned char *place(size_t size)
{
	size_t ps = page_size();
	unsigned char *page = free_range(ps + size, PAGE_TABLE_BYTES);

	if (page == MAP_FAILED ||
	    mmap(page, ps, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return MAP_FAILED;
	*page = 'x';
	return page + ps;
}

/*
 * Everything once, mapped at @at; the errno of the step that failed, named in
 * @step.
 */
static int cycle(const struct memsafe_driver *driver,
		 struct driver_object *object, void *at, const char **step)
{
	size_t ps = page_size();
	struct fault fault = {};
	unsigned char *p;
	int err;

	*step = "open";
	err = driver->open(object);
	if (err)
		return err;
	*step = "mmap";
	p = mmap(at, object->size, driver_prot(driver), MAP_SHARED, object->fd,
		 object->offset);
	err = errno_of(p);
	*step = err ? *step : "touch";
	for (size_t off = 0; !err && off < object->size; off += ps) {
		fault = probe_read(p + off);
		err = fault.signal == SIGBUS ? ENOMEM : fault.signal;
	}
	if (p != MAP_FAILED && munmap(p, object->size)) {
		*step = "munmap";
		err = errno;
		/* With memory again it has to go. */
		munmap(p, object->size);
	}
	driver_release(driver, object);
	return err;
}

SEEN_TO_FAIL(each_single_failure_is_survived, leaks_on_failure);
TEST_F_TIMEOUT(driver_failure, each_single_failure_is_survived, SWEEP_SECONDS)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	unsigned char *at = place(self->len);
	const char *step = "open";
	unsigned int nth = 0;
	long before;
	int err;

	SKIP_WITHOUT_INJECTION();
	ASSERT_LE(0, fd);
	ASSERT_NE(MAP_FAILED, at);
	driver_release(DRIVER(self));
	/* A driver may choose the address itself and refuse any other. */
	if (cycle(DRIVER(self), at, &step))
		at = NULL;
	ASSERT_EQ(0, cycle(DRIVER(self), at, &step));
	before = driver_objects(self->driver);

	ACT(pwrite64);
	do {
		ASSERT_TRUE(fail_nth(fd, ++nth));
		err = cycle(DRIVER(self), at, &step);
		if (fail_nth_left(fd))
			break;
		EXPECT_TRUE(!err || err == ENOMEM)
		TH_LOG("allocation %u: %s: %s", nth, step, strerror(err));
		EXPECT_EQ(before, driver_objects(self->driver))
		TH_LOG("allocation %u: %s: an object is left", nth, step);
	} while (nth < MAX_ALLOCATIONS);
	fail_nth(fd, 0);
	TH_LOG("%u injected, %u survived", nth - 1, nth - 1);

	EXPECT_LT(1, nth);
	EXPECT_GT(MAX_ALLOCATIONS, nth);
	EXPECT_EQ(0, cycle(DRIVER(self), at, &step));
}

TEST_HARNESS_MAIN
