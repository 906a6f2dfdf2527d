// SPDX-License-Identifier: Apache-2.0
/*
 * A conversion is a scan of the source into a chain of sinks:
 *
 *     raw      scan ──────────────────────────────────────► file
 *     zfile    scan ──────────────────► zfile ──► [tar] ──► file
 *     lsmt     scan ──► layer writer ───────────► [tar] ──► file
 *     ovbd     scan ──► layer writer ─► zfile ──► [tar] ──► file
 *
 * A layer made of layers keeps what they say: zeroed segments stay zeroed segments and holes stay
 * holes, so that it can take their place in a stack. A delta is a scan of two devices, of which the
 * blocks that differ are put.
 */
#include "tools/convert.h"

#include <errno.h>

#include "base/bytes.h"
#include "image/tar.h"
#include "tools/scan.h"
#include "tools/spool.h"

#define BLOCK 4096u

struct work {
	const struct ovbd_convert *c;
	struct ovbd_sink *out;            /* the head of the chain; raw and zfile output */
	struct ovbd_layer_writer *writer; /* lsmt and ovbd output: owns the chain */
	struct ovbd_sink *file, *zfile;   /* in the chain, not owned */
	uint64_t data_size;
	bool local; /* the last failure was in the output */
};

static int output(struct work *w, int r)
{
	w->local = r < 0;
	return r;
}

/* Appends buf, its zero blocks as holes. */
static int append_sparse(struct work *w, const uint8_t *buf, size_t len, struct ovbd_error *err)
{
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		const bool zero = ovbd_is_zero(buf + at, (size_t)ovbd_min(BLOCK, len - at));

		n = (size_t)ovbd_min(BLOCK, len - at);
		while (at + n < len &&
		       ovbd_is_zero(buf + at + n, (size_t)ovbd_min(BLOCK, len - at - n)) == zero)
			n += (size_t)ovbd_min(BLOCK, len - at - n);
		if (zero) {
			r = ovbd_sink_append_zeros(w->out, n, err);
		} else {
			r = ovbd_sink_append(w->out, buf + at, n, err);
			w->data_size += n;
		}
	}
	return r;
}

static int to_bytes(void *ctx, uint64_t off, uint64_t len, enum ovbd_run_kind kind,
                    const uint8_t *buf, struct ovbd_error *err)
{
	struct work *w = ctx;

	(void)off;
	if (kind != OVBD_RUN_DATA)
		return output(w, ovbd_sink_append_zeros(w->out, len, err));
	if (w->zfile)
		return output(w, ovbd_sink_append(w->out, buf, (size_t)len, err));
	return output(w, append_sparse(w, buf, (size_t)len, err));
}

static int to_layer(void *ctx, uint64_t off, uint64_t len, enum ovbd_run_kind kind,
                    const uint8_t *buf, struct ovbd_error *err)
{
	struct work *w = ctx;

	if (kind == OVBD_RUN_DATA)
		return output(w, ovbd_layer_put(w->writer, off, buf, (size_t)len, err));
	if (kind == OVBD_RUN_ZERO)
		return output(w, ovbd_layer_zero(w->writer, off, len, err));
	return 0;
}

/* Puts the blocks of a that differ from b, in as few pieces as possible. */
static int to_delta(void *ctx, uint64_t off, size_t len, const uint8_t *a, const uint8_t *b,
                    struct ovbd_error *err)
{
	struct work *w = ctx;
	size_t start = 0, at = 0;
	int r = 0;

	if (memcmp(a, b, len) == 0)
		return 0;
	while (r == 0 && at < len) {
		const size_t n = (size_t)ovbd_min(BLOCK, len - at);

		if (memcmp(a + at, b + at, n) == 0) {
			if (at > start)
				r = ovbd_layer_put(w->writer, off + start, a + start, at - start,
				                   err);
			start = at + n;
		}
		at += n;
	}
	if (r == 0 && at > start)
		r = ovbd_layer_put(w->writer, off + start, a + start, at - start, err);
	return output(w, r);
}

/*
 * Content beyond the end of a device that has shrunk is still there, in a layer below, and a larger
 * layer on top would show it again (docs/format-lsmt.md). So what the layers beneath have beyond
 * their own end, or the new device's, is zeroed here, before anything is put.
 */
static int cover_hidden(struct work *w, const struct ovbd_image *beneath, struct ovbd_error *err)
{
	const uint64_t end = ovbd_align_up(beneath->reach, 512);
	const uint64_t size = ovbd_min(beneath->blob->size, w->c->src->size);
	const uint64_t start = ovbd_align_up(size, 512);

	if (end <= start)
		return 0;
	return output(w, ovbd_layer_zero(w->writer, start, end - start, err));
}

static int open_chain(struct work *w, struct ovbd_sink **ret, struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_sink_file_params file = {.overwrite = c->force};
	const bool compressed = c->format == OVBD_FORMAT_ZFILE || c->format == OVBD_FORMAT_OVBD;
	AUTO_SINK *s = NULL;
	int r;

	if (strcmp(c->dst, "-") == 0)
		r = ovbd_sink_create_stdout(&s, err);
	else
		r = ovbd_sink_create_file(c->dst, &file, &s, err);
	w->file = s;
	if (r == 0 && c->tar)
		r = ovbd_tar_create(OVBD_MOVE(s), &s, err);
	if (r == 0 && compressed) {
		r = ovbd_zfile_create(OVBD_MOVE(s), &c->zfile, &s, err);
		w->zfile = s;
	}
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(s);
	return 0;
}

static int create_layer(struct work *w, struct ovbd_sink *take_chain, struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_layer_params p = {
		.virtual_size = c->src->size,
		.uuid = c->uuid,
		.parent_uuid = c->parent_uuid,
		.tag = c->tag,
		.over_base =
			c->base || (c->img && (c->img->layers[0].layer || c->img->layers[0].cow)),
	};

	return ovbd_layer_create(take_chain, &p, &w->writer, err);
}

static int scan_layer(struct work *w, struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_scan_params p = {c->nreaders, c->progress, c->arg};
	const struct ovbd_image *beneath = c->base ? c->base : c->img;
	int r = beneath ? cover_hidden(w, beneath, err) : 0;

	if (r == 0 && c->base)
		r = ovbd_scan_pair(c->src, c->base->blob, c->src->size, &p, to_delta, w, err);
	else if (r == 0)
		r = ovbd_scan(c->src, &p, to_layer, w, err);
	if (r < 0)
		return r;
	return output(w, ovbd_layer_finish(w->writer, err));
}

static int scan_bytes(struct work *w, struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_scan_params p = {c->nreaders, c->progress, c->arg};
	const int r = ovbd_scan(c->src, &p, to_bytes, w, err);

	if (r < 0)
		return r;
	return output(w, ovbd_sink_finish(w->out, err));
}

static int run_chain(struct work *w, struct ovbd_sink *take_chain, struct ovbd_error *err)
{
	int r;

	if (w->c->format == OVBD_FORMAT_RAW || w->c->format == OVBD_FORMAT_ZFILE) {
		w->out = take_chain;
		return scan_bytes(w, err);
	}
	r = output(w, create_layer(w, take_chain, err));
	return r < 0 ? r : scan_layer(w, err);
}

int ovbd_convert_run(const struct ovbd_convert *c, struct ovbd_converted *ret, bool *ret_local,
                     struct ovbd_error *err)
{
	struct work w = {.c = c};
	struct ovbd_sink *chain;
	int r;

	r = output(&w, open_chain(&w, &chain, err));
	if (r == 0)
		r = run_chain(&w, chain, err);
	if (r == 0)
		*ret = (struct ovbd_converted){
			.raw_size = w.zfile ? w.zfile->written : w.file->written,
			.stored_size = w.file->written,
			.data_size = w.data_size,
			.nsegments = w.writer ? ovbd_layer_writer_nsegments(w.writer) : 0,
			.nlarge = w.zfile ? ovbd_zfile_sink_nlarge(w.zfile) : 0,
		};
	ovbd_layer_writer_close(w.writer);
	ovbd_sink_close(w.out);
	*ret_local = w.local;
	return r;
}
