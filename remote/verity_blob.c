// SPDX-License-Identifier: Apache-2.0
/*
 * A read is widened to whole blocks, read from the source, and held against the tree block by block
 * before any of it is returned. What is only one block, or none, has no tree: it is proven when it
 * is opened, and stays in memory.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "remote/verity_impl.h"
#include "remote/metrics.h"

#define BLOCK      OVBD_VERITY_BLOCK
#define PIECE_SIZE (4u << 20) /* bytes that are read of the source at once */

struct verity_blob {
	struct ovbd_blob blob;
	struct ovbd_blob *source; /* owned */
	struct verity_tree *tree; /* NULL: small has it all */
	char *name;
	struct ovbd_verity_root root;
	atomic_uint_fast64_t blocks, refetched;
	uint8_t small[BLOCK];
};

static const struct ovbd_blob_ops verity_ops;

static struct verity_blob *verity_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct verity_blob, blob);
}

/* ---- reading ---- */

/* Bytes of the data's block number. */
static size_t block_len(const struct verity_blob *v, uint64_t number)
{
	return (size_t)ovbd_min(BLOCK, v->blob.size - number * BLOCK);
}

static bool is_right(EVP_MD_CTX *h, const uint8_t *buf, size_t len, const uint8_t *want)
{
	uint8_t hash[VERITY_HASH_SIZE];

	return verity_hash_block(h, buf, len, hash) == 0 && memcmp(hash, want, sizeof(hash)) == 0;
}

/* Block number was wrong. */
static int read_again(struct verity_blob *v, EVP_MD_CTX *h, uint64_t number, const uint8_t *want,
                      uint8_t *buf, struct ovbd_error *err)
{
	const size_t len = block_len(v, number);
	int r;

	atomic_fetch_add(&v->refetched, 1);
	ovbd_remote_count(OVBD_COUNT_UNVERIFIED, 1);
	ovbd_blob_distrust(v->source, number * BLOCK, len);
	r = ovbd_blob_pread(v->source, buf, len, number * BLOCK, err);
	if (r < 0)
		return r;
	if (is_right(h, buf, len, want))
		return 0;
	return ovbd_fail(err, -EBADMSG,
	                 "%s: block %llu at %llu is not what its Merkle tree says, read twice",
	                 v->name, (unsigned long long)number, (unsigned long long)(number * BLOCK));
}

/* Holds the blocks from number on, len bytes, against the tree. */
static int prove(struct verity_blob *v, uint64_t number, uint8_t *buf, size_t len,
                 struct ovbd_error *err)
{
	AUTO_HASHER *h = verity_hasher_create();
	uint8_t hashes[BLOCK];
	uint64_t n = 0;
	int r = 0;

	if (!h)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	for (size_t at = 0; r == 0 && at < len; at += BLOCK, number++, n++) {
		const uint8_t *want = hashes + number % VERITY_FANOUT * VERITY_HASH_SIZE;

		if (at == 0 || number % VERITY_FANOUT == 0)
			r = verity_tree_hashes(v->tree, number / VERITY_FANOUT, hashes, err);
		if (r < 0)
			return ovbd_fail_named(err, r, v->name);
		if (!is_right(h, buf + at, block_len(v, number), want))
			r = read_again(v, h, number, want, buf + at, err);
	}
	atomic_fetch_add(&v->blocks, n);
	return r;
}

/* [off, off + len) of whole blocks, the last of the data's perhaps a part of one. */
static int read_blocks(struct verity_blob *v, uint8_t *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	const int r = ovbd_blob_pread(v->source, buf, len, off, err);

	return r < 0 ? r : prove(v, off / BLOCK, buf, len, err);
}

/* [off, off + len), which is not of whole blocks. */
static int read_widened(struct verity_blob *v, uint8_t *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	const uint64_t start = off - off % BLOCK;
	const uint64_t end = ovbd_min(ovbd_align_up(off + len, BLOCK), v->blob.size);
	AUTO_FREE uint8_t *wide = malloc((size_t)(end - start));
	int r;

	if (!wide)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = read_blocks(v, wide, (size_t)(end - start), start, err);
	if (r == 0)
		memcpy(buf, wide + (off - start), len);
	return r;
}

static int verity_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	struct verity_blob *v = verity_of(b);
	uint8_t *dst = buf;
	int r = 0;

	if (!v->tree) {
		memcpy(buf, v->small + off, len);
		return 0;
	}
	while (r == 0 && len > 0) {
		/* up to the next multiple of the piece, so that only the ends are not whole */
		const size_t n = (size_t)ovbd_min(len, PIECE_SIZE - off % PIECE_SIZE);

		if (off % BLOCK == 0 && (n % BLOCK == 0 || off + n == b->size))
			r = read_blocks(v, dst, n, off, err);
		else
			r = read_widened(v, dst, n, off, err);
		dst += n;
		off += n;
		len -= n;
	}
	return r;
}

/* The root and the size say what the content is, whoever keeps it; it is not to be taken for bytes
 * of the same name that nobody has proven. */
int ovbd_verity_key(const struct ovbd_verity_root *root, uint64_t size, char **ret,
                    struct ovbd_error *err)
{
	char text[OVBD_VERITY_TEXT_SIZE];

	ovbd_verity_root_text(root, text);
	if (asprintf(ret, "fs-verity %s %" PRIu64, text, size) >= 0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

static char *verity_key(struct ovbd_blob *b)
{
	char *key;

	return ovbd_verity_key(&verity_of(b)->root, b->size, &key, NULL) == 0 ? key : NULL;
}

static void verity_close(struct ovbd_blob *b)
{
	struct verity_blob *v = verity_of(b);

	verity_tree_close(v->tree);
	ovbd_blob_close(v->source);
	free(v->name);
	free(v);
}

static const struct ovbd_blob_ops verity_ops = {
	.name = "proven blob",
	.pread = verity_pread,
	.key = verity_key,
	.close = verity_close,
};

/* ---- opening ---- */

static int check_small(struct verity_blob *v, EVP_MD_CTX *h, struct ovbd_error *err)
{
	char has[OVBD_VERITY_TEXT_SIZE], want[OVBD_VERITY_TEXT_SIZE];
	uint8_t hash[VERITY_HASH_SIZE] = {0};
	struct ovbd_verity_root got;

	if ((v->blob.size > 0 && verity_hash_block(h, v->small, v->blob.size, hash) < 0) ||
	    verity_root(h, v->blob.size, hash, &got) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	if (memcmp(&got, &v->root, sizeof(got)) == 0)
		return 0;
	ovbd_verity_root_text(&got, has);
	ovbd_verity_root_text(&v->root, want);
	return ovbd_fail(err, -EBADMSG, "%s: the root of its %llu bytes is %s, not %s", v->name,
	                 (unsigned long long)v->blob.size, has, want);
}

static int open_small(struct verity_blob *v, struct ovbd_error *err)
{
	AUTO_HASHER *h = verity_hasher_create();
	const size_t len = (size_t)v->blob.size;
	int r = 0;

	if (!h)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	if (len > 0)
		r = ovbd_blob_pread(v->source, v->small, len, 0, err);
	if (r == 0)
		r = check_small(v, h, err);
	if (r != -EBADMSG || len == 0)
		return r;
	atomic_fetch_add(&v->refetched, 1);
	ovbd_remote_count(OVBD_COUNT_UNVERIFIED, 1);
	ovbd_blob_distrust(v->source, 0, len);
	r = ovbd_blob_pread(v->source, v->small, len, 0, err);
	return r < 0 ? r : check_small(v, h, err);
}

static int open_tree(struct verity_blob *v, struct ovbd_blob *take_tree, const char *name,
                     bool lazily, struct ovbd_error *err)
{
	AUTO_BLOB *tree = take_tree;
	const struct verity_geometry g = verity_geometry(v->blob.size);

	if (tree && g.nlevels == 0 && tree->size > 0)
		return ovbd_fail(err, -EBADMSG,
		                 "Merkle tree %s: is %llu bytes; that of %llu bytes of data is 0",
		                 name, (unsigned long long)tree->size,
		                 (unsigned long long)v->blob.size);
	if (g.nlevels == 0)
		return open_small(v, err);
	if (!tree)
		return ovbd_fail(err, -EINVAL, "%llu bytes of data without a Merkle tree",
		                 (unsigned long long)v->blob.size);
	return verity_tree_open(OVBD_MOVE(tree), name, &g, &v->root, &v->refetched, lazily,
	                        &v->tree, err);
}

int ovbd_verity_blob_open(struct ovbd_blob *take_source, const char *name,
                          struct ovbd_blob *take_tree, const char *tree_name,
                          const struct ovbd_verity_root *root, bool lazily, struct ovbd_blob **ret,
                          struct ovbd_error *err)
{
	AUTO_BLOB *source = take_source;
	AUTO_BLOB *tree = take_tree;
	AUTO_BLOB *b = NULL;
	struct verity_blob *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	b = &v->blob;
	*b = (struct ovbd_blob){.ops = &verity_ops, .size = source->size};
	v->source = OVBD_MOVE(source);
	v->root = *root;
	v->name = strdup(name);
	if (!v->name)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = open_tree(v, OVBD_MOVE(tree), tree_name, lazily, err);
	if (r < 0)
		return ovbd_fail_named(err, r, name);
	*ret = OVBD_MOVE(b);
	return 0;
}

struct ovbd_verity_stats ovbd_verity_stats(struct ovbd_blob *b)
{
	struct verity_blob *v = verity_of(b);

	assert(b->ops == &verity_ops);
	return (struct ovbd_verity_stats){.blocks = atomic_load(&v->blocks),
	                                  .refetch = atomic_load(&v->refetched)};
}

struct ovbd_verity_root ovbd_verity_root_of(struct ovbd_blob *b)
{
	assert(b->ops == &verity_ops);
	return verity_of(b)->root;
}
