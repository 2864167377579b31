/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Modules that a program needs: the guest's payload has those that were built
 * with the kernel, and modules/load says what each of them stands on.
 */
#ifndef MEMSAFE_MODULE_H
#define MEMSAFE_MODULE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMSAFE_MODULES "/memsafe/modules"

/* 0, or the errno of finit_module(); a module that is there already is no error. */
static inline int insert_module(const char *file, const char *parameters)
{
	char path[256];
	int fd, err = 0;

	snprintf(path, sizeof(path), MEMSAFE_MODULES "/%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (syscall(SYS_finit_module, fd, parameters, 0) && errno != EEXIST)
		err = errno;
	close(fd);
	return err;
}

/*
 * Insert the module @name, with underscores, and before it all that it needs.
 * Returns 0 or an errno; ENOENT when neither the kernel nor the payload has it.
 */
static inline int load_module(const char *name, const char *parameters)
{
	FILE *order = fopen(MEMSAFE_MODULES "/load", "re");
	char line[1024], *file, *next;
	int err = ENOENT;

	while (order && err == ENOENT && fgets(line, sizeof(line), order)) {
		file = strtok_r(line, " \n", &next);
		if (!file || strcmp(file, name))
			continue;
		err = 0;
		file = strtok_r(NULL, " \n", &next);
		while (file && !err) {
			char *after = strtok_r(NULL, " \n", &next);

			err = insert_module(file, after ? "" : parameters);
			file = after;
		}
	}
	if (order)
		fclose(order);
	return err;
}

#endif /* MEMSAFE_MODULE_H */
