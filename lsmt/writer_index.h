/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lsmt/: the index of a layer on its way into a sink. */
#ifndef OVBD_LSMT_WRITER_INDEX_H
#define OVBD_LSMT_WRITER_INDEX_H

#include "base/sink.h"
#include "lsmt/format.h"

struct lsmt_index_out;

/* out is borrowed. */
int ovbd_lsmt_index_out_create(struct ovbd_sink *out, struct lsmt_index_out **ret,
                               struct ovbd_error *err);

/* The next run in ascending order, of any length. Runs that continue each other are joined, long
 * ones cut into entries. */
int ovbd_lsmt_index_out_add(struct lsmt_index_out *x, const struct lsmt_entry *run,
                            struct ovbd_error *err);

/* Writes what is left, and the padding. *ret_nentries includes the padding. */
int ovbd_lsmt_index_out_finish(struct lsmt_index_out *x, uint64_t *ret_nsegments,
                               uint64_t *ret_nentries, struct ovbd_error *err);

/* NULL is fine. */
void ovbd_lsmt_index_out_close(struct lsmt_index_out *take_x);

static inline void ovbd_lsmt_index_out_closep(struct lsmt_index_out **x)
{
	ovbd_lsmt_index_out_close(*x);
}

#endif
