// SPDX-License-Identifier: Apache-2.0
/*
 * A disk's writer that numbers what it writes, and whether a copy of the disk is as it was at one
 * moment.
 *
 *     snapshot_writer write DISK OFFSET SECONDS LOG      prints the longest a write took, in us
 *     snapshot_writer check COPY OFFSET LOG [OFFSET LOG]...
 *
 * Each write is a block of 4 KiB, full of its number, at a random place of the 2 MiB from OFFSET
 * on, past the page cache. The log says of each where it went, when it was sent, and when it was
 * answered: so while it is written a copy can be checked. It must have all writes of a log up to
 * one, and none that was answered before another was sent that it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BLOCK      4096u
#define NBLOCKS    512u
#define WRITES_MAX 400000u

struct entry {
	uint64_t block, sent;
	_Atomic uint64_t answered; /* 0: not yet */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct entry *map_log(const char *path, bool fresh)
{
	const int fd = open(path, O_RDWR | (fresh ? O_CREAT | O_TRUNC : 0), 0644);
	struct entry *log;

	if (fd < 0 || (fresh && ftruncate(fd, WRITES_MAX * sizeof(*log)) < 0))
		die(path);
	log = mmap(NULL, WRITES_MAX * sizeof(*log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (log == MAP_FAILED)
		die(path);
	close(fd);
	return log;
}

static int do_write(char **argv)
{
	const int fd = open(argv[0], O_WRONLY | O_DIRECT);
	const uint64_t off = strtoull(argv[1], NULL, 0);
	const uint64_t end = now_ns() + strtoull(argv[2], NULL, 0) * 1000000000u;
	struct entry *log = map_log(argv[3], true);
	uint64_t *buf, longest = 0, random = off + 1, n = 0;

	if (fd < 0 || posix_memalign((void **)&buf, BLOCK, BLOCK) != 0)
		die(argv[0]);
	for (; n < WRITES_MAX && now_ns() < end; n++) {
		struct entry *e = &log[n];

		random = random * 6364136223846793005u + 1442695040888963407u;
		e->block = random >> 40 & (NBLOCKS - 1);
		for (size_t i = 0; i < BLOCK / sizeof(*buf); i++)
			buf[i] = n + 1;
		e->sent = now_ns();
		if (pwrite(fd, buf, BLOCK, (off_t)(off + e->block * BLOCK)) != BLOCK)
			die(argv[0]);
		atomic_store(&e->answered, now_ns());
		if (e->answered - e->sent > longest)
			longest = e->answered - e->sent;
	}
	printf("%" PRIu64 " %" PRIu64 "\n", longest / 1000, n);
	return 0;
}

/* How many writes of the log the copy has; all of them, or else it ends. */
static uint64_t count(int fd, uint64_t off, const struct entry *log)
{
	static uint64_t there[NBLOCKS], want[NBLOCKS], buf[BLOCK / sizeof(uint64_t)];
	uint64_t last = 0;

	for (uint64_t i = 0; i < NBLOCKS; i++) {
		if (pread(fd, buf, BLOCK, (off_t)(off + i * BLOCK)) != BLOCK)
			die("read");
		there[i] = buf[0];
		for (size_t k = 1; k < BLOCK / sizeof(uint64_t); k++)
			if (buf[k] != buf[0])
				errno = EILSEQ, die("a block of two writes");
		if (there[i] > last)
			last = there[i];
	}
	memset(want, 0, sizeof(want));
	for (uint64_t n = 0; n < last; n++)
		want[log[n].block] = n + 1;
	if (memcmp(want, there, sizeof(want)) != 0)
		errno = EILSEQ, die("a write is missing before the last");
	return last;
}

static int do_check(int argc, char **argv)
{
	const int fd = open(argv[0], O_RDONLY);
	uint64_t newest = 0;

	if (fd < 0)
		die(argv[0]);
	for (int pass = 0; pass < 2; pass++)
		for (int i = 1; i + 1 < argc; i += 2) {
			const struct entry *log = map_log(argv[i + 1], false);
			const uint64_t n = count(fd, strtoull(argv[i], NULL, 0), log);
			const uint64_t missing = n < WRITES_MAX ? log[n].answered : 0;

			if (pass == 0 && n > 0 && log[n - 1].sent > newest)
				newest = log[n - 1].sent;
			if (pass == 1 && missing > 0 && missing < newest)
				errno = EILSEQ, die("a write is missing that was answered before");
			if (pass == 1)
				printf("%" PRIu64 " ", n);
		}
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "write") == 0)
		return do_write(argv + 2);
	if (argc >= 5 && strcmp(argv[1], "check") == 0)
		return do_check(argc - 2, argv + 2);
	return 2;
}
