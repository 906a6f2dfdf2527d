// SPDX-License-Identifier: Apache-2.0
/*
 * ZFiles read from the page cache, and written to nowhere.
 *
 * The limit of a read is the bare work on the same blocks: one pread(2) of the compressed bytes of
 * a request, a checksum per block, the codec with a context that is kept, and nothing else. A
 * second limit is the codec alone, with all compressed bytes in memory already.
 */
#include "bench/bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/sink.h"
#include "bench/null_sink.h"
#include "zfile/codec.h"
#include "zfile/format.h"
#include "zfile/zfile.h"

#define DATA_SIZE (64u << 20)
#define MIB       (1u << 20)
#define MB        1e6
#define NRANDOM   32768u

/* One file and all that the bare work on it needs. */
struct input {
	const char *name;
	const struct ovbd_codec *codec;
	uint32_t block_size;
	unsigned nthreads;
	size_t request; /* bytes of each read */

	struct ovbd_blob *blob;
	int fd;
	uint8_t *stored;   /* the file in memory */
	uint64_t *offsets; /* of each block, and of the end of the last */
	uint32_t *random;  /* blocks to read, in this order */
	void *decompressor, *compressor;
	uint8_t *in, *out;
};

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static void *get(size_t size)
{
	void *p = malloc(size);

	if (!p)
		die("out of memory");
	memset(p, 1, size);
	return p;
}

/* A sink that forgets. */
static void compress_into(const struct input *in, struct ovbd_sink *take_sink, unsigned nthreads)
{
	const uint8_t *data = bench_data(DATA_SIZE);
	const struct ovbd_zfile_params p = {
		.codec = in->codec->id,
		.block_size = in->block_size,
		.checksum = true,
		.nthreads = nthreads,
	};
	AUTO_SINK *z = NULL;
	struct ovbd_error err;

	if (ovbd_zfile_create(take_sink, &p, &z, &err) < 0)
		die(err.msg);
	for (size_t off = 0; off < DATA_SIZE; off += MIB)
		if (ovbd_sink_append(z, data + off, MIB, &err) < 0)
			die(err.msg);
	if (ovbd_sink_finish(z, &err) < 0)
		die(err.msg);
}

static void find_blocks(struct input *in, size_t stored_size)
{
	const uint32_t nblocks = DATA_SIZE / in->block_size;
	const uint8_t *index;
	uint64_t seed = 1;

	if (pread(in->fd, in->stored, stored_size, 0) != (ssize_t)stored_size)
		die("cannot read the file just written");
	index = in->stored + ovbd_get_le64(in->stored + ZFILE_OFF_INDEX_OFFSET);
	in->offsets = get((nblocks + 1) * sizeof(in->offsets[0]));
	in->offsets[0] = ZFILE_HEADER_SIZE;
	for (uint32_t i = 0; i < nblocks; i++)
		in->offsets[i + 1] = in->offsets[i] + ovbd_get_le32(index + i * ZFILE_ENTRY_SIZE);
	in->random = get(NRANDOM * sizeof(in->random[0]));
	for (uint32_t i = 0; i < NRANDOM; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		in->random[i] = (uint32_t)(seed >> 33) % nblocks;
	}
}

static void open_input(struct input *in)
{
	static const struct ovbd_sink_file_params overwrite = {.overwrite = true};
	const char *tmp = getenv("TMPDIR");
	struct ovbd_sink *sink;
	struct ovbd_error err;
	char path[4096];

	snprintf(path, sizeof(path), "%s/ovbd-bench.%ld", tmp ? tmp : "/tmp", (long)getpid());
	if (ovbd_sink_create_file(path, &overwrite, &sink, &err) < 0)
		die(err.msg);
	compress_into(in, sink, 1);
	if (ovbd_blob_open_file(path, &in->blob, &err) < 0)
		die(err.msg);
	in->fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	in->stored = get((size_t)in->blob->size);
	find_blocks(in, (size_t)in->blob->size);
	if (ovbd_zfile_open(in->blob, &in->blob, &err) < 0 ||
	    in->codec->decompressor_create(&in->decompressor, &err) < 0 ||
	    in->codec->compressor_create(0, &in->compressor, &err) < 0)
		die(err.msg);
	in->in = get(2 * MIB);
	in->out = get(2 * MIB);
}

static void close_input(struct input *in)
{
	ovbd_blob_close(in->blob);
	close(in->fd);
	in->codec->decompressor_free(in->decompressor);
	in->codec->compressor_free(in->compressor);
	free(in->stored);
	free(in->offsets);
	free(in->random);
	free(in->in);
	free(in->out);
}

static void decompress(struct input *in, const uint8_t *stored, uint64_t block, uint8_t *out)
{
	const size_t len = (size_t)(in->offsets[block + 1] - in->offsets[block]) - ZFILE_CRC_SIZE;
	size_t n;

	if (in->codec->decompress(in->decompressor, stored, len, out, in->block_size, &n) < 0)
		die("does not decompress");
}

/* The bare work of reading n blocks. */
static void bare_read(struct input *in, uint64_t block, uint64_t n)
{
	const uint64_t start = in->offsets[block];
	const size_t len = (size_t)(in->offsets[block + n] - start);

	if (pread(in->fd, in->in, len, (off_t)start) != (ssize_t)len)
		die("short read");
	for (uint64_t i = block; i < block + n; i++) {
		const uint8_t *stored = in->in + (in->offsets[i] - start);
		const size_t size = (size_t)(in->offsets[i + 1] - in->offsets[i]) - ZFILE_CRC_SIZE;

		if (ovbd_crc32c(ZFILE_BLOCK_CRC_SEED, stored, size) != ovbd_get_le32(stored + size))
			die("wrong checksum");
		decompress(in, stored, i, in->out + (i - block) * in->block_size);
	}
}

static void bare_sequential(void *arg)
{
	struct input *in = arg;
	const uint64_t n = in->request > in->block_size ? in->request / in->block_size : 1;

	for (uint64_t block = 0; block < DATA_SIZE / in->block_size; block += n)
		bare_read(in, block, n);
}

static void bare_random(void *arg)
{
	struct input *in = arg;

	for (uint32_t i = 0; i < NRANDOM; i++)
		bare_read(in, in->random[i], 1);
}

static void codec_alone(void *arg)
{
	struct input *in = arg;

	for (uint64_t i = 0; i < DATA_SIZE / in->block_size; i++)
		decompress(in, in->stored + in->offsets[i], i, in->out + i * in->block_size % MIB);
}

static void read_at(struct input *in, uint64_t off)
{
	struct ovbd_error err;

	if (ovbd_blob_pread(in->blob, in->out, in->request, off, &err) < 0)
		die(err.msg);
}

static void our_sequential(void *arg)
{
	struct input *in = arg;

	for (uint64_t off = 0; off < DATA_SIZE; off += in->request)
		read_at(in, off);
}

static void our_random(void *arg)
{
	struct input *in = arg;

	for (uint32_t i = 0; i < NRANDOM; i++)
		read_at(in, (uint64_t)in->random[i] * in->block_size);
}

static void our_writer(void *arg)
{
	const struct input *in = arg;

	compress_into(in, bench_null_sink(), in->nthreads);
}

static void our_writer_alone(void *arg)
{
	compress_into(arg, bench_null_sink(), 1);
}

static void codec_compress(void *arg)
{
	struct input *in = arg;
	const uint8_t *data = bench_data(DATA_SIZE);
	size_t n;

	for (size_t off = 0; off < DATA_SIZE; off += in->block_size) {
		if (in->codec->compress(in->compressor, data + off, in->block_size, in->out, MIB,
		                        &n) < 0)
			die("does not compress");
		bench_keep(n);
	}
}

static void run(struct bench *b, struct input *in, struct bench_row row)
{
	char name[96];

	snprintf(name, sizeof(name), "%s, %s", in->name, row.name);
	row.group = "zfile";
	row.name = name;
	row.unit = "MB/s";
	row.arg = in;
	if (row.work <= 0)
		row.work = DATA_SIZE / MB;
	bench_run(b, &row);
}

static void run_reads(struct bench *b, struct input *in, double target)
{
	in->request = MIB;
	run(b, in,
	    (struct bench_row){.name = "1 MiB requests",
	                       .limit = "pread + CRC + codec",
	                       .target = target,
	                       .ours = our_sequential,
	                       .theirs = bare_sequential});
	run(b, in,
	    (struct bench_row){.name = "1 MiB requests, codec alone",
	                       .limit = "the codec alone",
	                       .ours = our_sequential,
	                       .theirs = codec_alone});
	in->request = 4096;
	if (in->block_size == 4096)
		run(b, in,
		    (struct bench_row){.name = "random 4 KiB",
		                       .limit = "pread + CRC + codec",
		                       .target = 0.80,
		                       .work = NRANDOM * 4096 / MB,
		                       .ours = our_random,
		                       .theirs = bare_random});
	else
		run(b, in,
		    (struct bench_row){.name = "sequential 4 KiB",
		                       .limit = "pread + CRC + codec",
		                       .target = 0.50,
		                       .ours = our_sequential,
		                       .theirs = bare_sequential});
}

static void run_writes(struct bench *b, struct input *in)
{
	run(b, in,
	    (struct bench_row){.name = "write, 1 thread",
	                       .limit = "the codec alone",
	                       .target = 0.80,
	                       .rounds = 5,
	                       .ours = our_writer_alone,
	                       .theirs = codec_compress});
	in->nthreads = 2;
	run(b, in,
	    (struct bench_row){.name = "write, 2 threads",
	                       .limit = "1 thread",
	                       .target = 1.70,
	                       .rounds = 5,
	                       .wall = true,
	                       .ours = our_writer,
	                       .theirs = our_writer_alone});
}

void bench_zfile(struct bench *b)
{
	struct input inputs[] = {
		{.name = "lz4 4K", .codec = &ovbd_codec_lz4, .block_size = 4096},
		{.name = "lz4 64K", .codec = &ovbd_codec_lz4, .block_size = 65536},
		{.name = "zstd 4K", .codec = &ovbd_codec_zstd, .block_size = 4096},
		{.name = "zstd 64K", .codec = &ovbd_codec_zstd, .block_size = 65536},
	};

	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		open_input(&inputs[i]);
		run_reads(b, &inputs[i], 0.90);
		run_writes(b, &inputs[i]);
		close_input(&inputs[i]);
	}
}
