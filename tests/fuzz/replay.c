// SPDX-License-Identifier: Apache-2.0
/*
 * Feeds every file of the folders named on the command line to the fuzz target, and each also cut
 * off in several places and with single bytes changed: a fixed little campaign for every build.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (4u << 20)

static void feed(const uint8_t *data, size_t size)
{
	/* a copy of the exact size, so that a sanitizer sees one byte too many */
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void feed_variants(uint8_t *data, size_t size)
{
	feed(data, size);
	for (size_t cut = size / 2; cut > 0; cut /= 2)
		feed(data, size - cut);
	for (size_t i = 0; i < 64 && size > 0; i++) {
		const size_t at = (i * 2654435761u) % (i % 2 || size < 512 ? size : 512);
		const uint8_t was = data[at];

		data[at] = (uint8_t)(was ^ (1u << i % 8));
		feed(data, size);
		data[at] = was;
	}
}

static int replay_file(const char *path)
{
	uint8_t *data = malloc(FILE_MAX);
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f || !data) {
		perror(path);
		exit(1);
	}
	size = fread(data, 1, FILE_MAX, f);
	fclose(f);
	feed_variants(data, size);
	free(data);
	return 1;
}

static int replay_dir(const char *dir)
{
	struct dirent **names;
	const int n = scandir(dir, &names, NULL, alphasort);
	int nfiles = 0;

	if (n < 0) {
		perror(dir);
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			nfiles += replay_file(path);
		free(names[i]);
	}
	free(names);
	return nfiles;
}

int main(int argc, char **argv)
{
	int nfiles = 0;

	for (int i = 1; i < argc; i++)
		nfiles += replay_dir(argv[i]);
	printf("%d files\n", nfiles);
	return nfiles > 0 ? 0 : 1;
}
