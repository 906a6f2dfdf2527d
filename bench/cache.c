// SPDX-License-Identifier: Apache-2.0
/*
 * A layer that is all in the cache, read through the whole chain (cache, tar, ZFile, stack). The
 * limit is the same chain over a local file. And how much of a cold layer sixteen readers fetch, as
 * a share of it.
 */
#include "bench/bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "image/tar.h"
#include "lsmt/lsmt.h"
#include "remote/cache.h"
#include "zfile/zfile.h"

#define DATA_SIZE (64u << 20)
#define MIB       (1u << 20)
#define NRANDOM   16384u
#define NREADERS  16u

struct input {
	struct ovbd_cache *cache;
	struct ovbd_blob *cached, *local;
	size_t request; /* bytes */
	uint8_t *buf;
};

/* A file that says how much of it was asked for, and is as far away as another machine. */
struct far {
	struct ovbd_blob blob;
	struct ovbd_blob *file;
	unsigned delay_us;
	atomic_uint_fast64_t nbytes;
};

static char dir[4096], path[4200];

static void must(int r, const struct ovbd_error *err)
{
	if (r < 0) {
		fprintf(stderr, "bench: %s\n", err->msg);
		exit(1);
	}
}

static int far_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	struct far *f = OVBD_CONTAINER_OF(b, struct far, blob);

	if (f->delay_us)
		usleep(f->delay_us);
	atomic_fetch_add(&f->nbytes, len);
	return ovbd_blob_pread(f->file, buf, len, off, err);
}

static void far_close(struct ovbd_blob *b)
{
	(void)b;
}

static const struct ovbd_blob_ops far_ops = {
	.name = "far file",
	.pread = far_pread,
	.close = far_close,
};

static void make_layer(enum ovbd_codec_id codec, uint32_t block_size)
{
	static const struct ovbd_sink_file_params overwrite = {.overwrite = true};
	const struct ovbd_zfile_params zp = {.codec = codec,
	                                     .block_size = block_size,
	                                     .checksum = true,
	                                     .nthreads = 2};
	const struct ovbd_layer_params lp = {.virtual_size = DATA_SIZE};
	const uint8_t *data = bench_data(DATA_SIZE);
	OVBD_AUTO(ovbd_layer_writer_closep) struct ovbd_layer_writer *w = NULL;
	struct ovbd_error err;
	struct ovbd_sink *s;

	must(ovbd_sink_create_file(path, &overwrite, &s, &err), &err);
	must(ovbd_tar_create(s, &s, &err), &err);
	must(ovbd_zfile_create(s, &zp, &s, &err), &err);
	must(ovbd_layer_create(s, &lp, &w, &err), &err);
	for (size_t off = 0; off < DATA_SIZE; off += MIB)
		must(ovbd_layer_put(w, off, data + off, MIB, &err), &err);
	must(ovbd_layer_finish(w, &err), &err);
}

/* What is in the tar at take_b, as a device. */
static struct ovbd_blob *open_chain(struct ovbd_blob *take_b)
{
	const uint64_t stored_size = take_b->size;
	struct ovbd_blob *b = take_b;
	struct ovbd_layer *layer;
	struct ovbd_error err;
	uint64_t off, len;

	must(ovbd_tar_member(b, &off, &len, &err), &err);
	must(ovbd_blob_open_slice(b, off, len, &b, &err), &err);
	must(ovbd_zfile_open(b, &b, &err), &err);
	must(ovbd_layer_open(b, stored_size, &layer, &err), &err);
	must(ovbd_stack_open(&layer, 1, &b, &err), &err);
	return b;
}

static struct ovbd_blob *open_file(void)
{
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	must(ovbd_blob_open_file(path, &b, &err), &err);
	return b;
}

static struct ovbd_blob *open_cached(struct ovbd_cache *c, const char *key,
                                     struct ovbd_blob *take_source)
{
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	must(ovbd_cache_blob_open(c, key, take_source, &b, &err), &err);
	return open_chain(b);
}

static void read_all(struct input *in, struct ovbd_blob *b)
{
	struct ovbd_error err;

	for (uint64_t off = 0; off < DATA_SIZE; off += in->request)
		must(ovbd_blob_pread(b, in->buf, in->request, off, &err), &err);
}

static void read_randomly(struct input *in, struct ovbd_blob *b)
{
	uint64_t seed = 1;
	struct ovbd_error err;

	for (unsigned i = 0; i < NRANDOM; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		must(ovbd_blob_pread(b, in->buf, 4096, (seed >> 33) % (DATA_SIZE / 4096) * 4096,
		                     &err),
		     &err);
	}
}

static void cached_all(void *arg)
{
	read_all(arg, ((struct input *)arg)->cached);
}

static void local_all(void *arg)
{
	read_all(arg, ((struct input *)arg)->local);
}

static void cached_randomly(void *arg)
{
	read_randomly(arg, ((struct input *)arg)->cached);
}

static void local_randomly(void *arg)
{
	read_randomly(arg, ((struct input *)arg)->local);
}

static void bench_reads(struct bench *b, struct input *in, const char *what)
{
	struct bench_row row = {
		.group = "cache",
		.limit = "the chain on a local file",
		.unit = "MB/s",
		.target = 0.90,
		.arg = in,
	};
	char name[64];

	row.name = name;
	for (in->request = MIB; in->request >= 4096; in->request /= 256) {
		snprintf(name, sizeof(name), "%s, sequential %zu KiB", what, in->request >> 10);
		row.work = DATA_SIZE / 1e6;
		row.ours = cached_all;
		row.theirs = local_all;
		bench_run(b, &row);
	}
	snprintf(name, sizeof(name), "%s, random 4 KiB", what);
	row.work = NRANDOM * 4096 / 1e6;
	row.ours = cached_randomly;
	row.theirs = local_randomly;
	bench_run(b, &row);
}

static void *read_as_one_of_many(void *arg)
{
	struct input in = {.cached = arg, .request = 128u << 10, .buf = malloc(MIB)};

	read_all(&in, in.cached);
	free(in.buf);
	return NULL;
}

/* Not a row: it is no speed. */
static void tell_traffic(struct ovbd_cache *c)
{
	struct far f = {.blob = {.ops = &far_ops}, .file = open_file(), .delay_us = 2000};
	pthread_t threads[NREADERS];
	struct ovbd_blob *b;

	f.blob.size = f.file->size;
	b = open_cached(c, "cold", &f.blob);
	for (unsigned i = 0; i < NREADERS; i++)
		if (pthread_create(&threads[i], NULL, read_as_one_of_many, b) != 0)
			exit(1);
	for (unsigned i = 0; i < NREADERS; i++)
		pthread_join(threads[i], NULL);
	ovbd_blob_close(b);
	ovbd_blob_close(f.file);
	printf("cache: %u readers of a cold layer fetch %.3f of it\n", NREADERS,
	       (double)f.nbytes / (double)f.blob.size);
}

static void bench_codec(struct bench *b, enum ovbd_codec_id codec, uint32_t block_size,
                        const char *what, bool traffic)
{
	struct input in = {.buf = malloc(MIB)};
	char command[8300];
	struct ovbd_error err;

	make_layer(codec, block_size);
	must(ovbd_cache_open(dir, NULL, &in.cache, &err), &err);
	in.local = open_chain(open_file());
	in.cached = open_cached(in.cache, what, open_file());
	in.request = MIB;
	read_all(&in, in.cached); /* fetches it */
	bench_reads(b, &in, what);
	ovbd_blob_close(in.cached);
	ovbd_blob_close(in.local);
	if (traffic)
		tell_traffic(in.cache);
	ovbd_cache_close(in.cache);
	free(in.buf);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		exit(1);
	unlink(path);
}

void bench_cache(struct bench *b)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/ovbd-bench-cache.%ld", tmp ? tmp : "/tmp", (long)getpid());
	snprintf(path, sizeof(path), "%s.layer", dir);
	bench_codec(b, OVBD_CODEC_LZ4, 4096, "lz4 4K", true);
	bench_codec(b, OVBD_CODEC_ZSTD, 65536, "zstd 64K", false);
}
