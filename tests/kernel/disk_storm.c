// SPDX-License-Identifier: Apache-2.0
/*
 * disk_storm DISK ENOUGH SEED: writes, discards, zeroes, flushes and reads a disk at random, past
 * the page cache, in several threads, each in a part of its own, until there is a file ENOUGH.
 * Every byte read must be the one of a model in memory, which begins as the disk was; in the end
 * all is read. Prints how much was done; status 1 at the first error or wrong byte.
 *
 * The parts do not end at whole blocks of 4 KiB, so what one thread does must leave alone what
 * another has in the same block.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NTHREADS 4u
#define SECTOR   512u
#define BLOCK    4096u
#define MAX      (128u * SECTOR)

struct part {
	pthread_t thread;
	uint64_t from, to, random;
	uint8_t *buf;
};

static int fd;
static const char *disk, *enough;
static uint8_t *model;
static atomic_uint_fast64_t nwrites, nzeros, nflushes, nreads;

static void die(const char *what, uint64_t len, uint64_t off)
{
	printf("FAILED: %s: %s of %" PRIu64 " bytes at %" PRIu64 ": %s\n", disk, what, len, off,
	       strerror(errno));
	exit(1);
}

static uint64_t next(struct part *p)
{
	p->random = p->random * 6364136223846793005u + 1442695040888963407u;
	return p->random >> 33;
}

static void check(struct part *p, uint64_t len, uint64_t off)
{
	if (pread(fd, p->buf, len, (off_t)off) != (ssize_t)len)
		die("read", len, off);
	for (uint64_t i = 0; i < len; i++) {
		if (p->buf[i] == model[off + i])
			continue;
		printf("FAILED: %s: at %" PRIu64 " is %02x, not %02x\n", disk, off + i, p->buf[i],
		       model[off + i]);
		exit(1);
	}
	nreads++;
}

static void put(struct part *p, uint64_t len, uint64_t off)
{
	for (uint64_t i = 0; i < len; i += 4) {
		const uint32_t v = (uint32_t)next(p);

		memcpy(p->buf + i, &v, 4);
	}
	if (pwrite(fd, p->buf, len, (off_t)off) != (ssize_t)len)
		die("write", len, off);
	memcpy(model + off, p->buf, len);
	nwrites++;
}

/* A discard may leave alone what is no whole block. */
static void zero(struct part *p, bool discard, uint64_t len, uint64_t off)
{
	const uint64_t from = discard ? (off + BLOCK - 1) / BLOCK * BLOCK : off;
	const uint64_t to = discard ? (off + len) / BLOCK * BLOCK : off + len;
	uint64_t range[2] = {from, to - from};

	(void)p;
	if (from >= to)
		return;
	if (ioctl(fd, discard ? BLKDISCARD : BLKZEROOUT, range) < 0)
		die(discard ? "discard" : "zeroes", to - from, from);
	memset(model + from, 0, to - from);
	nzeros++;
}

static void *run(void *arg)
{
	struct part *p = arg;

	while (access(enough, F_OK) != 0) {
		const uint64_t size = p->to - p->from;
		const uint64_t off = p->from + next(p) % (size / SECTOR) * SECTOR;
		uint64_t len = (1 + next(p) % (next(p) % 2 ? 8 : MAX / SECTOR)) * SECTOR;

		len = len < p->to - off ? len : p->to - off;
		switch (next(p) % 16) {
		case 0:
			zero(p, true, len, off);
			break;
		case 1:
			zero(p, false, len, off);
			break;
		case 2:
			if (fsync(fd) < 0)
				die("flush", 0, 0);
			nflushes++;
			break;
		case 3:
		case 4:
		case 5:
		case 6:
			check(p, len, off);
			break;
		default:
			put(p, len, off);
		}
	}
	for (uint64_t off = p->from; off < p->to; off += MAX)
		check(p, p->to - off < MAX ? p->to - off : MAX, off);
	return NULL;
}

static void begin(struct part *p, uint64_t from, uint64_t to, uint64_t seed)
{
	*p = (struct part){.from = from, .to = to, .random = seed};
	p->buf = aligned_alloc(BLOCK, MAX);
	if (!p->buf || pthread_create(&p->thread, NULL, run, p) != 0)
		die("a thread", 0, from);
}

int main(int argc, char **argv)
{
	struct part parts[NTHREADS];
	uint64_t size = 0, step;

	if (argc != 4)
		return 2;
	disk = argv[1];
	enough = argv[2];
	fd = open(disk, O_RDWR | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0)
		die("open", 0, 0);
	model = aligned_alloc(BLOCK, size);
	if (!model || pread(fd, model, size, 0) != (ssize_t)size)
		die("first read", size, 0);
	step = size / NTHREADS / BLOCK * BLOCK + 3u * SECTOR;
	for (unsigned i = 0; i < NTHREADS; i++)
		begin(&parts[i], i * step, i + 1 < NTHREADS ? (i + 1) * step : size,
		      strtoull(argv[3], NULL, 10) * NTHREADS + i);
	for (unsigned i = 0; i < NTHREADS; i++)
		pthread_join(parts[i].thread, NULL);
	printf("ok: %s: %" PRIuFAST64 " writes, %" PRIuFAST64 " zeroed, %" PRIuFAST64
	       " flushes, %" PRIuFAST64 " reads\n",
	       disk, nwrites, nzeros, nflushes, nreads);
	return 0;
}
