/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to remote/verity*.c.
 *
 *     verity_make.c    a tree is made: a sink over a sink, or of all of a blob
 *     verity_blob.c    the blob: data are held against the tree
 *     verity_tree.c    the tree: read as needed, held against the root
 *     verity_hash.c    SHA-256
 *     verity_format.c  sizes, places, the descriptor                                  (pure)
 */
#ifndef OVBD_REMOTE_VERITY_IMPL_H
#define OVBD_REMOTE_VERITY_IMPL_H

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "remote/verity_format.h"

/* --- verity_hash.c --- */

/* NULL: no memory. For one thread at a time. */
EVP_MD_CTX *verity_hasher_create(void);
static inline void verity_hasher_free(EVP_MD_CTX **h)
{
	EVP_MD_CTX_free(*h);
}
#define AUTO_HASHER OVBD_AUTO(verity_hasher_free) EVP_MD_CTX

/* Of any bytes; and of a block of which only len bytes are given: the others are zeros. 0 or
 * -ENOMEM. */
int verity_hash(EVP_MD_CTX *h, const void *buf, size_t len, uint8_t ret[VERITY_HASH_SIZE]);
int verity_hash_block(EVP_MD_CTX *h, const void *buf, size_t len, uint8_t ret[VERITY_HASH_SIZE]);

/* The root of data_size bytes whose tree's last level hashes to tree_hash. */
int verity_root(EVP_MD_CTX *h, uint64_t data_size, const uint8_t tree_hash[VERITY_HASH_SIZE],
                struct ovbd_verity_root *ret);

/* --- verity_tree.c --- */

struct verity_tree;

/* A tree of at least one level, whose last is held against root; lazily, when it is first needed.
 * refetched is added to, and outlives it. */
int verity_tree_open(struct ovbd_blob *take_blob, const char *name, const struct verity_geometry *g,
                     const struct ovbd_verity_root *root, atomic_uint_fast64_t *refetched,
                     bool lazily, struct verity_tree **ret, struct ovbd_error *err);
void verity_tree_close(struct verity_tree *take_t);
static inline void verity_tree_closep(struct verity_tree **t)
{
	verity_tree_close(*t);
}

/* The block of level 0 with the hashes of data blocks from number * VERITY_FANOUT on, proven. */
int verity_tree_hashes(struct verity_tree *t, uint64_t number, uint8_t ret[OVBD_VERITY_BLOCK],
                       struct ovbd_error *err);

#endif
