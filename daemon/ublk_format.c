// SPDX-License-Identifier: Apache-2.0
/* The kernel's words for a disk and its requests, and ours. The only place that knows sectors. */
#include <errno.h>

#include "base/bytes.h"
#include "base/device.h"
#include "daemon/ublk_impl.h"

#define PHYSICAL_SHIFT 12 /* what file systems and page caches like, and no logical block exceeds */
/* Of a discard: the kernel counts its bytes in 32 bits. */
#define MAX_SECTORS (UINT32_MAX >> UBLK_SECTOR_SHIFT)
#define PARAMS_SIZE (offsetof(struct ublk_params, discard) + sizeof(struct ublk_param_discard))

void ublk_params_fill(const struct ovbd_ublk_params *p, struct ublk_params *ret)
{
	*ret = (struct ublk_params){.len = PARAMS_SIZE, .types = UBLK_PARAM_TYPE_BASIC};
	ret->basic = (struct ublk_param_basic){
		.attrs = UBLK_ATTR_READ_ONLY,
		.logical_bs_shift = (uint8_t)__builtin_ctz(p->block_size),
		.physical_bs_shift = PHYSICAL_SHIFT,
		.io_opt_shift = PHYSICAL_SHIFT,
		.io_min_shift = PHYSICAL_SHIFT,
		.max_sectors = UBLK_MAX_IO >> UBLK_SECTOR_SHIFT,
		.dev_sectors = p->size >> UBLK_SECTOR_SHIFT,
	};
	if (p->read_only)
		return;
	ret->basic.attrs = UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA;
	ret->types |= UBLK_PARAM_TYPE_DISCARD;
	ret->discard = (struct ublk_param_discard){
		.discard_granularity = 1u << PHYSICAL_SHIFT,
		.max_discard_sectors = MAX_SECTORS,
		.max_write_zeroes_sectors = MAX_SECTORS,
		.max_discard_segments = 1,
	};
}

bool ublk_params_match(const struct ovbd_ublk_params *p, const struct ublk_params *have)
{
	struct ublk_params want;

	ublk_params_fill(p, &want);
	return (have->types & UBLK_PARAM_TYPE_BASIC) &&
	       have->basic.dev_sectors == want.basic.dev_sectors &&
	       have->basic.logical_bs_shift == want.basic.logical_bs_shift &&
	       have->basic.max_sectors <= want.basic.max_sectors &&
	       (have->basic.attrs & UBLK_ATTR_READ_ONLY) ==
	               (want.basic.attrs & UBLK_ATTR_READ_ONLY);
}

static int decode_op(uint32_t op_flags, struct ovbd_request *ret)
{
	const unsigned fua = op_flags & UBLK_IO_F_FUA ? OVBD_WRITE_FUA : 0;

	switch (op_flags & UBLK_OP_MASK) {
	case UBLK_OP_READ:
		*ret = (struct ovbd_request){.op = OVBD_REQUEST_READ};
		return 0;
	case UBLK_OP_WRITE:
		*ret = (struct ovbd_request){.op = OVBD_REQUEST_WRITE, .flags = fua};
		return 0;
	case UBLK_OP_FLUSH:
		*ret = (struct ovbd_request){.op = OVBD_REQUEST_FLUSH};
		return 0;
	case UBLK_OP_DISCARD:
		*ret = (struct ovbd_request){.op = OVBD_REQUEST_DISCARD};
		return 0;
	case UBLK_OP_WRITE_ZEROES:
		*ret = (struct ovbd_request){.op = OVBD_REQUEST_WRITE_ZEROES, .flags = fua};
		if (op_flags & UBLK_IO_F_NOUNMAP)
			ret->flags |= OVBD_WRITE_ALLOC;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int ublk_request_decode(const struct ublk_io_desc *d, uint64_t size, struct ovbd_request *ret)
{
	const uint64_t len = (uint64_t)d->nr_sectors << UBLK_SECTOR_SHIFT;
	struct ovbd_request rq;
	uint64_t off;
	int r = decode_op(d->op_flags, &rq);

	if (r < 0)
		return r;
	if (rq.op != OVBD_REQUEST_FLUSH) {
		if (len == 0 || !ovbd_mul(d->start_sector, 1u << UBLK_SECTOR_SHIFT, &off) ||
		    !ovbd_within(off, len, size))
			return -EINVAL;
		if ((rq.op == OVBD_REQUEST_READ || rq.op == OVBD_REQUEST_WRITE) &&
		    len > UBLK_MAX_IO)
			return -EINVAL;
		rq.off = off;
		rq.len = len;
	}
	*ret = rq;
	return 0;
}

/* EAGAIN and EINTR would be taken for "ask again at once" by many. */
int32_t ublk_result(const struct ovbd_request *rq, int status)
{
	if (status < 0)
		return status == -EAGAIN || status == -EINTR ? -EIO : status;
	if (rq->op == OVBD_REQUEST_READ || rq->op == OVBD_REQUEST_WRITE)
		return (int32_t)rq->len;
	return 0;
}
