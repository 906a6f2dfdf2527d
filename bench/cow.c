// SPDX-License-Identifier: Apache-2.0
/*
 * Reading an update of Android: all of it, against reading the same pieces and decompressing them
 * with contexts that are kept; 4 KiB at a time by readers that are near each other, against
 * decompressing what holds the block for each of them; and opening it, against reading its table
 * of operations and one qsort() of that.
 */
#include "bench/bench.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "bench/cow_make.h"
#include "ota/cow.h"

#define DEVICE_SIZE (256u << 20)
#define DATA_SIZE   (64u << 20) /* four times */
#define PIECE       (1u << 20)
#define OP_MAX      65536u
#define NREADS      8192u
#define NNEAR       4u /* readers */
#define NOPS        1000000u

enum { GZ = 1, LZ4 = 3, ZSTD = 4 };

struct cow_bench {
	uint32_t algorithm, size; /* of an operation */
	struct cow_file file;
	struct cow_op_make *ops;
	size_t nops;
	struct ovbd_blob *view;
	uint8_t *buf, *in;
	ZSTD_DCtx *zstd;
	z_stream zlib;
	uint32_t *reads; /* blocks */
};

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench: %s\n", what);
		exit(1);
	}
}

static size_t compress_piece(uint32_t algorithm, const uint8_t *p, size_t len, uint8_t *out)
{
	uLongf n = len;

	if (algorithm == LZ4)
		return (size_t)LZ4_compress_default((const char *)p, (char *)out, (int)len,
		                                    (int)len - 1);
	if (algorithm == ZSTD) {
		const size_t z = ZSTD_compress(out, len, p, len, 3);

		return ZSTD_isError(z) ? 0 : z;
	}
	return compress2(out, &n, p, len, 6) == Z_OK ? n : 0;
}

static void make(struct cow_bench *c)
{
	const uint8_t *data = bench_data(DATA_SIZE);
	const size_t once = DATA_SIZE / c->size;
	uint8_t *out = malloc(DATA_SIZE), *at = out;
	uint32_t factor = 0;

	while (4096u << factor < c->size)
		factor++;
	c->nops = DEVICE_SIZE / c->size;
	c->ops = calloc(c->nops, sizeof(c->ops[0]));
	c->buf = malloc(PIECE);
	c->in = malloc(OP_MAX);
	must(out && c->ops && c->buf && c->in, "out of memory");
	for (size_t i = 0; i < c->nops; i++) {
		struct cow_op_make *op = &c->ops[i];

		if (i < once) {
			const uint8_t *p = data + i * c->size;
			const size_t n = compress_piece(c->algorithm, p, c->size, at);

			*op = (struct cow_op_make){.type = 2, .factor = factor, .data = at};
			op->len = n > 0 && n < c->size ? (uint32_t)n : c->size;
			if (op->len == c->size)
				memcpy(at, p, c->size);
			at += op->len;
		} else {
			*op = c->ops[i % once];
		}
		op->block = (uint32_t)(i * (c->size / 4096));
	}
	c->file = cow_file_make(c->ops, c->nops, c->algorithm, 0);
	free(out);
}

static struct ovbd_cow *open_cow(const struct cow_file *f)
{
	struct ovbd_error err;
	struct ovbd_blob *b;
	struct ovbd_cow *c;

	must(ovbd_blob_open_file(f->path, &b, &err) == 0, err.msg);
	must(ovbd_cow_open(b, NULL, &c, &err) == 0, err.msg);
	return c;
}

/* ---- all of it ---- */

static void read_ours(void *arg)
{
	const struct cow_bench *c = arg;

	for (uint64_t off = 0; off < DEVICE_SIZE; off += PIECE)
		must(ovbd_blob_pread(c->view, c->buf, PIECE, off, NULL) == 0, "read");
	bench_keep(c->buf[PIECE / 2]);
}

static void decode(struct cow_bench *c, size_t i, uint64_t off, uint8_t *out)
{
	const uint32_t len = c->ops[i].len;
	bool good = true;

	must(pread(c->file.fd, len == c->size ? out : c->in, len, (off_t)off) == (ssize_t)len,
	     "pread");
	if (len == c->size)
		return;
	if (c->algorithm == LZ4) {
		good = LZ4_decompress_safe((const char *)c->in, (char *)out, (int)len,
		                           (int)c->size) == (int)c->size;
	} else if (c->algorithm == ZSTD) {
		good = ZSTD_decompressDCtx(c->zstd, out, c->size, c->in, len) == c->size;
	} else {
		inflateReset(&c->zlib);
		c->zlib.next_in = c->in;
		c->zlib.avail_in = len;
		c->zlib.next_out = out;
		c->zlib.avail_out = c->size;
		good = inflate(&c->zlib, Z_FINISH) == Z_STREAM_END;
	}
	must(good, "decompress");
}

static void read_theirs(void *arg)
{
	struct cow_bench *c = arg;
	uint64_t off = c->file.data_off;

	for (size_t i = 0; i < c->nops; i++) {
		decode(c, i, off, c->buf + i * c->size % PIECE);
		off += c->ops[i].len;
	}
	bench_keep(c->buf[PIECE / 2]);
}

/* ---- a block at a time ---- */

static void blocks_ours(void *arg)
{
	const struct cow_bench *c = arg;

	for (size_t i = 0; i < NREADS; i++)
		must(ovbd_blob_pread(c->view, c->buf, 4096, (uint64_t)c->reads[i] * 4096, NULL) ==
		             0,
		     "read");
	bench_keep(c->buf[0]);
}

static void blocks_theirs(void *arg)
{
	struct cow_bench *c = arg;
	const uint32_t step = c->size / 4096;

	for (size_t i = 0; i < NREADS; i++) {
		const size_t op = c->reads[i] / step;

		decode(c, op, c->ops[op].source, c->buf);
		memcpy(c->buf + OP_MAX, c->buf + (size_t)(c->reads[i] % step) * 4096, 4096);
	}
	bench_keep(c->buf[OP_MAX]);
}

/* Readers that begin somewhere near the same place and go on from there block by block, now one,
 * now another; then somewhere else. */
static void make_reads(struct cow_bench *c)
{
	uint64_t random = 7, off = c->file.data_off;
	uint32_t at[NNEAR] = {0};

	c->reads = calloc(NREADS, sizeof(c->reads[0]));
	must(c->reads != NULL, "out of memory");
	for (size_t i = 0; i < NREADS; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		if (i % (NNEAR * 32) == 0)
			for (unsigned r = 0; r < NNEAR; r++)
				at[r] = (uint32_t)((random >> 20) % (DEVICE_SIZE / 4096 - 256)) +
				        r * 24;
		c->reads[i] = at[random >> 60 & (NNEAR - 1)]++;
	}
	for (size_t i = 0; i < c->nops; i++) {
		c->ops[i].source = off; /* where its data are */
		off += c->ops[i].len;
	}
}

static void bench_one(struct bench *b, uint32_t algorithm, const char *name, uint32_t size)
{
	struct cow_bench c = {.algorithm = algorithm, .size = size};
	struct bench_row row = {.group = "cow", .arg = &c, .rounds = 3};
	struct ovbd_error err;
	char text[64];

	make(&c);
	must(ovbd_cow_view_open(open_cow(&c.file), NULL, &c.view, &err) == 0, err.msg);
	c.zstd = ZSTD_createDCtx();
	must(c.zstd && inflateInit(&c.zlib) == Z_OK, "no decompressor");
	row.name = text;
	snprintf(text, sizeof(text), "%s %uK, all of it", name, size >> 10);
	row.limit = "pread + codec";
	row.unit = "MB/s";
	row.work = DEVICE_SIZE / 1e6;
	row.target = 0.85;
	row.ours = read_ours;
	row.theirs = read_theirs;
	bench_run(b, &row);
	if (algorithm == ZSTD && size == OP_MAX) {
		make_reads(&c);
		snprintf(text, sizeof(text), "%s %uK, 4 KiB, 4 near readers", name, size >> 10);
		row.limit = "the operation for each";
		row.unit = "K reads/s";
		row.work = NREADS / 1e3;
		row.target = 4;
		row.ours = blocks_ours;
		row.theirs = blocks_theirs;
		bench_run(b, &row);
		free(c.reads);
	}
	ZSTD_freeDCtx(c.zstd);
	inflateEnd(&c.zlib);
	ovbd_blob_close(c.view);
	cow_file_free(&c.file);
	free(c.ops);
	free(c.buf);
	free(c.in);
}

/* ---- opening ---- */

static void open_ours(void *arg)
{
	const struct cow_bench *c = arg;
	struct ovbd_cow *cow = open_cow(&c->file);

	bench_keep(ovbd_cow_count(cow));
	ovbd_cow_close(cow);
}

static int by_block(const void *a, const void *b)
{
	const uint8_t *x = a, *y = b;
	const uint32_t s = ovbd_get_le32(x + 4), t = ovbd_get_le32(y + 4);

	return (s > t) - (s < t);
}

static void open_theirs(void *arg)
{
	const struct cow_bench *c = arg;
	const size_t size = (size_t)NOPS * 16;
	uint8_t *table = malloc(size);

	must(table != NULL, "out of memory");
	must(pread(c->file.fd, table, size, (off_t)(c->file.data_off - size)) == (ssize_t)size,
	     "pread");
	qsort(table, NOPS, 16, by_block);
	bench_keep(table[size / 2]);
	free(table);
}

static void bench_open(struct bench *b)
{
	struct cow_bench c = {.nops = NOPS};
	const struct bench_row row = {
		.group = "cow",
		.name = "open, 1M operations",
		.limit = "read and qsort() the table",
		.unit = "M ops/s",
		.work = NOPS / 1e6,
		.target = 0.33,
		.ours = open_ours,
		.theirs = open_theirs,
		.arg = &c,
	};

	c.ops = calloc(NOPS, sizeof(c.ops[0]));
	must(c.ops != NULL, "out of memory");
	for (uint32_t i = 0; i < NOPS; i++) /* every block once, in no order */
		c.ops[i] = (struct cow_op_make){.type = 1,
		                                .block = (uint32_t)((uint64_t)i * 611953 % NOPS),
		                                .source = i};
	c.file = cow_file_make(c.ops, NOPS, 0, 0);
	bench_run(b, &row);
	cow_file_free(&c.file);
	free(c.ops);
}

void bench_cow(struct bench *b)
{
	static const struct {
		uint32_t algorithm;
		const char *name;
	} codecs[] = {{LZ4, "lz4"}, {ZSTD, "zstd"}, {GZ, "gz"}};

	for (size_t i = 0; i < 3; i++) {
		bench_one(b, codecs[i].algorithm, codecs[i].name, 4096);
		bench_one(b, codecs[i].algorithm, codecs[i].name, OP_MAX);
	}
	bench_open(b);
}
