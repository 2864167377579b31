// SPDX-License-Identifier: GPL-2.0
/*
 * A buffer of a graphics card is for whoever made it and for whom it was given to: its
 * offset alone, which anyone can guess, opens it for nobody (drm_gem_mmap() in
 * drivers/gpu/drm/drm_gem.c).
 */
#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <sys/ioctl.h>

#include "memsafe.h"
#include "memsafe_guest.h"
#include "memsafe_module.h"

MEMSAFE_GUEST("pc");

#define CARDS 8

/* Two users of one card, and a buffer of the first. */
FIXTURE(drm_map)
{
	int owner;
	int other;
	__u32 handle;
	size_t len;
	off_t offset;
};

FIXTURE_VARIANT(drm_map)
{
	const char *driver;
	const char *lacks;
};

FIXTURE_VARIANT_ADD(drm_map, vgem){
	.driver = "vgem",
	.lacks = "CONFIG_DRM_VGEM=m",
};
FIXTURE_VARIANT_ADD(drm_map, vkms){
	.driver = "vkms",
	.lacks = "CONFIG_DRM_VKMS=m",
};

/* The card of this driver, opened once more; -1: there is none. */
static int open_card(const char *driver)
{
	for (int i = 0; i < CARDS; i++) {
		char path[32], name[32] = "";
		struct drm_version version = {
			.name = name,
			.name_len = sizeof(name) - 1,
		};
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && !ioctl(fd, DRM_IOCTL_VERSION, &version) &&
		    !strcmp(name, driver))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

FIXTURE_SETUP(drm_map)
{
	struct drm_mode_create_dumb create = {
		.width = 64,
		.height = 64,
		.bpp = 32,
	};
	struct drm_mode_map_dumb map = {};

	self->owner = open_card(variant->driver);
	if (self->owner < 0) {
		load_module(variant->driver, "");
		self->owner = open_card(variant->driver);
	}
	if (self->owner < 0)
		SKIP(return, "needs %s", variant->lacks);
	self->other = open_card(variant->driver);
	ASSERT_LE(0, self->other);
	ASSERT_EQ(0, ioctl(self->owner, DRM_IOCTL_MODE_CREATE_DUMB, &create));
	map.handle = create.handle;
	ASSERT_EQ(0, ioctl(self->owner, DRM_IOCTL_MODE_MAP_DUMB, &map));
	self->handle = create.handle;
	self->len = create.size;
	self->offset = map.offset;
}

FIXTURE_TEARDOWN(drm_map)
{
}

static void *map_buffer(FIXTURE_DATA(drm_map) * self, int fd)
{
	return mmap(NULL, self->len, PROT_RW, MAP_SHARED, fd, self->offset);
}

TEST_F(drm_map, offset_opens_the_buffer_for_its_owner_only)
{
	ACT(mmap);
	EXPECT_ERRNO(EACCES, map_buffer(self, self->other));
	EXPECT_MAPPED(map_buffer(self, self->owner), self->len);
}

TEST_F(drm_map, buffer_that_was_given_on_is_mapped_by_both)
{
	struct drm_gem_flink flink = {.handle = self->handle};
	struct drm_gem_open gem = {};
	unsigned char *p, *q;

	ASSERT_EQ(0, ioctl(self->owner, DRM_IOCTL_GEM_FLINK, &flink));
	gem.name = flink.name;
	ASSERT_EQ(0, ioctl(self->other, DRM_IOCTL_GEM_OPEN, &gem));

	ACT(mmap);
	p = map_buffer(self, self->owner);
	q = map_buffer(self, self->other);
	ASSERT_MAPPED(p, self->len);
	ASSERT_MAPPED(q, self->len);
	EXPECT_TRUE(poke(p + self->len - 1, 7));
	EXPECT_EQ(7, peek(q + self->len - 1));
}

TEST_F(drm_map, buffer_that_is_gone_has_no_offset)
{
	struct drm_mode_destroy_dumb destroy = {.handle = self->handle};

	ASSERT_MAPPED(map_buffer(self, self->owner), self->len);

	ACT(ioctl);
	ASSERT_EQ(0, ioctl(self->owner, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy));
	EXPECT_ERRNO(EACCES, map_buffer(self, self->owner));
}

TEST_HARNESS_MAIN
