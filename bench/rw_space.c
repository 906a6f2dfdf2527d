// SPDX-License-Identifier: Apache-2.0
/*
 * What it costs writers of an ovbd-rw that space comes back. The limit is the same layer whose dead
 * data nobody gives back: its file takes no discards, and nothing is moved. In memory: there a hole
 * costs what it costs in memory, and nothing waits for a disk.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lsmt/rw.h"

#define SIZE        (UINT64_C(64) << 20)
#define TIMES       6u
#define FLUSH_EVERY 1024u

struct writes {
	size_t len;
	uint64_t stored[2]; /* bytes, in the end: of theirs, of ours */
};

static void must(int r, const struct ovbd_error *err)
{
	if (r == 0)
		return;
	fprintf(stderr, "bench: %s\n", err->msg);
	exit(1);
}

static void run(struct writes *w, bool reclaim)
{
	const struct ovbd_rw_params create = {.virtual_size = SIZE};
	const struct ovbd_rw_open_params open = {.pinned_min = reclaim ? 0 : UINT64_MAX};
	struct ovbd_device_ops no_discard;
	char path[] = "/dev/shm/ovbd-bench-XXXXXX";
	struct ovbd_device *d;
	struct ovbd_rw_file f;
	struct ovbd_error err;
	uint8_t buf[4096];
	struct stat st;
	uint64_t random = 88172645463325252u;
	const int fd = mkstemp(path);

	if (fd < 0)
		exit(1);
	must(ovbd_device_open_growing(path, OVBD_DEVICE_GROWING_MAX, &f.device, &f.end, &err),
	     &err);
	must(ovbd_rw_create(f.device, &create, &err), &err);
	f.end = 8192;
	if (!reclaim) {
		no_discard = *f.device->ops;
		no_discard.discard = NULL;
		f.device->ops = &no_discard;
	}
	must(ovbd_rw_open(&f, &open, NULL, &d, &err), &err);
	memset(buf, 0x5a, sizeof(buf));
	for (uint64_t i = 0; i < TIMES * SIZE / w->len; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		must(ovbd_device_pwrite(d, buf, w->len, random % (SIZE / w->len) * w->len, 0, &err),
		     &err);
		if (i % FLUSH_EVERY == 0)
			must(ovbd_device_flush(d, &err), &err);
	}
	ovbd_device_close(d);
	if (fstat(fd, &st) == 0)
		w->stored[reclaim] = (uint64_t)st.st_blocks * 512;
	close(fd);
	unlink(path);
}

static void ours(void *arg)
{
	run(arg, true);
}

static void theirs(void *arg)
{
	run(arg, false);
}

void bench_rw_space(struct bench *b)
{
	struct writes w[] = {{.len = 4096}, {.len = 2048}, {.len = 512}};

	for (size_t i = 0; i < sizeof(w) / sizeof(w[0]); i++) {
		char name[64];
		const struct bench_row row = {
			.group = "rw-space",
			.name = name,
			.limit = "dead data kept",
			.unit = "MB/s",
			.work = (double)(TIMES * SIZE) / 1e6,
			.rounds = 3,
			.wall = true,
			.ours = ours,
			.theirs = theirs,
			.arg = &w[i],
		};

		snprintf(name, sizeof(name), "random %zu B, %u times over", w[i].len, TIMES);
		bench_run(b, &row);
		printf("           %llu MiB stored of %llu, where dead data are kept %llu\n",
		       (unsigned long long)w[i].stored[1] >> 20, (unsigned long long)SIZE >> 20,
		       (unsigned long long)w[i].stored[0] >> 20);
	}
}
