// SPDX-License-Identifier: Apache-2.0
/*
 * What backup on write costs. The limit is the same device without it: a file on the file system of
 * $TMPDIR (/var/tmp), of which a flush is one. Each round writes a part of the device that, in the
 * checkpoint, nobody wrote to before, with several requests in flight, and flushes once.
 */
#include "bench/bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bow/bow.h"

#define ROUNDS 9u
#define PART   (UINT64_C(32) << 20)
#define DATA   ((ROUNDS + 1) * PART) /* one is not counted */
#define SIZE   (2 * DATA + PART)     /* the rest is free */

enum side { THEIRS, OURS };

struct pair {
	struct ovbd_device *d[2];
	char path[2][64];
	size_t len; /* of a write */
	unsigned in_flight;
	bool random;
	unsigned round[2];
	uint64_t from; /* where the parts begin */
	/* of a run */
	struct ovbd_device *to;
	uint64_t at;
	atomic_uint next;
};

static void must(int r, const struct ovbd_error *err)
{
	if (r == 0)
		return;
	fprintf(stderr, "bench: %s\n", err->msg);
	exit(1);
}

/* The number of a write, in an order that a disk does not know; a permutation of 2^n numbers. */
static uint64_t place(const struct pair *p, uint64_t i)
{
	const uint64_t n = PART / p->len;

	return (p->random ? i * 7919 % n : i) * p->len;
}

static void *writer(void *arg)
{
	struct pair *p = arg;
	const unsigned n = (unsigned)(PART / p->len);
	uint8_t *buf = malloc(p->len);
	struct ovbd_error err;
	unsigned i;

	memset(buf, 0xa5, p->len);
	while ((i = atomic_fetch_add(&p->next, 1)) < n)
		must(ovbd_device_pwrite(p->to, buf, p->len, p->at + place(p, i), 0, &err), &err);
	free(buf);
	return NULL;
}

static void run(struct pair *p, enum side side)
{
	pthread_t threads[64];
	struct ovbd_error err;

	p->to = p->d[side];
	p->at = p->from + p->round[side]++ % (ROUNDS + 1) * PART;
	atomic_store(&p->next, 0);
	for (unsigned i = 1; i < p->in_flight; i++)
		if (pthread_create(&threads[i], NULL, writer, p) != 0)
			exit(1);
	writer(p);
	for (unsigned i = 1; i < p->in_flight; i++)
		pthread_join(threads[i], NULL);
	must(ovbd_device_flush(p->to, &err), &err);
}

static void ours(void *arg)
{
	run(arg, OURS);
}

static void theirs(void *arg)
{
	run(arg, THEIRS);
}

/* A file that has all its blocks already. */
static struct ovbd_device *make_file(char path[64])
{
	const char *dir = getenv("TMPDIR");
	uint8_t *buf = malloc(1 << 20);
	struct ovbd_device *d;
	struct ovbd_error err;
	int fd;

	snprintf(path, 64, "%.40s/ovbd-bench-XXXXXX", dir ? dir : "/var/tmp");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		exit(1);
	must(ovbd_device_open_file(path, &d, &err), &err);
	close(fd);
	for (uint64_t off = 0; off < SIZE; off += 1 << 20) {
		memset(buf, (int)(off >> 20) & 0xff, 1 << 20);
		must(ovbd_device_pwrite(d, buf, 1 << 20, off, 0, &err), &err);
	}
	must(ovbd_device_flush(d, &err), &err);
	free(buf);
	return d;
}

/* A hint, which costs the file its blocks, and the limit has no such costs. */
static int no_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	(void)d;
	(void)off;
	(void)len;
	(void)err;
	return 0;
}

static void make(struct pair *p, enum ovbd_bow_state state, bool free_space)
{
	const uint64_t data = p->len * 2; /* which is never free: block 0 is there */
	static struct ovbd_device_ops ops;
	struct ovbd_device *below;
	struct ovbd_error err;

	p->d[THEIRS] = make_file(p->path[THEIRS]);
	below = make_file(p->path[OURS]);
	ops = *below->ops;
	ops.discard = no_discard;
	below->ops = &ops;
	must(ovbd_bow_open(below, NULL, &p->d[OURS], &err), &err);
	p->from = free_space ? DATA : data;
	must(ovbd_device_discard(p->d[OURS], DATA + data, SIZE - DATA - data, &err), &err);
	if (free_space)
		p->from = DATA + data;
	if (state == OVBD_BOW_CHECKPOINT)
		must(ovbd_bow_checkpoint(p->d[OURS], &err), &err);
	if (state == OVBD_BOW_COMMITTED)
		must(ovbd_bow_commit(p->d[OURS], &err), &err);
}

static void unmake(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		ovbd_device_close(p->d[i]);
		unlink(p->path[i]);
	}
}

struct bow_case {
	const char *name;
	enum ovbd_bow_state state;
	bool free_space, random;
	size_t len;
	unsigned in_flight;
	double target;
};

static void run_case(struct bench *b, const struct bow_case *c)
{
	struct pair p = {.len = c->len, .in_flight = c->in_flight, .random = c->random};
	const struct bench_row row = {
		.group = "bow",
		.name = c->name,
		.limit = "the device without it",
		.unit = "MB/s",
		.work = (double)PART / 1e6,
		.target = c->target,
		.rounds = c->state == OVBD_BOW_CHECKPOINT ? ROUNDS : 31,
		.wall = true,
		.ours = ours,
		.theirs = theirs,
		.arg = &p,
	};
	struct ovbd_bow_status before, after;

	make(&p, c->state, c->free_space);
	ovbd_bow_get_status(p.d[OURS], &before);
	bench_run(b, &row);
	ovbd_bow_get_status(p.d[OURS], &after);
	if (c->state == OVBD_BOW_CHECKPOINT && !c->free_space)
		printf("           %.3f log writes a MiB that was overwritten, %llu log entries, "
		       "%llu KiB of memory\n",
		       (double)(after.log_writes - before.log_writes) /
		               ((double)(after.backed_up - before.backed_up) / (1 << 20)),
		       (unsigned long long)after.log_entries,
		       (unsigned long long)after.memory >> 10);
	unmake(&p);
}

void bench_bow(struct bench *b)
{
	static const struct bow_case cases[] = {
		{"committed, 1 MiB, 8 in flight", OVBD_BOW_COMMITTED, false, false, 1 << 20, 8,
	         0.97},
		{"committed, random 4 KiB, 16 in flight", OVBD_BOW_COMMITTED, false, true, 4096, 16,
	         0.97},
		{"before the checkpoint, 1 MiB, 8 in flight", OVBD_BOW_TRIM, false, false, 1 << 20,
	         8, 0},
		{"checkpoint, free space, 1 MiB, 8 in flight", OVBD_BOW_CHECKPOINT, true, false,
	         1 << 20, 8, 0.9},
		{"checkpoint, free space, random 4 KiB, 16 in flight", OVBD_BOW_CHECKPOINT, true,
	         true, 4096, 16, 0},
		{"checkpoint, first overwrites, 1 MiB, 8 in flight", OVBD_BOW_CHECKPOINT, false,
	         false, 1 << 20, 8, 0.3},
		{"checkpoint, first overwrites, 1 MiB, 1 in flight", OVBD_BOW_CHECKPOINT, false,
	         false, 1 << 20, 1, 0},
		{"checkpoint, first overwrites, random 4 KiB, 16 in flight", OVBD_BOW_CHECKPOINT,
	         false, true, 4096, 16, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		run_case(b, &cases[i]);
}
