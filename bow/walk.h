/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: the entries of a log, newest first, as a restore undoes them; and where on the
 * device, at which nothing is written, lies what would be read when the later ones were undone. */
#ifndef OVBD_BOW_WALK_H
#define OVBD_BOW_WALK_H

#include "base/blob.h"
#include "bow/format.h"
#include "bow/spans.h"

struct bow_walk {
	struct ovbd_blob *b;
	struct bow_header newest; /* sector0: where block 0 really is */
	struct bow_header header; /* of the log block that the last entry was in */
	uint32_t index;           /* of the last entry, in its block */

	/* its own */
	struct bow_spans moves; /* a span reads as what is at its number; or, nowhere, was taken */
	struct bow_entry last;
	uint8_t block[BOW_BLOCK_MAX];
	uint32_t left; /* entries of it yet to come */
};

/* b stays the caller's. -ENOMSG: there is no log; -EBADMSG. Then, and in any case,
 * ovbd_bow_walk_end(). All zeros may be ended, too. */
int ovbd_bow_walk_begin(struct bow_walk *w, struct ovbd_blob *b, struct ovbd_error *err);
void ovbd_bow_walk_end(struct bow_walk *w);
#define AUTO_BOW_WALK OVBD_AUTO(ovbd_bow_walk_end) struct bow_walk

/* 1 and the next entry, of which nothing is undone yet; 0: there are no more; or -errno. An entry
 * whose backup is that of a later one, too, is refused. Of those that are log blocks the checksums
 * are right. */
int ovbd_bow_walk_next(struct bow_walk *w, struct bow_entry *ret, struct ovbd_error *err);

/* Where the backup of the last entry lies, from off in it on: one piece of *ret_len bytes. */
void ovbd_bow_walk_place(const struct bow_walk *w, uint64_t off, uint64_t *ret_at,
                         uint64_t *ret_len);

struct ovbd_bow_info;
/* What the header of the newest log block says, of bow/restore.h; 0 the rest. */
void ovbd_bow_walk_info(const struct bow_walk *w, struct ovbd_bow_info *ret);

/* -EBADMSG, the sentence named by the last entry. */
int ovbd_bow_walk_fail(const struct bow_walk *w, struct ovbd_error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
