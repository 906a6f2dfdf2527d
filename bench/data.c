// SPDX-License-Identifier: Apache-2.0
/*
 * Input for benchmarks: the beginnings of the system's own programs, libraries and documents, in
 * the order of their names. What an image holds, more or less.
 */
#include "bench/bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PER_FILE (2u << 20) /* at most so much of each file, for variety */

static uint8_t *data;
static size_t data_size;

static size_t add_file(const char *path, uint8_t *to, size_t room)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = read(fd, to, room < PER_FILE ? room : PER_FILE);
	close(fd);
	return n > 0 ? (size_t)n : 0;
}

static size_t add_dir(const char *dir, uint8_t *to, size_t room)
{
	struct dirent **names;
	const int n = scandir(dir, &names, NULL, alphasort);
	size_t have = 0;

	for (int i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (have < room)
			have += add_file(path, to + have, room - have);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return have;
}

const uint8_t *bench_data(size_t size)
{
	static const char *const dirs[] = {
		"/usr/bin",
		"/usr/lib/x86_64-linux-gnu",
		"/usr/lib/aarch64-linux-gnu",
		"/usr/share/perl5",
		"/usr/lib/python3.11",
		"/usr/include",
		"/usr/share/i18n/locales",
		"/usr/sbin",
	};
	size_t have = 0;

	if (data_size >= size)
		return data;
	/* what was handed out before stays valid until exit: it is not freed */
	data = malloc(size);
	for (size_t i = 0; data && i < sizeof(dirs) / sizeof(dirs[0]) && have < size; i++)
		have += add_dir(dirs[i], data + have, size - have);
	if (!data || have < size) {
		fprintf(stderr, "bench: this system has no %zu bytes of files to work on\n", size);
		exit(1);
	}
	data_size = size;
	return data;
}
