// SPDX-License-Identifier: Apache-2.0
/*
 * Merging an update of Android into its base, in place: 32768 copies, 16384 xors that lie across
 * two blocks, 5000 blocks of new data. Against nothing but the writes and flushes that it makes, to
 * the same files: so reading, xoring and deciding is what is measured. Once with copies from where
 * nothing is written, and once moving everything up by 300 blocks, which has to go by way of the
 * scratch area.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "bench/cow_make.h"
#include "ota/merge.h"

#define NCOPIES  32768u
#define NXORS    16384u
#define NREPLACE 5000u
#define NOPS     (NCOPIES + NXORS + NREPLACE)
#define RUN      256u
#define MOVED    300u
#define NBLOCKS  98304u
#define SCRATCH  (2u << 20)

struct write {
	unsigned disk;
	bool flush;
	uint64_t off;
	size_t len;
};

struct merge_bench {
	struct cow_file files[2]; /* COW, base */
	struct write *writes;
	size_t n, capacity;
	uint8_t *buf; /* of the longest */
	size_t longest;
};

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench: %s\n", what);
		exit(1);
	}
}

/* ---- what a merge writes ---- */

struct recorder {
	struct ovbd_device device;
	struct ovbd_device *inner;
	struct merge_bench *m;
	unsigned disk;
};

static void record(struct ovbd_device *d, bool flush, uint64_t off, size_t len)
{
	const struct recorder *r = OVBD_CONTAINER_OF(d, struct recorder, device);
	struct merge_bench *m = r->m;

	if (m->n == m->capacity) {
		m->capacity = 2 * m->capacity + 1024;
		m->writes = realloc(m->writes, m->capacity * sizeof(*m->writes));
		must(m->writes != NULL, "out of memory");
	}
	if (len > m->longest)
		m->longest = len;
	m->writes[m->n++] = (struct write){.disk = r->disk, .flush = flush, .off = off, .len = len};
}

static struct ovbd_device *inner_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct recorder, device)->inner;
}

static int record_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                         unsigned flags, struct ovbd_error *err)
{
	record(d, false, off, len);
	return ovbd_device_pwrite(inner_of(d), buf, len, off, flags, err);
}

static int record_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                         struct ovbd_error *err)
{
	return ovbd_device_write_zeroes(inner_of(d), off, len, flags, err);
}

static int record_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	record(d, true, 0, 0);
	return ovbd_device_flush(inner_of(d), err);
}

static void record_free(struct ovbd_device *d)
{
	ovbd_device_close(inner_of(d));
	free(OVBD_CONTAINER_OF(d, struct recorder, device));
}

static struct ovbd_device *open_disk(struct merge_bench *m, unsigned disk, bool recording)
{
	static const struct ovbd_device_ops ops = {.pwrite = record_pwrite,
	                                           .write_zeroes = record_zeroes,
	                                           .flush = record_flush};
	struct recorder *r = calloc(1, sizeof(*r));
	struct ovbd_device *d;
	struct ovbd_error err;

	must(ovbd_device_open_file(m->files[disk].path, &d, &err) == 0, err.msg);
	if (!recording) {
		free(r);
		return d;
	}
	must(r && ovbd_blob_open_file(m->files[disk].path, &r->device.blob, &err) == 0, err.msg);
	r->device.ops = &ops;
	r->device.free = record_free;
	r->inner = d;
	r->m = m;
	r->disk = disk;
	return &r->device;
}

static void merge(struct merge_bench *m, bool recording)
{
	const struct ovbd_merge_params how = {.nthreads = 2};
	static const uint8_t zeros[64];
	struct ovbd_merge *merge;
	struct ovbd_error err;
	int r;

	/* the counter and the state of the scratch area: it begins anew */
	must(pwrite(m->files[0].fd, zeros, 8, 26) == 8 && pwrite(m->files[0].fd, zeros, 1, 78) == 1,
	     "pwrite");
	r = ovbd_merge_open(open_disk(m, 0, recording), open_disk(m, 1, recording), &how, &merge,
	                    &err);
	must(r == 0, err.msg);
	while ((r = ovbd_merge_step(merge, &err)) > 0)
		;
	must(r == 0, err.msg);
	ovbd_merge_close(merge);
}

static void ours(void *arg)
{
	merge(arg, false);
}

static void theirs(void *arg)
{
	const struct merge_bench *m = arg;

	for (size_t i = 0; i < m->n; i++) {
		const struct write *w = &m->writes[i];
		const int fd = m->files[w->disk].fd;

		must(w->flush ? fdatasync(fd) == 0
		              : pwrite(fd, m->buf, w->len, (off_t)w->off) == (ssize_t)w->len,
		     "write");
	}
	/* it was the COW's header too: as it was */
	must(pwrite(m->files[0].fd, m->buf + m->longest, 79, 0) == 79, "pwrite");
}

/* ---- the update ---- */

static uint32_t random_below(uint64_t *random, uint32_t n)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((*random >> 33) % n);
}

static struct cow_file make(bool moving)
{
	struct cow_op_make *ops = calloc(NOPS, sizeof(ops[0]));
	const uint8_t *data = bench_data(64u << 20);
	const uint32_t first = NBLOCKS - NOPS; /* all from there on is written */
	uint64_t random = 3;
	uint32_t from = 0;
	struct cow_file f;

	must(ops != NULL, "out of memory");
	for (uint32_t i = 0; i < NOPS; i++) {
		struct cow_op_make *op = &ops[i];

		op->block =
			moving && i < NCOPIES + NXORS ? first + NCOPIES + NXORS - 1 - i : first + i;
		if (i % RUN == 0)
			from = random_below(&random, first - RUN - 1);
		op->source = moving ? op->block - MOVED : from + i % RUN;
		op->type = i < NCOPIES ? 1 : i < NCOPIES + NXORS ? 6 : 2;
		if (op->type == 6)
			op->source = op->source * 4096 + 1234;
		if (op->type == 1)
			continue;
		op->data = data + (size_t)(i % 16000) * 4096;
		op->len = 4096;
	}
	f = cow_file_make(ops, NOPS, 0, SCRATCH);
	free(ops);
	return f;
}

static void bench_mixed(struct bench *b, bool moving, const char *name)
{
	struct merge_bench m = {.files = {make(moving), cow_file_blank((uint64_t)NBLOCKS * 4096)}};
	const struct bench_row row = {
		.group = "cow-merge",
		.name = name,
		.limit = "its writes and flushes",
		.unit = "MB/s",
		.work = NOPS * 4096 / 1e6,
		.target = 0.7,
		.rounds = 5,
		.wall = true,
		.ours = ours,
		.theirs = theirs,
		.arg = &m,
	};
	uint8_t head[79];

	must(pread(m.files[0].fd, head, sizeof(head), 0) == sizeof(head), "pread");
	merge(&m, true);
	m.buf = malloc(m.longest + sizeof(head));
	must(m.buf != NULL, "out of memory");
	memset(m.buf, 0xa5, m.longest);
	memcpy(m.buf + m.longest, head, sizeof(head));
	bench_run(b, &row);
	free(m.buf);
	free(m.writes);
	cow_file_free(&m.files[0]);
	cow_file_free(&m.files[1]);
}

void bench_cow_merge(struct bench *b)
{
	bench_mixed(b, false, "merge, nothing overlaps");
	bench_mixed(b, true, "merge, everything moves up");
}
