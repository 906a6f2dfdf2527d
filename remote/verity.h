/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are proven: fs-verity's Merkle tree of SHA-256 over blocks of 4096 bytes, without salt
 * (docs/format-verity.md). One digest, the root, stands for all bytes of a blob and for its size,
 * and is what `fsverity digest` prints; with the tree beside it any block can be held against the
 * root by itself.
 */
#ifndef OVBD_REMOTE_VERITY_H
#define OVBD_REMOTE_VERITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/progress.h"
#include "base/sink.h"

#define OVBD_VERITY_BLOCK     4096u
#define OVBD_VERITY_ROOT_SIZE 32u
#define OVBD_VERITY_TEXT_SIZE 72u /* "sha256:" and 64 digits, and the NUL */

struct ovbd_verity_root {
	uint8_t bytes[OVBD_VERITY_ROOT_SIZE];
};

/* "sha256:" and 64 hexadecimal digits. -EBADMSG: text is not that, or -ENOTSUP: of another
 * algorithm. */
int ovbd_verity_root_parse(const char *text, struct ovbd_verity_root *ret, struct ovbd_error *err);
void ovbd_verity_root_text(const struct ovbd_verity_root *root, char ret[OVBD_VERITY_TEXT_SIZE]);

/* Bytes of the tree over data_size bytes. */
uint64_t ovbd_verity_tree_size(uint64_t data_size);

/* --- making one --- */

/* Passes everything on to take_out, and writes the tree of it to take_tree. finish() finishes the
 * tree first, and then sets *tree_done, which may be NULL: if take_out cannot be finished after
 * that, removing the tree is the caller's. Only the first OVBD_VERITY_PATCH_MAX bytes can be
 * patched. Until finish() the hashes are in memory: 32 bytes for each block. */
int ovbd_verity_sink_create(struct ovbd_sink *take_out, struct ovbd_sink *take_tree,
                            bool *tree_done, struct ovbd_sink **ret, struct ovbd_error *err);
#define OVBD_VERITY_PATCH_MAX (64u << 10)

/* The root, once a sink of ovbd_verity_sink_create() is finished. */
struct ovbd_verity_root ovbd_verity_sink_root(struct ovbd_sink *s);

/* Reads all of b. tree, if not NULL, gets the tree, and is not finished. progress may be NULL; if
 * it returns anything but 0 the answer is -ECANCELED. */
int ovbd_verity_measure(struct ovbd_blob *b, struct ovbd_sink *tree, ovbd_progress_fn progress,
                        void *arg, struct ovbd_verity_root *ret, struct ovbd_error *err);

/* --- reading what has one --- */

struct ovbd_verity_stats {
	uint64_t blocks;  /* of data that were held against the root, and were right */
	uint64_t refetch; /* blocks, of data or tree, that were wrong, and were asked for again */
};

/* *ret, to be freed: what size bytes that root proves are called, whatever keeps them. */
int ovbd_verity_key(const struct ovbd_verity_root *root, uint64_t size, char **ret,
                    struct ovbd_error *err);

/* take_source, every block of it proven before a reader sees any of its bytes. take_tree may be
 * NULL if ovbd_verity_tree_size() of the source's size is 0. It is read as it is needed, and
 * believed no more than the source. name and tree_name are for messages.
 *
 * Opening proves that tree and size belong to the root: -EBADMSG if not; lazily, the first read
 * does. So it is for a read: a block that is wrong is read again, once. ovbd_blob_key() is
 * ovbd_verity_key(). Any thread. */
int ovbd_verity_blob_open(struct ovbd_blob *take_source, const char *name,
                          struct ovbd_blob *take_tree, const char *tree_name,
                          const struct ovbd_verity_root *root, bool lazily, struct ovbd_blob **ret,
                          struct ovbd_error *err);

/* Of a blob from ovbd_verity_blob_open(). Any thread. */
struct ovbd_verity_stats ovbd_verity_stats(struct ovbd_blob *b);
struct ovbd_verity_root ovbd_verity_root_of(struct ovbd_blob *b);

#endif
