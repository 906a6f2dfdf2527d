/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lsmt/rw_*.c: what sealing is in all formats. */
#ifndef OVBD_LSMT_RW_SEAL_H
#define OVBD_LSMT_RW_SEAL_H

#include "lsmt/rw_core.h"

/* Of kind->seal: index (from *ret_end on) and trailer behind all of the data file, whose bytes in
 * use end at from or before; durable. */
int ovbd_rw_seal_end(struct rw_core *c, uint64_t from, uint64_t *ret_end, struct ovbd_error *err);

#endif
