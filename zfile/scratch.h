/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to zfile/: the working memory of one read, and the list of those that no read uses now.
 * A read takes one, owns it alone, and gives it back, so that reads neither allocate nor wait for
 * each other.
 */
#ifndef OVBD_ZFILE_SCRATCH_H
#define OVBD_ZFILE_SCRATCH_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "zfile/codec.h"

#define ZFILE_NO_BLOCK UINT64_MAX

struct zfile_scratch {
	struct zfile_scratch *next;
	void *decompressor; /* the codec's context */
	uint8_t *in;        /* compressed blocks, as in the file */
	size_t in_size;
	uint8_t *block;    /* one decompressed block, allocated at first use */
	uint64_t block_no; /* the block that block holds, whole and right; or ZFILE_NO_BLOCK */
};

struct zfile_scratches {
	const struct ovbd_codec *codec;
	pthread_mutex_t lock;       /* guards what follows; nothing else is locked under it */
	struct zfile_scratch *idle; /* last used first */
	unsigned nidle;
};

void ovbd_zfile_scratches_init(struct zfile_scratches *list, const struct ovbd_codec *codec);
void ovbd_zfile_scratches_free(struct zfile_scratches *list);

/* The one that holds block_no decompressed if there is such a one, otherwise any. */
int ovbd_zfile_scratch_take(struct zfile_scratches *list, uint64_t block_no,
                            struct zfile_scratch **ret, struct ovbd_error *err);
void ovbd_zfile_scratch_give(struct zfile_scratches *list, struct zfile_scratch *take_s);

/* Makes in at least size bytes long; what it held is lost. */
int ovbd_zfile_scratch_grow(struct zfile_scratch *s, size_t size, struct ovbd_error *err);

#endif
