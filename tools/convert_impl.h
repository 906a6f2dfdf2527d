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
	struct ovbd_dm_update_writer *update;
	struct ovbd_sink *file, *proof, *zfile; /* in the chain, not owned */
	bool tree_done;                         /* the Merkle tree has its name */
	uint64_t data_size, ref_size;
	bool local; /* the last failure was in the output */
};

/* r, which is of an output; remembers whose failure it is. */
static inline int ovbd_convert_output(struct ovbd_convert_work *w, int r)
{
	w->local = r < 0;
	return r;
}

/* The sinks that lead to c->dst; *ret is the first of them. */
int ovbd_convert_chain(struct ovbd_convert_work *w, struct ovbd_sink **ret, struct ovbd_error *err);

/* Writes a layer of the source, or of what it has that the base has not, into take_chain. */
int ovbd_convert_layer(struct ovbd_convert_work *w, struct ovbd_sink *take_chain,
                       struct ovbd_error *err);

/* Whether the source is compared with the base, rather than being a part of a stack for itself. */
bool ovbd_convert_is_delta(const struct ovbd_convert *c);

/* For scans whose output cannot refer to what is below, which cannot be read. */
int ovbd_convert_refuse_below(void *ctx, uint64_t off, uint64_t len, uint64_t src,
                              struct ovbd_error *err);

/* Writes the blocks of the source, or those that are not the base's, as a dm-update. */
int ovbd_convert_update(struct ovbd_convert_work *w, struct ovbd_sink *take_out,
                        struct ovbd_error *err);

#endif
