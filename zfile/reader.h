/* SPDX-License-Identifier: Apache-2.0 */
/* Private to zfile/: an open ZFile, for those who look at more than its content. */
#ifndef OVBD_ZFILE_READER_H
#define OVBD_ZFILE_READER_H

#include "base/blob.h"
#include "zfile/codec.h"
#include "zfile/format.h"
#include "zfile/jump.h"
#include "zfile/scratch.h"
#include "zfile/zfile.h"

/* All but scratches is constant after open. */
struct zfile {
	struct ovbd_blob blob;   /* first */
	struct ovbd_blob *inner; /* owned */
	struct zfile_header h;   /* the header or the trailer, whichever counts */
	bool header_overwrite;   /* the header counts */
	uint64_t nlarge;
	const struct ovbd_codec *codec;
	unsigned block_shift; /* block_size = 1 << block_shift */
	struct zfile_jump jump;
	struct zfile_scratches scratches;
};

/* b must come from ovbd_zfile_open(). */
struct zfile *ovbd_zfile_of(struct ovbd_blob *b);

/* Reads and decodes the header at the beginning, or the trailer at the end, of b. */
int ovbd_zfile_header_read(struct ovbd_blob *b, enum zfile_part part, struct zfile_header *ret,
                           struct ovbd_error *err);

#endif
