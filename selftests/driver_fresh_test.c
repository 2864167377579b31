// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver maps holds nothing of whoever had the memory before: neither of
 * another program, nor of the driver's last user, and not behind the last byte of
 * the object either. Each test first leaves a secret in far more pages.
 */
#include "memsafe_driver_test.h"

MEMSAFE_GUEST("pc");

#define SECRET 0xa5
#define SECRET_PAGES 256
#define PIPES 8
#define PIPE_SIZE 65536 /* man 7 pipe */
#define ROUNDS 4
/* So many in a row are no accident. */
#define SECRET_LEN 16

static bool zeroed(const struct memsafe_driver *driver)
{
	return !(driver->flags & DRIVER_NOT_ZEROED);
}

DRIVER_FIXTURE(driver_fresh, zeroed);

/* In pages that can be moved, which only programs get. */
static bool leave_secret_in_memory(size_t ps)
{
	unsigned char *p =
		map_alone(SECRET_PAGES * ps, PROT_RW, MAP_PRIVATE, -1);

	if (p == MAP_FAILED)
		return false;
	memset(p, SECRET, SECRET_PAGES * ps);
	return !munmap(p, SECRET_PAGES * ps);
}

/* And in pages of the kernel's own, as drivers get. */
static bool leave_secret_in_pipes(void)
{
	static unsigned char secret[PIPE_SIZE];
	int fds[PIPES][2];
	bool done = true;

	memset(secret, SECRET, sizeof(secret));
	for (int i = 0; i < PIPES; i++)
		done &= !pipe(fds[i]) &&
			gather(fds[i][1], secret, PIPE_SIZE) == PIPE_SIZE;
	for (int i = 0; i < PIPES; i++)
		done &= !close(fds[i][0]) && !close(fds[i][1]);
	return done;
}

static bool leave_secret(size_t ps)
{
	return leave_secret_in_memory(ps) && leave_secret_in_pipes();
}

/*
 * The first byte of [@p, @p + @len) that a fresh object may not have, or @len. Some
 * have headers that the device writes: not with the secret.
 */
static size_t first_foreign(const struct memsafe_driver *driver,
			    const unsigned char *p, size_t len)
{
	size_t row = 0;

	if (!(driver->flags & DRIVER_CHANGES))
		return first_nonzero(p, len);
	for (size_t i = 0; i < len; i++) {
		row = p[i] == SECRET ? row + 1 : 0;
		if (row == SECRET_LEN)
			return i + 1 - row;
	}
	return len;
}

SEEN_TO_FAIL(fresh_object_holds_no_secret, not_zeroed);
TEST_F(driver_fresh, fresh_object_holds_no_secret)
{
	unsigned char *p;

	ACT(mmap);
	for (int round = 0; round < ROUNDS; round++) {
		driver_release(DRIVER(self));
		ASSERT_TRUE(leave_secret(self->ps));
		ASSERT_EQ(0, self->driver->open(&self->object));
		p = driver_map(DRIVER(self), self->len, 0);
		ASSERT_MAPPED(p, self->len);
		EXPECT_EQ(self->object.size,
			  first_foreign(self->driver, p, self->object.size));
		ASSERT_EQ(0, munmap(p, self->len));
	}
}

/* An object that fills its last page has nothing there. */
SEEN_TO_FAIL(tail_of_the_last_page_holds_no_secret, tail_not_zeroed);
TEST_F(driver_fresh, tail_of_the_last_page_holds_no_secret)
{
	size_t size = self->object.size;
	size_t tail = self->len - size;
	unsigned char *p;

	ACT(mmap);
	for (int round = 0; round < ROUNDS; round++) {
		driver_release(DRIVER(self));
		ASSERT_TRUE(leave_secret(self->ps));
		ASSERT_EQ(0, self->driver->open(&self->object));
		p = driver_map(DRIVER(self), self->len, 0);
		ASSERT_MAPPED(p, self->len);
		EXPECT_EQ(tail, first_nonzero(p + size, tail));
		ASSERT_EQ(0, munmap(p, self->len));
	}
}

SEEN_TO_FAIL(next_user_sees_nothing_of_the_last, not_zeroed);
TEST_F(driver_fresh, next_user_sees_nothing_of_the_last)
{
	size_t rest = self->object.size;
	unsigned char *p;

	ACT(mmap);
	for (int round = 0; round < ROUNDS; round++) {
		ASSERT_TRUE(driver_fill(DRIVER(self)));
		driver_release(DRIVER(self));
		ASSERT_EQ(0, self->driver->open(&self->object));
		p = driver_map(DRIVER(self), self->len, 0);
		ASSERT_MAPPED(p, self->len);
		EXPECT_EQ(rest, first_foreign(self->driver, p, rest));
		ASSERT_EQ(0, munmap(p, self->len));
	}
}

TEST_HARNESS_MAIN
