// SPDX-License-Identifier: Apache-2.0
/*
 * A sink that compresses into another.
 *
 * What is appended is gathered in the jobs of a pool, JOB_SIZE bytes each, a whole number of
 * blocks. A job is compressed by any thread into its own buffer, checksums included, just as it
 * goes into the file; done() appends these in order. Which thread compresses a block, and where
 * the appends were cut, leaves no trace: a block depends on its own bytes only.
 *
 * The jump table grows in memory, in the file's form, until finish() writes it, the trailer and,
 * where the inner sink can do that, the header anew. Until then the header is the one of a file
 * that is not complete; a reader of a file that was never finished finds no trailer.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/pool.h"
#include "zfile/codec.h"
#include "zfile/format.h"
#include "zfile/jump.h"
#include "zfile/zfile.h"

#define JOB_SIZE    (128u << 10)
#define THREADS_MAX 1024u

struct job {
	uint8_t *raw;
	size_t raw_len;
	uint8_t *stored; /* all blocks of the job, with their checksums */
	size_t stored_len;
	uint32_t *lengths; /* of each block, as stored */
	uint32_t nblocks;
	int status;
};

struct zsink {
	struct ovbd_sink sink;
	struct ovbd_sink *inner; /* owned */
	const struct ovbd_codec *codec;
	struct ovbd_zfile_params p;
	struct ovbd_pool *pool;
	struct job *jobs;
	unsigned njobs;
	struct job *filling;   /* the job that takes appends, or NULL */
	unsigned filling_no;   /* its number */
	void **compressors;    /* by thread */
	uint8_t *index;        /* the jump table so far, as in the file */
	uint64_t nblocks, cap; /* entries, and room for entries, in index */
	struct zfile_large large;
};

static struct zsink *zsink_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct zsink, sink);
}

/* Appends a block to what is stored of job. */
static int compress_block(const struct zsink *z, void *compressor, struct job *job,
                          const uint8_t *raw, size_t len)
{
	uint8_t *dst = job->stored + job->stored_len;
	size_t n;
	int r;

	r = z->codec->compress(compressor, raw, len, dst, z->codec->bound(z->p.block_size), &n);
	if (r < 0)
		return r;
	if (z->p.checksum) {
		ovbd_put_le32(dst + n, ovbd_crc32c(ZFILE_BLOCK_CRC_SEED, dst, n));
		n += ZFILE_CRC_SIZE;
	}
	job->lengths[job->nblocks++] = (uint32_t)n;
	job->stored_len += n;
	return 0;
}

static void work(void *ctx, unsigned number, unsigned thread)
{
	const struct zsink *z = ctx;
	struct job *job = &z->jobs[number];

	job->stored_len = 0;
	job->nblocks = 0;
	job->status = 0;
	for (size_t off = 0; job->status == 0 && off < job->raw_len; off += z->p.block_size) {
		const size_t len = (size_t)ovbd_min(z->p.block_size, job->raw_len - off);

		job->status = compress_block(z, z->compressors[thread], job, job->raw + off, len);
	}
}

static int index_grow(struct zsink *z, uint64_t n, struct ovbd_error *err)
{
	uint64_t cap = z->cap ? z->cap : 1024;
	uint8_t *bigger;

	if (n <= z->cap - z->nblocks)
		return 0;
	while (cap - z->nblocks < n)
		cap *= 2;
	bigger = cap <= SIZE_MAX / ZFILE_ENTRY_SIZE
	                 ? realloc(z->index, (size_t)cap * ZFILE_ENTRY_SIZE)
	                 : NULL;
	if (!bigger)
		return ovbd_fail(err, -ENOMEM,
		                 "out of memory for a jump table of %" PRIu64 " entries", cap);
	z->index = bigger;
	z->cap = cap;
	return 0;
}

static int done(void *ctx, unsigned number, struct ovbd_error *err)
{
	struct zsink *z = ctx;
	const struct job *job = &z->jobs[number];
	int r;

	if (job->status < 0)
		return ovbd_fail_errno(err, job->status, "%s: cannot compress block %" PRIu64,
		                       z->codec->name, z->nblocks + job->nblocks);
	r = index_grow(z, job->nblocks, err);
	if (r == 0)
		r = ovbd_sink_append(z->inner, job->stored, job->stored_len, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < job->nblocks; i++) {
		ovbd_put_le32(z->index + z->nblocks * ZFILE_ENTRY_SIZE, job->lengths[i]);
		z->nblocks++;
		ovbd_zfile_large_count(&z->large, z->p.block_size, job->lengths[i]);
	}
	return 0;
}

static const struct ovbd_pool_ops pool_ops = {.work = work, .done = done};

static void submit(struct zsink *z)
{
	ovbd_pool_submit(z->pool, z->filling_no);
	z->filling = NULL;
}

static int zsink_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	struct zsink *z = zsink_of(s);
	const uint8_t *src = buf;

	while (len > 0) {
		size_t n;

		if (!z->filling) {
			const int r = ovbd_pool_next(z->pool, &z->filling_no, err);

			if (r < 0)
				return r;
			z->filling = &z->jobs[z->filling_no];
			z->filling->raw_len = 0;
		}
		n = (size_t)ovbd_min(len, JOB_SIZE - z->filling->raw_len);
		memcpy(z->filling->raw + z->filling->raw_len, src, n);
		z->filling->raw_len += n;
		src += n;
		len -= n;
		if (z->filling->raw_len == JOB_SIZE)
			submit(z);
	}
	return 0;
}

/* What header and trailer have in common before anything else is known. */
static struct zfile_header new_header(const struct zsink *z)
{
	return (struct zfile_header){
		.flags = ZFILE_FLAG_HEADER | ZFILE_FLAG_DATA | ZFILE_FLAG_DIGEST,
		.block_size = z->p.block_size,
		.codec = (uint8_t)z->codec->id,
		.checksum = z->p.checksum,
	};
}

/* The jump table, the trailer, and the header again. The flags are those overlaybd writes. */
static int write_end(struct zsink *z, struct ovbd_error *err)
{
	const size_t index_size = (size_t)z->nblocks * ZFILE_ENTRY_SIZE;
	struct zfile_header h = new_header(z);
	uint8_t raw[ZFILE_HEADER_SIZE];
	int r;

	h.index_off = z->inner->written;
	h.nblocks = z->nblocks;
	h.raw_size = z->sink.written;
	h.index_crc = ovbd_crc32c(0, z->index, index_size);
	r = ovbd_sink_append(z->inner, z->index, index_size, err);
	if (r < 0)
		return r;
	h.flags = ZFILE_FLAG_DATA | ZFILE_FLAG_SEALED | ZFILE_FLAG_DIGEST;
	ovbd_zfile_header_encode(&h, raw);
	r = ovbd_sink_append(z->inner, raw, sizeof(raw), err);
	if (r < 0 || z->p.trailer_only || !ovbd_sink_can_patch(z->inner))
		return r;
	h.flags = ZFILE_FLAG_HEADER | ZFILE_FLAG_DATA | ZFILE_FLAG_DIGEST | ZFILE_FLAG_OVERWRITTEN;
	ovbd_zfile_header_encode(&h, raw);
	return ovbd_sink_patch(z->inner, raw, sizeof(raw), 0, err);
}

static int zsink_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	struct zsink *z = zsink_of(s);
	int r;

	if (z->filling)
		submit(z);
	r = ovbd_pool_drain(z->pool, err);
	if (r == 0)
		r = write_end(z, err);
	if (r == 0)
		r = ovbd_sink_finish(z->inner, err);
	return r;
}

static void zsink_free(struct zsink *z)
{
	if (!z)
		return;
	ovbd_pool_close(z->pool);
	for (unsigned i = 0; z->jobs && i < z->njobs; i++) {
		free(z->jobs[i].raw);
		free(z->jobs[i].stored);
		free(z->jobs[i].lengths);
	}
	for (unsigned i = 0; z->compressors && i < z->p.nthreads; i++)
		z->codec->compressor_free(z->compressors[i]);
	free(z->jobs);
	free(z->compressors);
	free(z->index);
	ovbd_sink_close(z->inner);
	free(z);
}

static void zsink_freep(struct zsink **z)
{
	zsink_free(*z);
}

static void zsink_close(struct ovbd_sink *s)
{
	zsink_free(zsink_of(s));
}

static const struct ovbd_sink_ops zsink_ops = {
	.name = "zfile",
	.append = zsink_append,
	.finish = zsink_finish,
	.close = zsink_close,
};

static int check_params(const struct ovbd_zfile_params *p, struct ovbd_error *err)
{
	if (!ovbd_codec_find(p->codec))
		return ovbd_fail(err, -EINVAL, "zfile: compression algorithm %d is unknown",
		                 (int)p->codec);
	if (p->block_size < OVBD_ZFILE_BLOCK_MIN || p->block_size > OVBD_ZFILE_BLOCK_MAX ||
	    (p->block_size & (p->block_size - 1)) != 0)
		return ovbd_fail(err, -EINVAL,
		                 "zfile: block size %" PRIu32
		                 " is not a power of two from %u to %u",
		                 p->block_size, OVBD_ZFILE_BLOCK_MIN, OVBD_ZFILE_BLOCK_MAX);
	if (p->nthreads == 0 || p->nthreads > THREADS_MAX)
		return ovbd_fail(err, -EINVAL, "zfile: %u threads are not from 1 to %u",
		                 p->nthreads, THREADS_MAX);
	return 0;
}

/* The memory of the threads and jobs. What was made before a failure, zsink_free() frees. */
static int create_jobs(struct zsink *z, struct ovbd_error *err)
{
	const uint32_t nblocks = JOB_SIZE / z->p.block_size;
	const size_t stored_size = nblocks * (z->codec->bound(z->p.block_size) + ZFILE_CRC_SIZE);

	z->compressors = ovbd_array_alloc(z->p.nthreads, sizeof(z->compressors[0]));
	z->jobs = ovbd_array_alloc(z->njobs, sizeof(z->jobs[0]));
	if (!z->compressors || !z->jobs)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < z->p.nthreads; i++) {
		const int r = z->codec->compressor_create(z->p.level, &z->compressors[i], err);

		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < z->njobs; i++) {
		struct job *job = &z->jobs[i];

		job->raw = malloc(JOB_SIZE);
		job->stored = malloc(stored_size);
		job->lengths = ovbd_array_alloc(nblocks, sizeof(job->lengths[0]));
		if (!job->raw || !job->stored || !job->lengths)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return ovbd_pool_create(&pool_ops, z, z->p.nthreads, z->njobs, &z->pool, err);
}

int ovbd_zfile_create(struct ovbd_sink *take_inner, const struct ovbd_zfile_params *p,
                      struct ovbd_sink **ret, struct ovbd_error *err)
{
	AUTO_SINK *inner = take_inner;
	OVBD_AUTO(zsink_freep) struct zsink *z = NULL;
	uint8_t raw[ZFILE_HEADER_SIZE];
	struct zfile_header h;
	int r;

	assert(inner->written == 0);
	r = check_params(p, err);
	if (r < 0)
		return r;
	z = calloc(1, sizeof(*z));
	if (!z)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	z->sink.ops = &zsink_ops;
	z->p = *p;
	z->codec = ovbd_codec_find(p->codec);
	z->njobs = p->nthreads == 1 ? 1 : 2 * p->nthreads + 2;
	r = create_jobs(z, err);
	if (r < 0)
		return r;
	h = new_header(z);
	ovbd_zfile_header_encode(&h, raw);
	r = ovbd_sink_append(inner, raw, sizeof(raw), err);
	if (r < 0)
		return r;
	z->inner = OVBD_MOVE(inner);
	*ret = &OVBD_MOVE(z)->sink;
	return 0;
}

uint64_t ovbd_zfile_sink_nlarge(const struct ovbd_sink *s)
{
	const struct zsink *z = (const struct zsink *)(const void *)s;

	assert(s->ops == &zsink_ops);
	return z->large.nlarge;
}
