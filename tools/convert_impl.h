/* SPDX-License-Identifier: Apache-2.0 */
/* Private to tools/convert*.c. */
#ifndef OVBD_TOOLS_CONVERT_IMPL_H
#define OVBD_TOOLS_CONVERT_IMPL_H

#include "tools/convert.h"
#include "tools/scan.h"

#define OVBD_CONVERT_BLOCK 4096u

struct ovbd_convert_work {
	const struct ovbd_convert *c;
	struct ovbd_sink *out;            /* the head of the chain; raw and zfile output */
	struct ovbd_layer_writer *writer; /* lsmt and ovbd output: owns the chain */
	struct ovbd_sink *file, *zfile;   /* in the chain, not owned */
	uint64_t data_size, ref_size;
	bool local; /* the last failure was in the output */
};

/* r, which is of an output; remembers whose failure it is. */
static inline int ovbd_convert_output(struct ovbd_convert_work *w, int r)
{
	w->local = r < 0;
	return r;
}

/* Writes a layer of the source, or of what it has that the base has not, into take_chain. */
int ovbd_convert_layer(struct ovbd_convert_work *w, struct ovbd_sink *take_chain,
                       struct ovbd_error *err);

#endif
