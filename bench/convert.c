// SPDX-License-Identifier: Apache-2.0
/*
 * A raw image in memory becomes a compressed layer that is thrown away, against the codec alone
 * over the same blocks: what the layer writer, the jump table, the checksums and the hand-over
 * between threads cost. With two threads the limit is the same work with one.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/null_sink.h"
#include "lsmt/lsmt.h"
#include "zfile/codec.h"
#include "zfile/zfile.h"

#define INPUT_SIZE (64u << 20)
#define PIECE      (1u << 20)

struct conversion {
	const struct ovbd_codec *codec;
	uint32_t block_size;
	void *compressor;
	uint8_t *out;
};

static void must(int r, const struct ovbd_error *err)
{
	if (r < 0) {
		fprintf(stderr, "bench: %s\n", err->msg);
		exit(1);
	}
}

static void convert(const struct conversion *c, unsigned nthreads)
{
	const struct ovbd_zfile_params zp = {
		.codec = c->codec->id,
		.block_size = c->block_size,
		.checksum = true,
		.nthreads = nthreads,
	};
	const struct ovbd_layer_params lp = {.virtual_size = INPUT_SIZE};
	const uint8_t *data = bench_data(INPUT_SIZE);
	OVBD_AUTO(ovbd_layer_writer_closep) struct ovbd_layer_writer *w = NULL;
	struct ovbd_error err;
	struct ovbd_sink *z;

	must(ovbd_zfile_create(bench_null_sink(), &zp, &z, &err), &err);
	must(ovbd_layer_create(z, &lp, &w, &err), &err);
	for (size_t off = 0; off < INPUT_SIZE; off += PIECE)
		must(ovbd_layer_put(w, off, data + off, PIECE, &err), &err);
	must(ovbd_layer_finish(w, &err), &err);
}

static void convert_1(void *arg)
{
	convert(arg, 1);
}

static void convert_2(void *arg)
{
	convert(arg, 2);
}

static void codec_alone(void *arg)
{
	const struct conversion *c = arg;
	const uint8_t *data = bench_data(INPUT_SIZE);

	for (size_t off = 0; off < INPUT_SIZE; off += c->block_size) {
		size_t n = 0;

		c->codec->compress(c->compressor, data + off, c->block_size, c->out, PIECE, &n);
		bench_keep(n);
	}
}

static void bench_conversion(struct bench *b, struct conversion *c)
{
	struct bench_row row = {
		.group = "convert",
		.unit = "MB/s",
		.work = INPUT_SIZE / 1e6,
		.rounds = 5,
		.arg = c,
	};
	struct ovbd_error err;
	char name[64];

	must(c->codec->compressor_create(0, &c->compressor, &err), &err);
	c->out = malloc(PIECE);
	if (!c->out)
		exit(1);
	row.name = name;
	snprintf(name, sizeof(name), "raw to %s %uK, -j1", c->codec->name, c->block_size >> 10);
	row.limit = "the codec alone";
	row.target = 0.80;
	row.ours = convert_1;
	row.theirs = codec_alone;
	bench_run(b, &row);
	snprintf(name, sizeof(name), "raw to %s %uK, -j2", c->codec->name, c->block_size >> 10);
	row.limit = "-j1";
	row.target = 1.70;
	row.wall = true;
	row.ours = convert_2;
	row.theirs = convert_1;
	bench_run(b, &row);
	free(c->out);
	c->codec->compressor_free(c->compressor);
}

void bench_convert(struct bench *b)
{
	struct conversion all[] = {
		{.codec = &ovbd_codec_lz4, .block_size = 4096},
		{.codec = &ovbd_codec_zstd, .block_size = 4096},
		{.codec = &ovbd_codec_zstd, .block_size = 65536},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		bench_conversion(b, &all[i]);
	bench_convert_process(b);
}
