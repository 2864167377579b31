// SPDX-License-Identifier: GPL-2.0
/*
 * Numbered records in a shared mapping, each called done only after
 * msync(MS_SYNC) has returned: for a host that takes the power away in the
 * middle and looks at the disk. Not a test by itself: runner/durability.py.
 *
 *	msync_records write [MOUNT_OPTIONS]	"done N" after each, until killed
 *	msync_records check N			0: records 1 to N are there, 1: not
 *
 * The disk is the one with the serial number "durable", with an ext4 on it.
 * Status 2 when it can't be used.
 */
#include <err.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "memsafe_disk.h"
#include "memsafe_noop.h"

#define MOUNT "/tmp/memsafe-durable"
#define FILE_NAME MOUNT "/records"
#define FAILED 2
/* No power of two: some records lie on two pages. */
#define RECORD_BYTES 96
#define RECORDS 40000u
#define FILE_BYTES ((size_t)RECORDS * RECORD_BYTES)

struct record {
	uint32_t words[RECORD_BYTES / sizeof(uint32_t)];
};

/* Each word is another one than in any other record. */
static void fill(struct record *record, uint32_t number)
{
	for (uint32_t i = 0; i < RECORD_BYTES / sizeof(uint32_t); i++)
		record->words[i] = number << 8 | i;
}

static void mount_disk(const char *options)
{
	char disk[DISK_PATH_LEN];

	if (!disk_find("durable", disk))
		errx(FAILED, "no disk with the serial number \"durable\"");
	mkdir(MOUNT, 0700);
	if (mount(disk, MOUNT, "ext4", 0, options))
		err(FAILED, "mount %s", disk);
}

/* The file exists and has its size on the disk; its blocks it gets later. */
static unsigned char *map_file(void)
{
	int dir = open(MOUNT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	void *p;

	if (dir < 0 || fd < 0 || ftruncate(fd, FILE_BYTES) || fsync(fd) ||
	    fsync(dir))
		err(FAILED, "%s", FILE_NAME);
	p = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err(FAILED, "mmap");
	return p;
}

static int write_records(const char *options)
{
	const size_t ps = page_size();
	unsigned char *file;

	mount_disk(options);
	file = map_file();
	if (!noop_arm("msync", __NR_msync))
		return FAILED;
	for (uint32_t number = 1; number <= RECORDS; number++) {
		size_t off = (size_t)(number - 1) * RECORD_BYTES;
		size_t start = off & ~(ps - 1);
		struct record record;

		fill(&record, number);
		memcpy(file + off, &record, RECORD_BYTES);
		if (msync(file + start, off + RECORD_BYTES - start, MS_SYNC))
			err(FAILED, "msync of record %u", number);
		printf("done %u\n", number);
		fflush(stdout);
	}
	/* The file is full; what was done still has to survive. */
	for (;;)
		pause();
}

static int check_records(uint32_t count)
{
	int fd;

	mount_disk("");
	fd = open(FILE_NAME, O_RDONLY | O_CLOEXEC);
	for (uint32_t number = 1; number <= count; number++) {
		struct record wanted, found = {};
		ssize_t got = read(fd, &found, RECORD_BYTES);

		fill(&wanted, number);
		if (got == RECORD_BYTES && !memcmp(&wanted, &found, RECORD_BYTES))
			continue;
		printf("record %u of %u is not on the disk\n", number, count);
		return 1;
	}
	printf("all %u records are on the disk\n", count);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && argc <= 3 && !strcmp(argv[1], "write"))
		return write_records(argc == 3 ? argv[2] : "");
	if (argc == 3 && !strcmp(argv[1], "check"))
		return check_records(strtoul(argv[2], NULL, 10));
	errx(FAILED, "usage: msync_records write [MOUNT_OPTIONS] | check N");
}
