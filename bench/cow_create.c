// SPDX-License-Identifier: Apache-2.0
/*
 * A raw image in memory becomes a COW that is thrown away, against the codec alone over the same
 * pieces: what finding out what becomes of each block, decompressing all again to compare it, and,
 * where several blocks may be compressed together, compressing each alone too, cost. And an image
 * of which every block has moved: what is found a second, against a checksum of each block of both
 * images and a comparison.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "bench/null_sink.h"
#include "ota/cow_compress.h"
#include "ota/cow_create.h"

#define INPUT_SIZE (64u << 20)
#define BLOCK      4096u
#define MOVED_BY   (37 * BLOCK)

struct creation {
	struct ovbd_cow_create_params p;
	double target;
	struct cow_compressor *compressor;
	uint8_t *out;
	const uint8_t *new_data, *old_data; /* old_data may be NULL */
};

static void must(int r, const struct ovbd_error *err)
{
	if (r < 0) {
		fprintf(stderr, "bench: %s\n", err->msg);
		exit(1);
	}
}

static void create(void *arg)
{
	const struct creation *c = arg;
	AUTO_BLOB *new_image = NULL, *old = NULL;
	struct ovbd_cow_created made;
	struct ovbd_error err;

	must(ovbd_blob_open_mem(c->new_data, INPUT_SIZE, &new_image, &err), &err);
	if (c->old_data)
		must(ovbd_blob_open_mem(c->old_data, INPUT_SIZE, &old, &err), &err);
	must(ovbd_cow_create(bench_null_sink(), new_image, old, &c->p, &made, &err), &err);
	bench_keep(made.size);
}

static void codec_alone(void *arg)
{
	const struct creation *c = arg;

	for (size_t off = 0; off < INPUT_SIZE; off += c->p.write.max_piece)
		bench_keep(cow_compress(c->compressor, c->new_data + off, c->p.write.max_piece,
		                        c->out, c->p.write.max_piece - 1));
}

static void checksums_alone(void *arg)
{
	const struct creation *c = arg;

	for (size_t off = 0; off < INPUT_SIZE; off += BLOCK) {
		bench_keep(ovbd_crc32c(0, c->old_data + off, BLOCK));
		bench_keep(ovbd_crc32c(0, c->new_data + off, BLOCK));
		bench_keep(memcmp(c->old_data + off, c->new_data + (off + MOVED_BY) % INPUT_SIZE,
		                  BLOCK) == 0);
	}
}

static void bench_creation(struct bench *b, struct creation *c)
{
	const struct ovbd_cow_write_params *w = &c->p.write;
	char name[64];
	const struct bench_row row = {
		.group = "cow-create",
		.name = name,
		.limit = "the codec alone",
		.unit = "MB/s",
		.work = INPUT_SIZE / 1e6,
		.target = c->target,
		.rounds = 5,
		.ours = create,
		.theirs = codec_alone,
		.arg = c,
	};
	struct ovbd_error err;

	must(cow_compressor_create(w->algorithm, c->p.level, &c->compressor, &err), &err);
	c->out = malloc(w->max_piece);
	if (!c->out)
		exit(1);
	snprintf(name, sizeof(name), "create v%u %s %uK, -j1", w->version,
	         ovbd_cow_algorithm_name(w->algorithm), w->max_piece >> 10);
	bench_run(b, &row);
	free(c->out);
	cow_compressor_free(c->compressor);
}

/* All of old, further on: nothing is left to compress. */
static void bench_moved(struct bench *b, const uint8_t *data)
{
	uint8_t *moved = malloc(INPUT_SIZE);
	struct creation c = {
		.p = {.write = {.version = 3,
	                        .algorithm = OVBD_COW_LZ4,
	                        .scratch_size = OVBD_COW_SCRATCH_SIZE,
	                        .max_piece = BLOCK},
	              .nthreads = 1},
		.new_data = moved,
		.old_data = data,
	};
	const struct bench_row row = {
		.group = "cow-create",
		.name = "create, all blocks moved, -j1",
		.limit = "checksums of both, memcmp",
		.unit = "MB/s",
		.work = INPUT_SIZE / 1e6,
		.target = 0.35,
		.rounds = 5,
		.ours = create,
		.theirs = checksums_alone,
		.arg = &c,
	};

	if (!moved)
		exit(1);
	memcpy(moved + MOVED_BY, data, INPUT_SIZE - MOVED_BY);
	memcpy(moved, data + INPUT_SIZE - MOVED_BY, MOVED_BY);
	bench_run(b, &row);
	free(moved);
}

void bench_cow_create(struct bench *b)
{
	static const struct {
		unsigned version;
		enum ovbd_cow_algorithm algorithm;
		uint32_t max_piece;
		double target;
	} all[] = {
		{2, OVBD_COW_LZ4, BLOCK, 0.50},
		{2, OVBD_COW_ZSTD, BLOCK, 0.50},
		{3, OVBD_COW_LZ4, 16 * BLOCK, 0.30},
		{3, OVBD_COW_ZSTD, 16 * BLOCK, 0.30},
	};
	const uint8_t *data = bench_data(INPUT_SIZE);

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct creation c = {
			.p = {.write = {.version = all[i].version,
		                        .algorithm = all[i].algorithm,
		                        .max_piece = all[i].max_piece},
		              .nthreads = 1},
			.target = all[i].target,
			.new_data = data,
		};

		bench_creation(b, &c);
	}
	bench_moved(b, data);
}
