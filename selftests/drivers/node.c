// SPDX-License-Identifier: GPL-2.0
/*
 * Any node that needs no preparation, by the environment:
 *
 *	MEMSAFE_NODE=/dev/foo		the adapter is asked for; it runs alone
 *	MEMSAFE_NODE_SIZE=64K		bytes that can be mapped; or with K or M
 *	MEMSAFE_NODE_OFFSET=0x1000	of the first byte
 *	MEMSAFE_NODE_FLAGS=WORD,...	the contract
 *
 * A word is a flag of struct memsafe_driver in lower case, such as not_zeroed, or
 * an entry of the contract, such as write=EPERM, private=any or past_end=0.
 * read_only is write=any on a node that is opened read-only. Unsaid is: a part and
 * a second mapping work, the rest is any.
 */
#include "memsafe_driver.h"

static int node_mode = O_RDWR;

static const struct {
	const char *name;
	size_t at;
} entries[] = {
#define ENTRY(name)                                                            \
	{                                                                      \
#name, offsetof(struct memsafe_driver, name)                   \
	}
	ENTRY(part), ENTRY(past_end), ENTRY(second),   ENTRY(write),
	ENTRY(exec), ENTRY(private),  ENTRY(split),    ENTRY(move),
	ENTRY(grow), ENTRY(pages),    ENTRY(proc_mem),
};

static const struct {
	const char *name;
	unsigned int flag;
} flags[] = {
	{"not_zeroed", DRIVER_NOT_ZEROED},
	{"changes", DRIVER_CHANGES},
	{"dumped", DRIVER_DUMPED},
	{"not_in_child", DRIVER_NOT_IN_CHILD},
	{"is_shared", DRIVER_IS_SHARED},
	{"at_once", DRIVER_AT_ONCE},
	{"write_dropped", DRIVER_WRITE_DROPPED},
};

/* Of a name such as EINVAL, "any" or a number; -2: none of these. */
static int errno_named(const char *name)
{
	char *end;
	long number = strtol(name, &end, 0);

	if (!strcmp(name, "any"))
		return DRIVER_ANY;
	if (*name && !*end)
		return number >= 0 && number < 4096 ? (int)number : -2;
	for (int err = 1; err < 4096; err++) {
		const char *known = strerrorname_np(err);

		if (known && !strcmp(name, known))
			return err;
	}
	return -2;
}

static bool apply(struct memsafe_driver *driver, const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : strlen(word);
	int err = value ? errno_named(value + 1) : -2;

	if (!strcmp(word, "read_only")) {
		node_mode = O_RDONLY;
		driver->write = DRIVER_ANY;
		return true;
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (!strcmp(flags[i].name, word)) {
			driver->flags |= flags[i].flag;
			return true;
		}
	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		if (err != -2 && strlen(entries[i].name) == len &&
		    !strncmp(entries[i].name, word, len)) {
			*(int *)((char *)driver + entries[i].at) = err;
			return true;
		}
	return false;
}

/* Bytes, with K or M behind; 0: no number. */
static size_t bytes(const char *text)
{
	char *end;
	size_t size = strtoul(text, &end, 0);

	if (*end == 'K' || *end == 'k')
		size <<= 10, end++;
	else if (*end == 'M' || *end == 'm')
		size <<= 20, end++;
	return *end ? 0 : size;
}

static void refuse(const char *what, const char *text)
{
	fprintf(stderr, "# %s is wrong: %s\n", what, text);
	exit(2);
}

static bool node_asked_for(struct memsafe_driver *driver)
{
	const char *said = getenv("MEMSAFE_NODE_FLAGS");
	char words[512] = "";

	if (!getenv("MEMSAFE_NODE"))
		return false;
	if (!bytes(getenv("MEMSAFE_NODE_SIZE") ?: ""))
		refuse("MEMSAFE_NODE_SIZE", getenv("MEMSAFE_NODE_SIZE") ?: "");
	snprintf(words, sizeof(words), "%s", said ?: "");
	for (char *word = strtok(words, ","); word; word = strtok(NULL, ","))
		if (!apply(driver, word))
			refuse("MEMSAFE_NODE_FLAGS", word);
	return true;
}

static const char *node_needs(void)
{
	return access(getenv("MEMSAFE_NODE"), F_OK) ? getenv("MEMSAFE_NODE")
						    : NULL;
}

static int node_open(struct driver_object *object)
{
	const char *offset = getenv("MEMSAFE_NODE_OFFSET");

	object->size = bytes(getenv("MEMSAFE_NODE_SIZE"));
	object->offset = offset ? strtoll(offset, NULL, 0) : 0;
	return driver_open_node(object, getenv("MEMSAFE_NODE"), node_mode);
}

static struct memsafe_driver node = {
	.name = "node",
	.asked_for = node_asked_for,
	.needs = node_needs,
	.open = node_open,
	.past_end = DRIVER_ANY,
	.exec = DRIVER_ANY,
	.private = DRIVER_ANY,
	.split = DRIVER_ANY,
	.move = DRIVER_ANY,
	.grow = DRIVER_ANY,
	.pages = DRIVER_ANY,
	.proc_mem = DRIVER_ANY,
};
MEMSAFE_DRIVER(node);
