/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel says about our memory: /proc and getrusage().
 *
 * None of it allocates memory: a reader must not change what it reads, and
 * has to work under RLIMIT_AS and while mmap() does nothing.
 */
#ifndef MEMSAFE_PROC_H
#define MEMSAFE_PROC_H

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static inline size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* Lines of a file, one at a time, without stdio's buffer from the heap. */
struct line_reader {
	int fd;
	size_t used;
	size_t next;
	char buf[4096];
	char line[512]; /* longer ones are cut */
};

static inline bool lines_open(struct line_reader *lines, const char *path)
{
	lines->fd = open(path, O_RDONLY | O_CLOEXEC);
	lines->used = 0;
	lines->next = 0;
	return lines->fd >= 0;
}

static inline bool lines_next(struct line_reader *lines)
{
	size_t len = 0;

	for (;;) {
		if (lines->next == lines->used) {
			ssize_t got =
				read(lines->fd, lines->buf, sizeof(lines->buf));

			if (got <= 0)
				break;
			lines->used = got;
			lines->next = 0;
		}
		char c = lines->buf[lines->next++];

		if (c == '\n') {
			lines->line[len] = 0;
			return true;
		}
		if (len < sizeof(lines->line) - 1)
			lines->line[len++] = c;
	}
	lines->line[len] = 0;
	return len > 0;
}

static inline void lines_close(struct line_reader *lines)
{
	close(lines->fd);
}

/* One line of /proc/self/maps. */
struct vma {
	uintptr_t start;
	uintptr_t end;
	char perms[5]; /* as in "rw-p" */
	uint64_t offset; /* bytes */
	uint64_t inode;
	char name[64]; /* a path or as in "[heap]"; empty: none */
};

static inline bool vma_parse(const char *line, struct vma *vma)
{
	vma->name[0] = 0;
	return sscanf(line,
		      "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %*s %" SCNu64
		      " %63[^\n]",
		      &vma->start, &vma->end, vma->perms, &vma->offset,
		      &vma->inode, vma->name) >= 5;
}

/* The mapping that @addr is in; false when there is none. */
static inline bool find_vma(const volatile void *addr, struct vma *vma)
{
	struct line_reader lines;
	bool found = false;

	if (!lines_open(&lines, "/proc/self/maps"))
		return false;
	while (!found && lines_next(&lines))
		found = vma_parse(lines.line, vma) &&
			vma->start <= (uintptr_t)addr &&
			(uintptr_t)addr < vma->end;
	lines_close(&lines);
	return found;
}

/* The first mapping called @name, as in "[heap]"; false when there is none. */
static inline bool find_named_vma(const char *name, struct vma *vma)
{
	struct line_reader lines;
	bool found = false;

	if (!lines_open(&lines, "/proc/self/maps"))
		return false;
	while (!found && lines_next(&lines))
		found = vma_parse(lines.line, vma) && !strcmp(vma->name, name);
	lines_close(&lines);
	return found;
}

/* How many mappings have a byte in [@addr, @addr + @len). */
static inline unsigned int count_vmas(const volatile void *addr, size_t len)
{
	uintptr_t start = (uintptr_t)addr;
	struct line_reader lines;
	unsigned int count = 0;
	struct vma vma;

	if (!lines_open(&lines, "/proc/self/maps"))
		return 0;
	while (lines_next(&lines))
		if (vma_parse(lines.line, &vma) && vma.start < start + len &&
		    vma.end > start)
			count++;
	lines_close(&lines);
	return count;
}

/* Copies what follows @field in the smaps entry of @addr; false: none. */
static inline bool smaps_field(const volatile void *addr, const char *field,
			       char *value, size_t size)
{
	struct line_reader lines;
	size_t len = strlen(field);
	bool ours = false;
	bool found = false;
	struct vma vma;

	if (!lines_open(&lines, "/proc/self/smaps"))
		return false;
	while (!found && lines_next(&lines)) {
		if (vma_parse(lines.line, &vma)) {
			ours = vma.start <= (uintptr_t)addr &&
			       (uintptr_t)addr < vma.end;
		} else if (ours && !strncmp(lines.line, field, len) &&
			   lines.line[len] == ':') {
			snprintf(value, size, "%.*s", (int)size - 1,
				 lines.line + len + 1);
			found = true;
		}
	}
	lines_close(&lines);
	return found;
}

/* A field of smaps, such as "Locked", of the mapping of @addr; -1: none. */
static inline long smaps_kb(const volatile void *addr, const char *field)
{
	char value[64];

	if (!smaps_field(addr, field, value, sizeof(value)))
		return -1;
	return strtol(value, NULL, 10);
}

/* Does VmFlags of the mapping of @addr have @flag, two letters as in "lo"? */
static inline bool has_vm_flag(const volatile void *addr, const char *flag)
{
	char value[256];
	char word[5];

	if (!smaps_field(addr, "VmFlags", value, sizeof(value)))
		return false;
	strncat(value, " ", sizeof(value) - strlen(value) - 1);
	snprintf(word, sizeof(word), " %s ", flag);
	return strstr(value, word);
}

static inline bool is_locked(const volatile void *addr)
{
	return has_vm_flag(addr, "lo");
}

/* A number behind @field in @path, such as "VmLck" or "MemFree"; -1: none. */
static inline long proc_field(const char *path, const char *field)
{
	struct line_reader lines;
	size_t len = strlen(field);
	long value = -1;

	if (!lines_open(&lines, path))
		return -1;
	while (value < 0 && lines_next(&lines))
		if (!strncmp(lines.line, field, len) && lines.line[len] == ':')
			value = strtol(lines.line + len + 1, NULL, 10);
	lines_close(&lines);
	return value;
}

static inline long vm_status_kb(const char *field)
{
	return proc_field("/proc/self/status", field);
}

static inline long meminfo_kb(const char *field)
{
	return proc_field("/proc/meminfo", field);
}

/* The number in a file such as /proc/sys/vm/max_map_count; -1: none. */
static inline long sysctl_get(const char *path)
{
	char buf[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	got = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return got > 0 ? strtol(buf, NULL, 10) : -1;
}

static inline bool sysctl_set(const char *path, long value)
{
	char buf[32];
	int len = snprintf(buf, sizeof(buf), "%ld", value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, buf, len) == len;
	close(fd);
	return done;
}

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PFN_MASK ((UINT64_C(1) << 55) - 1)
#define PAGEMAP_SOFT_DIRTY (UINT64_C(1) << 55)
#define PAGEMAP_EXCLUSIVE (UINT64_C(1) << 56)
#define PAGEMAP_FILE (UINT64_C(1) << 61)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

/* The pagemap entries of @count pages from @addr; false: can't be read. */
static inline bool pagemap_read(const volatile void *addr, uint64_t *entries,
				size_t count)
{
	off_t at = (uintptr_t)addr / page_size() * sizeof(*entries);
	ssize_t size = count * sizeof(*entries);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = pread(fd, entries, size, at) == size;
	close(fd);
	return done;
}

/* The pagemap entry of @addr, 0 when it can't be read. */
static inline uint64_t pagemap_entry(const volatile void *addr)
{
	uint64_t entry;

	return pagemap_read(addr, &entry, 1) ? entry : 0;
}

/* Is a page in our page table, so that an access needs no fault? */
static inline bool is_present(const volatile void *addr)
{
	return pagemap_entry(addr) & PAGEMAP_PRESENT;
}

#define PRESENT_PAGES_MAX 64

/* How many pages of the range are; -1: can't be read. */
static inline int present_pages(const volatile void *addr, size_t len)
{
	uint64_t entries[PRESENT_PAGES_MAX];
	size_t pages = len / page_size();
	int count = 0;

	if (pages > PRESENT_PAGES_MAX || !pagemap_read(addr, entries, pages))
		return -1;
	for (size_t i = 0; i < pages; i++)
		count += !!(entries[i] & PAGEMAP_PRESENT);
	return count;
}

/* Bits of include/uapi/linux/kernel-page-flags.h */
#define KPF_DIRTY (UINT64_C(1) << 4)
#define KPF_WRITEBACK (UINT64_C(1) << 8)
#define KPF_UNEVICTABLE (UINT64_C(1) << 18)
#define KPF_UNKNOWN UINT64_MAX

/*
 * The flags of the page that is present at @addr. KPF_UNKNOWN when there is
 * none, or /proc does not tell: it needs CAP_SYS_ADMIN.
 */
static inline uint64_t kpageflags(const volatile void *addr)
{
	uint64_t entry = pagemap_entry(addr);
	uint64_t pfn = entry & PAGEMAP_PFN_MASK;
	uint64_t flags = KPF_UNKNOWN;
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return KPF_UNKNOWN;
	if (!(entry & PAGEMAP_PRESENT) || !pfn ||
	    pread(fd, &flags, sizeof(flags), pfn * sizeof(flags)) !=
		    sizeof(flags))
		flags = KPF_UNKNOWN;
	close(fd);
	return flags;
}

struct fault_count {
	long minor;
	long major;
};

/* Page faults of this thread so far. */
static inline struct fault_count faults_so_far(void)
{
	struct rusage usage = {};

	getrusage(RUSAGE_THREAD, &usage);
	return (struct fault_count){ usage.ru_minflt, usage.ru_majflt };
}

#endif /* MEMSAFE_PROC_H */
