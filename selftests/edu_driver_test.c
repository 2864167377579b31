// SPDX-License-Identifier: GPL-2.0
/*
 * A driver of a PCI device has one owner, tells it of interrupts, hands on its bytes,
 * and takes its mappings away when it loses the device, instead of leaving them to what
 * comes after it (the comments of module/memsafe_edu.c).
 */
#include <sys/uio.h>

#include "memsafe_edu_bar.h"
#include "memsafe_guest.h"

MEMSAFE_GUEST("pc");

#define DRIVER "/sys/bus/pci/drivers/" MEMSAFE_EDU_NAME

/*
 * An errno, 0 for done.  By writev(): as the act of a test, write() would
 * silence the harness too.
 */
static int tell_driver(const char *file, const char *address)
{
	struct iovec text = { .iov_base = (void *)address,
			      .iov_len = strlen(address) };
	char path[256];
	int err = 0;
	int fd;

	snprintf(path, sizeof(path), DRIVER "/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (writev(fd, &text, 1) < 0)
		err = errno;
	close(fd);
	return err;
}

/* Is this the last word of a line of the file, as drivers sign what they hold? */
static bool is_signed(const char *path, const char *name)
{
	struct line_reader lines;
	bool found = false;
	size_t len = strlen(name);

	if (!lines_open(&lines, path))
		return false;
	while (!found && lines_next(&lines)) {
		size_t end = strcspn(lines.line, "\n");

		found = end > len &&
			!strncmp(lines.line + end - len, name, len);
	}
	lines_close(&lines);
	return found;
}

/* The driver alone: its memory, its interrupt, and its end. */
FIXTURE(edu_driver)
{
	char address[64];
	size_t ps;
	int fd;
};

FIXTURE_SETUP(edu_driver)
{
	if (!edu_address(self->address, sizeof(self->address)))
		SKIP(return, "needs PCI device edu");
	if (access(DEVICE, F_OK))
		SKIP(return, "needs " DEVICE);
	self->ps = page_size();
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN_PARENT(edu_driver)
{
	if (self->address[0] && access(DEVICE, F_OK))
		tell_driver("bind", self->address);
}

/* As "10: 3 0 IO-APIC 10-fasteoi memsafe_edu" of /proc/interrupts, added up. */
static long interrupts(void)
{
	size_t len = strlen(MEMSAFE_EDU_NAME);
	struct line_reader lines;
	long count = -1;

	if (!lines_open(&lines, "/proc/interrupts"))
		return -1;
	while (count < 0 && lines_next(&lines)) {
		size_t end = strlen(lines.line);
		char *at = strchr(lines.line, ':'), *next;

		if (end < len || strcmp(lines.line + end - len, MEMSAFE_EDU_NAME))
			continue;
		for (count = 0; at; at = next) {
			long n = strtol(at + 1, &next, 10);

			if (next == at + 1 || *next != ' ')
				break;
			count += n;
		}
	}
	lines_close(&lines);
	return count;
}

TEST_F(edu_driver, raise_through_the_mapping_is_one_interrupt)
{
	long before;
	void *bar;

	ACT(mmap);
	bar = map_bar(self->fd, self->ps, 0);
	ASSERT_MAPPED(bar, self->ps);
	before = interrupts();
	ASSERT_LE(0, before);

	reg_write(bar, EDU_IRQ_RAISE, 0x10);
	for (int i = 0; i < 1000 && reg_read(bar, EDU_IRQ_STATUS); i++)
		usleep(1000);

	EXPECT_EQ(0U, reg_read(bar, EDU_IRQ_STATUS));
	EXPECT_EQ(before + 1, interrupts());
}

TEST_F(edu_driver, private_mapping_is_einval)
{
	ACT(mmap);
	EXPECT_ERRNO(EINVAL, mmap(NULL, self->ps, PROT_RW, MAP_PRIVATE,
				  self->fd, 0));
	EXPECT_ERRNO(EINVAL, mmap(NULL, self->ps, PROT_READ, MAP_PRIVATE,
				  self->fd, 0));
}

TEST_F(edu_driver, has_one_owner)
{
	EXPECT_ERRNO(EBUSY, open(DEVICE, O_RDWR | O_CLOEXEC));

	ACT(close);
	ASSERT_EQ(0, close(self->fd));
	EXPECT_LE(0, open(DEVICE, O_RDWR | O_CLOEXEC));
}

TEST_F(edu_driver, owner_needs_cap_sys_rawio)
{
	ASSERT_EQ(0, close(self->fd));
	ASSERT_TRUE(drop_capability(CAP_SYS_RAWIO));

	ACT(openat);
	EXPECT_ERRNO(EPERM, open(DEVICE, O_RDWR | O_CLOEXEC));
}

TEST_F(edu_driver, written_bytes_come_back_from_the_device)
{
	unsigned char bytes[200], back[300];

	fill(bytes, sizeof(bytes), 1);

	ACT(pwrite64);
	EXPECT_EQ((ssize_t)sizeof(bytes),
		  pwrite(self->fd, bytes, sizeof(bytes), 50));

	ASSERT_EQ((ssize_t)sizeof(back),
		  pread(self->fd, back, sizeof(back), 0));
	EXPECT_EQ(sizeof(bytes), first_difference(back + 50, sizeof(bytes), 1));
	EXPECT_EQ(50U, first_nonzero(back, 50));
	EXPECT_EQ(50U, first_nonzero(back + 250, 50));
}

TEST_F(edu_driver, write_ends_with_the_memory_of_the_device)
{
	char bytes[16] = "123456789abcdef";

	ACT(pwrite64);
	EXPECT_EQ(4, pwrite(self->fd, bytes, 16, EDU_MEMORY_SIZE - 4));
	EXPECT_ERRNO(ENOSPC, pwrite(self->fd, bytes, 16, EDU_MEMORY_SIZE));
	EXPECT_ERRNO(ENOSPC, pwrite(self->fd, bytes, 16, 1LL << 32));
	EXPECT_EQ(4, pread(self->fd, bytes, 16, EDU_MEMORY_SIZE - 4));
	EXPECT_EQ(0, strncmp(bytes, "1234", 4));
	EXPECT_EQ(0, pread(self->fd, bytes, 16, EDU_MEMORY_SIZE));
}

TEST_F(edu_driver, next_owner_finds_zeros)
{
	unsigned char bytes[EDU_MEMORY_SIZE];

	memset(bytes, 0x5a, sizeof(bytes));
	ASSERT_EQ((ssize_t)sizeof(bytes),
		  pwrite(self->fd, bytes, sizeof(bytes), 0));
	close(self->fd);
	self->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);

	ACT(pread64);
	EXPECT_EQ((ssize_t)sizeof(bytes),
		  pread(self->fd, bytes, sizeof(bytes), 0));
	EXPECT_EQ(sizeof(bytes), first_nonzero(bytes, sizeof(bytes)));
}

/* Its fault handler takes the lock of the transfer; the registers come last. */
TEST_F(edu_driver, its_own_mapping_is_good_as_the_buffer_of_a_write)
{
	char *bar = map_bar(self->fd, 2 * self->ps, 0);
	unsigned char back[8] = { 0 };

	ASSERT_MAPPED(bar, 2 * self->ps);

	ACT(pwrite64);
	EXPECT_EQ(8, pwrite(self->fd, bar + self->ps, 8, 0));
	EXPECT_EQ(8, pread(self->fd, back, 8, 0));
}

TEST_F(edu_driver, module_stays_while_the_device_is_mapped)
{
	void *bar = map_bar(self->fd, self->ps, 0);

	ASSERT_MAPPED(bar, self->ps);
	close(self->fd);

	ACT(delete_module);
	EXPECT_ERRNO(EWOULDBLOCK,
		     syscall(__NR_delete_module, MEMSAFE_EDU_NAME, O_NONBLOCK));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(bar, EDU_ID) & EDU_ID_MASK);
}

/*
 *	| touched | not touched |
 */
TEST_F(edu_driver, unbind_turns_the_mapping_into_sigbus)
{
	char *bar = map_bar(self->fd, 2 * self->ps, 0);

	ASSERT_MAPPED(bar, 2 * self->ps);
	ASSERT_EQ(EDU_ID_VALUE, reg_read(bar, EDU_ID) & EDU_ID_MASK);

	ACT(writev);
	ASSERT_EQ(0, tell_driver("unbind", self->address));

	EXPECT_FAULT(SIGBUS, BUS_ADRERR, bar, probe_read(bar));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, bar + 4, probe_write(bar + 4));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, bar + self->ps,
		     probe_read(bar + self->ps));
}

TEST_F(edu_driver, unbind_reaches_the_mapping_of_a_child)
{
	char *bar = map_bar(self->fd, self->ps, 0);

	ASSERT_MAPPED(bar, self->ps);
	ASSERT_EQ(EDU_ID_VALUE, reg_read(bar, EDU_ID) & EDU_ID_MASK);
	ASSERT_EQ(0, in_child(signal_of_write, bar + self->ps / 2));

	ACT(writev);
	ASSERT_EQ(0, tell_driver("unbind", self->address));

	EXPECT_EQ(SIGBUS, in_child(signal_of_write, bar + self->ps / 2));
}

TEST_F(edu_driver, unbind_leaves_a_file_that_says_enodev)
{
	char byte = 1;

	ACT(writev);
	ASSERT_EQ(0, tell_driver("unbind", self->address));

	EXPECT_ERRNO(ENODEV, pread(self->fd, &byte, 1, 0));
	EXPECT_ERRNO(ENODEV, pwrite(self->fd, &byte, 1, 0));
	EXPECT_ERRNO(ENODEV, map_bar(self->fd, self->ps, 0));
	EXPECT_ERRNO(ENOENT, open(DEVICE, O_RDWR | O_CLOEXEC));
}

TEST_F(edu_driver, unbind_releases_what_the_driver_held)
{
	ASSERT_TRUE(is_signed("/proc/iomem", MEMSAFE_EDU_NAME));
	ASSERT_TRUE(is_signed("/proc/interrupts", MEMSAFE_EDU_NAME));

	ACT(writev);
	ASSERT_EQ(0, tell_driver("unbind", self->address));

	EXPECT_FALSE(is_signed("/proc/iomem", MEMSAFE_EDU_NAME));
	EXPECT_FALSE(is_signed("/proc/interrupts", MEMSAFE_EDU_NAME));
}

TEST_F(edu_driver, what_is_bound_again_is_not_for_the_former_owner)
{
	char *bar = map_bar(self->fd, self->ps, 0);
	char byte = 1;
	void *again;
	int fd;

	ASSERT_MAPPED(bar, self->ps);
	ASSERT_EQ(0, tell_driver("unbind", self->address));

	ACT(writev);
	ASSERT_EQ(0, tell_driver("bind", self->address));
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);

	EXPECT_ERRNO(ENODEV, pread(self->fd, &byte, 1, 0));
	EXPECT_FAULT(SIGBUS, BUS_ADRERR, bar, probe_read(bar));
	again = map_bar(fd, self->ps, 0);
	ASSERT_MAPPED(again, self->ps);
	EXPECT_EQ(EDU_ID_VALUE, reg_read(again, EDU_ID) & EDU_ID_MASK);
}

TEST_HARNESS_MAIN
