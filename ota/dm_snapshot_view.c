// SPDX-License-Identifier: Apache-2.0
/*
 * The snapshot: a read is cut into runs of chunks that lie side by side in the origin and, where
 * they differ, in the store too; each run is one read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/dm_snapshot_impl.h"

struct snapshot_view {
	struct ovbd_blob blob;
	struct ovbd_dm_snapshot *s; /* owned */
	struct ovbd_blob *origin;   /* owned; may be NULL */
};

static struct snapshot_view *view_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct snapshot_view, blob);
}

/* The first exception for a chunk not before this one. */
static uint64_t find(const struct ovbd_dm_snapshot *s, uint64_t chunk)
{
	uint64_t lo = 0, hi = s->info.nchunks;

	while (lo < hi) {
		const uint64_t mid = lo + (hi - lo) / 2;

		if (s->list[mid].old < chunk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The run at off, of at most len bytes: in the store at *ret_at, or in the origin (false). */
static bool run_of(const struct ovbd_dm_snapshot *s, uint64_t off, uint64_t *len, uint64_t *ret_at)
{
	const uint32_t size = s->info.chunk_size;
	const uint64_t chunk = off / size, i = find(s, chunk);
	uint64_t n = 1;

	if (i == s->info.nchunks)
		return false;
	if (s->list[i].old != chunk) {
		*len = ovbd_min(*len, s->list[i].old * size - off);
		return false;
	}
	while (n * size < off % size + *len && i + n < s->info.nchunks &&
	       s->list[i + n].old == chunk + n && s->list[i + n].new == s->list[i].new + n)
		n++;
	*len = ovbd_min(*len, n * size - off % size);
	*ret_at = s->list[i].new *size + off % size;
	return true;
}

static int view_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct snapshot_view *v = view_of(b);
	uint8_t *dst = buf;
	int r = 0;

	while (r == 0 && len > 0) {
		uint64_t n = len, at = 0;

		if (run_of(v->s, off, &n, &at))
			r = ovbd_blob_pread(v->s->blob, dst, (size_t)n, at, err);
		else if (v->origin)
			r = ovbd_blob_pread(v->origin, dst, (size_t)n, off, err);
		else
			memset(dst, 0, (size_t)n);
		dst += n;
		off += n;
		len -= (size_t)n;
	}
	return r;
}

static int view_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	const struct snapshot_view *v = view_of(b);
	uint64_t at;
	const bool data = run_of(v->s, off, &len, &at);

	if (!data && v->origin)
		return ovbd_blob_run_at(v->origin, off, len, ret, err);
	*ret = (struct ovbd_run){.len = len, .kind = data ? OVBD_RUN_DATA : OVBD_RUN_HOLE};
	return 0;
}

static void view_close(struct ovbd_blob *b)
{
	struct snapshot_view *v = view_of(b);

	ovbd_dm_snapshot_close(v->s);
	ovbd_blob_close(v->origin);
	free(v);
}

static const struct ovbd_blob_ops view_ops = {
	.name = "dm-snapshot",
	.pread = view_pread,
	.run_at = view_run_at,
	.close = view_close,
};

int ovbd_dm_snapshot_view_open(struct ovbd_dm_snapshot *take_s, struct ovbd_blob *take_origin,
                               struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *origin = take_origin;
	OVBD_AUTO(ovbd_dm_snapshot_closep) struct ovbd_dm_snapshot *s = take_s;
	const struct ovbd_dm_snapshot_info *info = &s->info;
	struct snapshot_view *v;

	/* the last chunk of an origin may be a part of one */
	if (origin && info->nchunks > 0 && info->end - info->chunk_size >= origin->size)
		return ovbd_fail(err, -EBADMSG,
		                 "store of dm-snapshot: an exception for chunk %" PRIu64
		                 ", beyond the %" PRIu64 " bytes of the origin",
		                 info->end / info->chunk_size - 1, origin->size);
	v = calloc(1, sizeof(*v));
	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	v->blob = (struct ovbd_blob){.ops = &view_ops, .size = origin ? origin->size : info->end};
	v->s = OVBD_MOVE(s);
	v->origin = OVBD_MOVE(origin);
	*ret = &v->blob;
	return 0;
}
