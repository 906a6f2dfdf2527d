// SPDX-License-Identifier: Apache-2.0
/*
 * The base as the update makes it. A read goes from block to block; blocks that follow each other
 * on the device and in their chunk are one step, and so is what lies between two of them, which is
 * the base's.
 *
 * A chunk is decompressed whole, into a scratch, which remembers it for the next who wants a block
 * of it. A scratch has one owner at a time, so reads share nothing. Without compression a chunk of
 * any size is read in place.
 */
#include "ota/dm_update_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define IDLE_MAX      16u
#define IDLE_SIZE_MAX (64u << 20) /* bytes of all; but one may always stay */
#define NOTHING       UINT64_MAX

struct scratch {
	struct scratch *next;
	struct dm_update_codec *codec;
	uint64_t holds; /* the chunk that is in out; or NOTHING */
	uint8_t *in;
	size_t in_size;
	uint8_t out[];
};

struct view {
	struct ovbd_blob blob;
	struct ovbd_dm_update *u; /* owned */
	struct ovbd_blob *base;   /* owned; NULL: none */
	unsigned idle_max;
	pthread_mutex_t lock; /* guards what follows */
	struct scratch *idle; /* last used first */
	unsigned nidle;
};

static struct view *view_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct view, blob);
}

/* ---- scratches ---- */

static void scratch_free(struct scratch *s)
{
	dm_update_codec_free(s->codec);
	free(s->in);
	free(s);
}

static int make_scratch(const struct view *v, struct scratch **ret, struct ovbd_error *err)
{
	struct scratch *s = malloc(sizeof(*s) + dm_update_chunk_size(v->u));
	int r;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory for a chunk of %zu bytes",
		                 dm_update_chunk_size(v->u));
	*s = (struct scratch){.holds = NOTHING};
	r = dm_update_codec_create(v->u->s.codec, -1, &s->codec, err);
	if (r < 0)
		free(s);
	else
		*ret = s;
	return r;
}

/* One that holds the chunk, or else any. */
static int take_scratch(struct view *v, uint64_t chunk, struct scratch **ret,
                        struct ovbd_error *err)
{
	struct scratch **at, *s;

	pthread_mutex_lock(&v->lock);
	for (at = &v->idle; *at && (*at)->holds != chunk;)
		at = &(*at)->next;
	if (!*at)
		at = &v->idle;
	s = *at;
	if (s) {
		*at = s->next;
		v->nidle--;
	}
	pthread_mutex_unlock(&v->lock);
	if (!s)
		return make_scratch(v, ret, err);
	*ret = s;
	return 0;
}

static void give_scratch(struct view *v, struct scratch *s)
{
	bool kept;

	pthread_mutex_lock(&v->lock);
	kept = v->nidle < v->idle_max;
	if (kept) {
		s->next = v->idle;
		v->idle = s;
		v->nidle++;
	}
	pthread_mutex_unlock(&v->lock);
	if (!kept)
		scratch_free(s);
}

/* ---- finding ---- */

/* The number of the first place at or behind the block. */
static uint64_t seek(const struct ovbd_dm_update *u, uint64_t block)
{
	uint64_t from = 0, to = u->info.nblocks; /* places before from are < block, from to on >= */

	while (from < to) {
		const uint64_t middle = from + (to - from) / 2;

		if (u->places[middle].dest < block)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* What there is at off, of at most len bytes: the place of it, or NULL where it is the base's. */
static const struct dm_update_place *run_of(const struct ovbd_dm_update *u, uint64_t off,
                                            uint64_t *len)
{
	const unsigned bits = u->s.block_bits;
	const uint64_t block = off >> bits;
	uint64_t i = seek(u, block), end;
	const struct dm_update_place *p = &u->places[i];

	if (i == u->info.nblocks)
		return NULL;
	if (p->dest != block) {
		*len = ovbd_min(*len, (p->dest << bits) - off);
		return NULL;
	}
	for (end = (block + 1) << bits; end < off + *len && ++i < u->info.nblocks;) {
		const struct dm_update_place *next = &u->places[i];

		if (next->dest != next[-1].dest + 1 || next->chunk != p->chunk ||
		    next->index != next[-1].index + 1)
			break;
		end += UINT64_C(1) << bits;
	}
	*len = ovbd_min(*len, end - off);
	return p;
}

/* ---- the blob ---- */

/* len bytes from at on of the chunk that p is in. */
static int read_chunk(struct view *v, const struct dm_update_place *p, uint8_t *buf, size_t len,
                      uint64_t at, struct ovbd_error *err)
{
	const struct ovbd_dm_update *u = v->u;
	struct scratch *s = NULL;
	int r;

	if (u->s.codec == OVBD_DM_UPDATE_NONE)
		return ovbd_blob_pread(u->blob, buf, len, u->chunks[p->chunk].src + at, err);
	r = take_scratch(v, p->chunk, &s, err);
	if (r < 0)
		return r;
	if (s->holds != p->chunk) {
		s->holds = NOTHING;
		r = dm_update_chunk_read(u, s->codec, p->chunk, &s->in, &s->in_size, s->out, err);
		if (r == 0)
			s->holds = p->chunk;
	}
	if (r == 0)
		memcpy(buf, s->out + at, len);
	give_scratch(v, s);
	return r;
}

static int view_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct view *v = view_of(b);
	const unsigned bits = v->u->s.block_bits;
	uint8_t *to = buf;

	while (len > 0) {
		uint64_t n = len;
		const struct dm_update_place *p = run_of(v->u, off, &n);
		int r = 0;

		if (p)
			r = read_chunk(v, p, to, (size_t)n,
			               ((uint64_t)p->index << bits) + (off - (p->dest << bits)),
			               err);
		else if (v->base)
			r = ovbd_blob_pread(v->base, to, (size_t)n, off, err);
		else
			memset(to, 0, (size_t)n);
		if (r < 0)
			return r;
		to += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

static int view_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	const struct view *v = view_of(b);
	const uint64_t end = off + len;
	bool data = run_of(v->u, off, &len) != NULL;

	if (!data && v->base)
		return ovbd_blob_run_at(v->base, off, len, ret, err);
	*ret = (struct ovbd_run){.len = len, .kind = data ? OVBD_RUN_DATA : OVBD_RUN_HOLE};
	while (data && off + ret->len < end) {
		len = end - (off + ret->len);
		data = run_of(v->u, off + ret->len, &len) != NULL;
		ret->len += data ? len : 0;
	}
	return 0;
}

static void view_close(struct ovbd_blob *b)
{
	struct view *v = view_of(b);

	while (v->idle) {
		struct scratch *s = v->idle;

		v->idle = s->next;
		scratch_free(s);
	}
	pthread_mutex_destroy(&v->lock);
	ovbd_dm_update_close(v->u);
	ovbd_blob_close(v->base);
	free(v);
}

static const struct ovbd_blob_ops view_ops = {
	.name = "dm-update over its base",
	.pread = view_pread,
	.run_at = view_run_at,
	.close = view_close,
};

int ovbd_dm_update_view_open(struct ovbd_dm_update *take_u, struct ovbd_blob *take_base,
                             struct ovbd_blob **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_dm_update_closep) struct ovbd_dm_update *u = take_u;
	AUTO_BLOB *base = take_base;
	struct view *v;

	if (base && u->info.end > base->size)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update: writes up to %" PRIu64 ", beyond the base of %" PRIu64
		                 " bytes: it is not for this base",
		                 u->info.end, base->size);
	v = calloc(1, sizeof(*v));
	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&v->lock, NULL);
	v->idle_max = (unsigned)ovbd_min(IDLE_MAX, IDLE_SIZE_MAX / dm_update_chunk_size(u) + 1);
	v->blob = (struct ovbd_blob){.ops = &view_ops, .size = base ? base->size : u->info.end};
	v->u = OVBD_MOVE(u);
	v->base = OVBD_MOVE(base);
	*ret = &v->blob;
	return 0;
}
