// SPDX-License-Identifier: Apache-2.0
/*
 * A tree is made from the bottom up, and written from the top down: so the hashes of the data's
 * blocks are kept until the end, and then each level is made of the one below, in memory.
 *
 * Who writes a header at last does so near the beginning. Blocks there are kept, and hashed at the
 * end.
 */
#include <assert.h>
#include <errno.h>

#include "base/bytes.h"
#include "remote/verity_impl.h"

#define NKEPT (OVBD_VERITY_PATCH_MAX / OVBD_VERITY_BLOCK)
#define PIECE (1u << 20)

/* The hashes of a growing number of blocks. */
struct maker {
	EVP_MD_CTX *hasher;
	uint64_t size; /* bytes of data so far */
	uint8_t *hashes;
	uint64_t n, cap;
	size_t fill; /* of block */
	uint8_t block[OVBD_VERITY_BLOCK];
	uint8_t zero[VERITY_HASH_SIZE]; /* the hash of zeros */
	uint8_t kept[OVBD_VERITY_PATCH_MAX];
};

static int maker_init(struct maker *m, struct ovbd_error *err)
{
	memset(m, 0, sizeof(*m));
	m->hasher = verity_hasher_create();
	if (!m->hasher || verity_hash_block(m->hasher, m->block, 0, m->zero) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return 0;
}

static void maker_end(struct maker *m)
{
	EVP_MD_CTX_free(m->hasher);
	free(m->hashes);
}

static int grow(struct maker *m, uint64_t n, struct ovbd_error *err)
{
	uint64_t cap = m->cap ? m->cap : 1024;
	uint8_t *more;

	if (n <= m->cap - m->n)
		return 0;
	while (cap - m->n < n)
		cap *= 2;
	more = cap <= SIZE_MAX / VERITY_HASH_SIZE ? realloc(m->hashes, cap * VERITY_HASH_SIZE)
	                                          : NULL;
	if (!more)
		return ovbd_fail(err, -ENOMEM, "out of memory for %llu hashes of a Merkle tree",
		                 (unsigned long long)cap);
	m->hashes = more;
	m->cap = cap;
	return 0;
}

static int add_block(struct maker *m, const uint8_t *block, size_t len, struct ovbd_error *err)
{
	int r = grow(m, 1, err);

	if (r < 0)
		return r;
	if (m->n < NKEPT)
		memcpy(m->kept + m->n * OVBD_VERITY_BLOCK, block, len);
	else
		r = verity_hash_block(m->hasher, block, len, m->hashes + m->n * VERITY_HASH_SIZE);
	m->n++;
	return r < 0 ? ovbd_fail(err, r, "out of memory for a digest") : 0;
}

static int maker_add(struct maker *m, const uint8_t *buf, size_t len, struct ovbd_error *err)
{
	int r = 0;

	m->size += len;
	while (r == 0 && len > 0) {
		const size_t n = ovbd_min(len, OVBD_VERITY_BLOCK - m->fill);

		if (n == OVBD_VERITY_BLOCK) {
			r = add_block(m, buf, n, err);
		} else {
			memcpy(m->block + m->fill, buf, n);
			m->fill += n;
			if (m->fill == OVBD_VERITY_BLOCK) {
				r = add_block(m, m->block, m->fill, err);
				m->fill = 0;
			}
		}
		buf += n;
		len -= n;
	}
	return r;
}

/* Whole blocks of zeros cost nothing but their place. */
static int maker_add_zeros(struct maker *m, uint64_t len, struct ovbd_error *err)
{
	static const uint8_t zeros[OVBD_VERITY_BLOCK];
	int r = 0;

	while (r == 0 && len > 0) {
		const uint64_t blocks = len / OVBD_VERITY_BLOCK;
		const size_t n = (size_t)ovbd_min(len, OVBD_VERITY_BLOCK - m->fill);

		if (m->fill > 0 || m->n < NKEPT || blocks == 0) {
			r = maker_add(m, zeros, n, err);
			len -= n;
			continue;
		}
		r = grow(m, blocks, err);
		for (uint64_t i = 0; r == 0 && i < blocks; i++)
			memcpy(m->hashes + m->n++ * VERITY_HASH_SIZE, m->zero, VERITY_HASH_SIZE);
		m->size += blocks * OVBD_VERITY_BLOCK;
		len -= blocks * OVBD_VERITY_BLOCK;
	}
	return r;
}

static int maker_patch(struct maker *m, const uint8_t *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	const uint64_t kept = ovbd_min(m->n, NKEPT) * OVBD_VERITY_BLOCK;
	const uint64_t start = m->n * OVBD_VERITY_BLOCK;

	for (size_t i = 0; i < len; i++) {
		const uint64_t at = off + i;

		if (at < kept)
			m->kept[at] = buf[i];
		else if (at >= start)
			m->block[at - start] = buf[i];
		else
			return ovbd_fail(err, -ENOTSUP,
			                 "what lies at %llu cannot be written to twice: its hash "
			                 "is made",
			                 (unsigned long long)at);
	}
	return 0;
}

static int hash_kept(struct maker *m, struct ovbd_error *err)
{
	const uint64_t n = ovbd_min(m->n, NKEPT);
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		const uint64_t off = i * OVBD_VERITY_BLOCK;

		r = verity_hash_block(m->hasher, m->kept + off,
		                      (size_t)ovbd_min(OVBD_VERITY_BLOCK, m->size - off),
		                      m->hashes + i * VERITY_HASH_SIZE);
	}
	return r < 0 ? ovbd_fail(err, r, "out of memory for a digest") : 0;
}

/* The hashes of the blocks that n hashes fill, which have room up to a whole block only if there is
 * more than one of them. */
static int hash_level(struct maker *m, const uint8_t *hashes, uint64_t n, uint8_t *ret)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i += VERITY_FANOUT) {
		const size_t len = (size_t)ovbd_min(VERITY_FANOUT, n - i) * VERITY_HASH_SIZE;

		r = verity_hash_block(m->hasher, hashes + i * VERITY_HASH_SIZE, len, ret);
		ret += VERITY_HASH_SIZE;
	}
	return r;
}

/* The levels above the lowest into upper, which is zeros, and the hash of the last. */
static int make_upper(struct maker *m, const struct verity_geometry *g, uint8_t *upper,
                      uint8_t ret_hash[VERITY_HASH_SIZE])
{
	const uint8_t *hashes = m->hashes;
	uint64_t n = m->n;
	int r = 0;

	if (g->nlevels == 0) {
		memset(ret_hash, 0, VERITY_HASH_SIZE); /* of no data */
		if (m->n > 0)
			memcpy(ret_hash, m->hashes, VERITY_HASH_SIZE);
	}
	for (unsigned level = 1; r == 0 && level < g->nlevels; level++) {
		uint8_t *next = upper + g->levels[level].first * OVBD_VERITY_BLOCK;

		r = hash_level(m, hashes, n, next);
		hashes = next;
		n = g->levels[level - 1].n;
	}
	if (r == 0 && g->nlevels > 0)
		r = hash_level(m, hashes, n, ret_hash);
	return r;
}

static int put_tree(const struct maker *m, const struct verity_geometry *g, const uint8_t *upper,
                    struct ovbd_sink *tree, struct ovbd_error *err)
{
	static const uint8_t zeros[OVBD_VERITY_BLOCK];
	const size_t len = m->n * VERITY_HASH_SIZE;
	int r;

	if (g->nlevels == 0)
		return 0;
	r = ovbd_sink_append(tree, upper, g->levels[0].first * OVBD_VERITY_BLOCK, err);
	if (r == 0)
		r = ovbd_sink_append(tree, m->hashes, len, err);
	if (r == 0)
		r = ovbd_sink_append(tree, zeros,
		                     (size_t)(g->levels[0].n * OVBD_VERITY_BLOCK - len), err);
	return r;
}

/* Ends the data, and appends the tree to tree, if there is one. */
static int maker_finish(struct maker *m, struct ovbd_sink *tree, struct ovbd_verity_root *ret,
                        struct ovbd_error *err)
{
	const struct verity_geometry g = verity_geometry(m->size);
	uint8_t hash[VERITY_HASH_SIZE];
	AUTO_FREE uint8_t *upper = NULL;
	int r = 0;

	if (m->fill > 0)
		r = add_block(m, m->block, m->fill, err);
	if (r == 0)
		r = hash_kept(m, err);
	if (r < 0)
		return r;
	assert(m->n == g.nblocks);
	upper = calloc(1, g.levels[0].first * OVBD_VERITY_BLOCK + 1);
	if (!upper)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (make_upper(m, &g, upper, hash) < 0 || verity_root(m->hasher, m->size, hash, ret) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	return tree ? put_tree(m, &g, upper, tree, err) : 0;
}

/* ---- the sink ---- */

struct verity_sink {
	struct ovbd_sink sink;
	struct ovbd_sink *out, *tree; /* owned */
	struct maker maker;
	struct ovbd_verity_root root;
	bool *tree_done; /* the caller's, or NULL */
};

static struct verity_sink *verity_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct verity_sink, sink);
}

static int verity_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	struct verity_sink *v = verity_of(s);
	const int r = maker_add(&v->maker, buf, len, err);

	return r < 0 ? r : ovbd_sink_append(v->out, buf, len, err);
}

static int verity_append_zeros(struct ovbd_sink *s, uint64_t len, struct ovbd_error *err)
{
	struct verity_sink *v = verity_of(s);
	const int r = maker_add_zeros(&v->maker, len, err);

	return r < 0 ? r : ovbd_sink_append_zeros(v->out, len, err);
}

static int verity_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	struct verity_sink *v = verity_of(s);
	const int r = maker_patch(&v->maker, buf, len, off, err);

	return r < 0 ? r : ovbd_sink_patch(v->out, buf, len, off, err);
}

static int verity_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	struct verity_sink *v = verity_of(s);
	int r = maker_finish(&v->maker, v->tree, &v->root, err);

	if (r == 0)
		r = ovbd_sink_finish(v->tree, err);
	if (r == 0 && v->tree_done)
		*v->tree_done = true;
	return r < 0 ? r : ovbd_sink_finish(v->out, err);
}

static void verity_close(struct ovbd_sink *s)
{
	struct verity_sink *v = verity_of(s);

	ovbd_sink_close(v->out);
	ovbd_sink_close(v->tree);
	maker_end(&v->maker);
	free(v);
}

static const struct ovbd_sink_ops verity_ops = {
	.name = "proven file",
	.append = verity_append,
	.append_zeros = verity_append_zeros,
	.patch = verity_patch,
	.finish = verity_finish,
	.close = verity_close,
};

int ovbd_verity_sink_create(struct ovbd_sink *take_out, struct ovbd_sink *take_tree,
                            bool *tree_done, struct ovbd_sink **ret, struct ovbd_error *err)
{
	AUTO_SINK *out = take_out;
	AUTO_SINK *tree = take_tree;
	AUTO_SINK *s = NULL;
	struct verity_sink *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s = &v->sink;
	s->ops = &verity_ops;
	r = maker_init(&v->maker, err);
	if (r < 0)
		return r;
	v->tree_done = tree_done;
	v->out = OVBD_MOVE(out);
	v->tree = OVBD_MOVE(tree);
	*ret = OVBD_MOVE(s);
	return 0;
}

struct ovbd_verity_root ovbd_verity_sink_root(struct ovbd_sink *s)
{
	assert(s->ops == &verity_ops);
	return verity_of(s)->root;
}

/* ---- of all of a blob ---- */

/* Holes are not read. */
static int measure(struct maker *m, struct ovbd_blob *b, ovbd_progress_fn progress, void *arg,
                   struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(PIECE);
	struct ovbd_run run;
	int r = 0;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (uint64_t off = 0; r == 0 && off < b->size; off += run.len) {
		r = ovbd_blob_run_at(b, off, b->size - off, &run, err);
		if (r < 0)
			return r;
		if (run.kind == OVBD_RUN_DATA) {
			run.len = ovbd_min(run.len, PIECE);
			r = ovbd_blob_pread(b, buf, (size_t)run.len, off, err);
			if (r == 0)
				r = maker_add(m, buf, (size_t)run.len, err);
		} else {
			r = maker_add_zeros(m, run.len, err);
		}
		if (r == 0 && progress && progress(arg, off + run.len, b->size) != 0)
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	return r;
}

int ovbd_verity_measure(struct ovbd_blob *b, struct ovbd_sink *tree, ovbd_progress_fn progress,
                        void *arg, struct ovbd_verity_root *ret, struct ovbd_error *err)
{
	AUTO_FREE struct maker *m = malloc(sizeof(*m));
	int r;

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = maker_init(m, err);
	if (r == 0)
		r = measure(m, b, progress, arg, err);
	if (r == 0)
		r = maker_finish(m, tree, ret, err);
	maker_end(m);
	return r;
}
