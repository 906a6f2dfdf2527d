// SPDX-License-Identifier: Apache-2.0
/* An ovbd-rw becomes a read-only layer where it lies: rw_seal.c, and a header. */
#include <errno.h>

#include "lsmt/rw_log.h"
#include "lsmt/rw_seal.h"

/* The layer's header takes the place of the superblock that does not count: a sector, which is
 * there or not. Then the other one means nothing any more, and must not be taken for one. */
static int put_header(struct rw_log *l, struct ovbd_error *err)
{
	static const uint8_t nothing[RW_SUPER_SIZE];
	struct rw_core *c = &l->core;
	struct lsmt_header h = c->header;
	uint8_t raw[LSMT_HEADER_SIZE];
	struct rw_super s = l->super;
	int r = 0;

	if (s.generation % 2 == 0)
		r = ovbd_rw_log_write_super(l, &s, err);
	h.flags = LSMT_FLAG_HEADER | LSMT_FLAG_DATA; /* as of all that is sealed in place */
	ovbd_lsmt_header_encode(&h, raw);
	if (r == 0)
		r = ovbd_rw_write_file(c->data, raw, RW_SUPER_SIZE, 0, err);
	if (r == 0)
		r = ovbd_device_flush(c->data, err);
	if (r == 0)
		r = ovbd_rw_write_file(c->data, nothing, sizeof(nothing), RW_SUPER_STRIDE, err);
	return r < 0 ? r : ovbd_device_flush(c->data, err);
}

int ovbd_rw_log_seal(struct rw_core *c, uint64_t *ret_end, struct ovbd_error *err)
{
	struct rw_log *l = ovbd_rw_log_of(c);
	int r;

	pthread_mutex_lock(&l->supers);
	r = ovbd_rw_seal_end(c, l->tail, ret_end, err);
	if (r == 0)
		r = put_header(l, err);
	pthread_mutex_unlock(&l->supers);
	return r;
}
