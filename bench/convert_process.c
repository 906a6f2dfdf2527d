// SPDX-License-Identifier: Apache-2.0
/*
 * `ovbd convert` as a whole process against the programs zstd and lz4 over the same file with as
 * many threads, where they are installed. They compress larger units, so this is a neighbour to be
 * measured by rather than a limit.
 */
#include "bench/bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_SIZE (64u << 20)

extern char **environ;

struct command {
	char *const *ours;
	char *const *theirs;
};

static void run(char *const *argv)
{
	posix_spawn_file_actions_t quiet;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "bench: %s failed\n", argv[0]);
		exit(1);
	}
	posix_spawn_file_actions_destroy(&quiet);
}

static void run_ours(void *arg)
{
	run(((const struct command *)arg)->ours);
}

static void run_theirs(void *arg)
{
	run(((const struct command *)arg)->theirs);
}

static int have(const char *program)
{
	char line[64];

	snprintf(line, sizeof(line), "command -v %s >/dev/null", program);
	return system(line) == 0;
}

/* build-X/bench/ovbd-bench is beside build-X/tools/ovbd. */
static int find_ovbd(char *path, size_t size)
{
	const ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (n < 0)
		return -1;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -1;
	snprintf(slash, size - (size_t)(slash - path), "/../tools/ovbd");
	return access(path, X_OK);
}

struct row {
	const char *name, *program;
	char *ours_codec, *ours_block, *ours_threads;
	char *level, *threads; /* of the other program */
};

static void bench_row_of(struct bench *b, const struct row *row, char *ovbd, char *in, char *out)
{
	char *ours[] = {ovbd,
	                "convert",
	                "-q",
	                "--force",
	                "-f",
	                "raw",
	                "-c",
	                row->ours_codec,
	                "--block-size",
	                row->ours_block,
	                "-j",
	                row->ours_threads,
	                in,
	                out,
	                NULL};
	char *zstd[] = {"zstd", "-q", "-f", row->level, row->threads, in, "-o", out, NULL};
	char *lz4[] = {"lz4", "-q", "-f", row->level, "-B4", "-BI", in, out, NULL};
	struct command c = {.ours = ours, .theirs = strcmp(row->program, "lz4") == 0 ? lz4 : zstd};

	if (!have(row->program)) {
		printf("  %s: %s is not installed\n", row->name, row->program);
		return;
	}
	bench_run(b, &(struct bench_row){
			     .group = "convert, whole processes",
			     .name = row->name,
			     .limit = row->program,
			     .unit = "MB/s",
			     .work = INPUT_SIZE / 1e6,
			     .rounds = 5,
			     .wall = true,
			     .ours = run_ours,
			     .theirs = run_theirs,
			     .arg = &c,
		     });
}

static int write_input(const char *path)
{
	const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	const uint8_t *data = bench_data(INPUT_SIZE);
	size_t done = 0;

	while (fd >= 0 && done < INPUT_SIZE) {
		const ssize_t n = write(fd, data + done, INPUT_SIZE - done);

		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return fd < 0 ? -1 : close(fd);
}

void bench_convert_process(struct bench *b)
{
	static const struct row rows[] = {
		{"zstd 64K, -j1 : zstd -3 -T1", "zstd", "zstd", "64K", "1", "-3", "-T1"},
		{"zstd 64K, -j2 : zstd -3 -T2", "zstd", "zstd", "64K", "2", "-3", "-T2"},
		{"zstd 4K, -j2 : zstd -3 -T2", "zstd", "zstd", "4K", "2", "-3", "-T2"},
		{"lz4 64K, -j1 : lz4 -1 -B4", "lz4", "lz4", "64K", "1", "-1", ""},
		{"lz4 4K, -j1 : lz4 -1 -B4", "lz4", "lz4", "4K", "1", "-1", ""},
	};
	char dir[] = "/var/tmp/ovbd-bench-XXXXXX", in[64], out[64], ovbd[4096];

	if (find_ovbd(ovbd, sizeof(ovbd)) < 0) {
		printf("  convert: the command ovbd is not built\n");
		return;
	}
	if (!mkdtemp(dir)) {
		perror(dir);
		exit(1);
	}
	snprintf(in, sizeof(in), "%s/in", dir);
	snprintf(out, sizeof(out), "%s/out", dir);
	if (write_input(in) < 0) {
		perror(in);
		exit(1);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		bench_row_of(b, &rows[i], ovbd, in, out);
	unlink(in);
	unlink(out);
	rmdir(dir);
}
