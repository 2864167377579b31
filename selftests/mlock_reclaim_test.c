// SPDX-License-Identifier: GPL-2.0
/*
 * Memory pressure (mlock(2), memory.reclaim in
 * Documentation/admin-guide/cgroup-v2.rst): locked pages stay in memory while
 * pages beside them that are not locked, or not any more, are reclaimed.
 */
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "memsafe.h"

#define PAGES 16

/* Where cgroup2 is mounted, in a mount namespace of the test's own. */
#define CGROUPS "/tmp"

/*
 * A memory cgroup with this process alone in it, and two mapped files whose
 * clean pages are charged to it.
 */
FIXTURE(mlock_reclaim)
{
	size_t len;
	char group[64]; /* empty: none was made */
	unsigned char *p;
	unsigned char *other; /* never locked */
};

static bool write_to(const char *dir, const char *name, const char *what)
{
	ssize_t len = strlen(what);
	char path[128];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, what, len) == len;
	close(fd);
	return done;
}

/* An unlinked file of clean pages, mapped and touched. */
static unsigned char *map_clean_file(size_t len)
{
	int fd = backing_open(DISK, len);
	unsigned char *p;

	if (fd < 0)
		return MAP_FAILED;
	p = map_alone(len, PROT_RW, MAP_SHARED, fd);
	if (p != MAP_FAILED) {
		fill(p, len, 7);
		fsync(fd);
	}
	return p;
}

FIXTURE_SETUP(mlock_reclaim)
{
	char file[96];

	if (backing_needs(DISK))
		SKIP(return, "needs %s", backing_needs(DISK));
	if (!has_capability(CAP_SYS_ADMIN) || unshare(CLONE_NEWNS))
		SKIP(return, "needs CAP_SYS_ADMIN");
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("memsafe", CGROUPS, "cgroup2", 0, NULL) ||
	    !write_to(CGROUPS, "cgroup.subtree_control", "+memory"))
		SKIP(return, "needs cgroup2 with CONFIG_MEMCG=y");

	snprintf(self->group, sizeof(self->group), CGROUPS "/memsafe-%d",
		 getpid());
	ASSERT_EQ(0, mkdir(self->group, 0700));
	snprintf(file, sizeof(file), "%s/memory.reclaim", self->group);
	if (access(file, W_OK)) {
		/* A setup that skips has no teardown. */
		rmdir(self->group);
		SKIP(return, "needs memory.reclaim (v5.19)");
	}
	ASSERT_TRUE(write_to(self->group, "cgroup.procs", "0"));
	self->len = PAGES * page_size();
	self->p = map_clean_file(self->len);
	self->other = map_clean_file(self->len);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_NE(MAP_FAILED, self->other);
}

FIXTURE_TEARDOWN(mlock_reclaim)
{
	write_to(CGROUPS, "cgroup.procs", "0");
	rmdir(self->group);
}

/* Young pages survive a round or two: this is far more. */
#define ROUNDS 20

/* Reclaims until no page of [@p, @p + @len) is left; false: some stay. */
static bool reclaim_away(const char *group, const void *p, size_t len)
{
	for (int i = 0; i < ROUNDS; i++) {
		write_to(group, "memory.reclaim", "64M");
		if (!resident_pages(p, len))
			return true;
	}
	return false;
}

TEST_F(mlock_reclaim, locked_pages_stay_when_others_go)
{
	ACT(mlock);
	ASSERT_EQ(0, mlock(self->p, self->len));
	ASSERT_TRUE(reclaim_away(self->group, self->other, self->len));

	EXPECT_EQ(PAGES, resident_pages(self->p, self->len));
	EXPECT_EQ(PAGES, present_pages(self->p, self->len));
}

TEST_F(mlock_reclaim, pages_locked_on_fault_stay_when_others_go)
{
	ACT(mlock2);
	ASSERT_EQ(0, mlock2(self->p, self->len, MLOCK_ONFAULT));
	ASSERT_TRUE(reclaim_away(self->group, self->other, self->len));

	EXPECT_EQ(PAGES, resident_pages(self->p, self->len));
}

TEST_F(mlock_reclaim, unlocked_pages_go)
{
	ASSERT_EQ(0, mlock(self->p, self->len));

	ACT(munlock);
	ASSERT_EQ(0, munlock(self->p, self->len));

	EXPECT_TRUE(reclaim_away(self->group, self->p, self->len));
	EXPECT_EQ(self->len, first_difference(self->p, self->len, 7));
}

TEST_HARNESS_MAIN
