// SPDX-License-Identifier: Apache-2.0
/*
 * A conversion is a scan of the source into a chain of sinks:
 *
 *     raw      scan ──────────────────────────────────────► file
 *     zfile    scan ──────────────────► zfile ──► [tar] ──► file
 *     lsmt     scan ──► layer writer ───────────► [tar] ──► file
 *     ovbd     scan ──► layer writer ─► zfile ──► [tar] ──► file
 *     update   scan ──► dm-update writer ─────────────────► file
 *
 * A Merkle tree is made of what comes to the file, and goes to a file of its own.
 *
 * A layer made of layers keeps what they say: zeroed segments stay zeroed segments and holes stay
 * holes, so that it can take their place in a stack; and what they show of what lies below them,
 * from elsewhere, becomes a reference to that, or is read from there. A delta is a scan of two
 * devices, of which the blocks that differ are put (convert_layer.c).
 */
#include "tools/convert_impl.h"

#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "image/tar.h"
#include "tools/spool.h"

/* Appends buf, its zero blocks as holes. */
static int append_sparse(struct ovbd_convert_work *w, const uint8_t *buf, size_t len,
                         struct ovbd_error *err)
{
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		const bool zero =
			ovbd_is_zero(buf + at, (size_t)ovbd_min(OVBD_CONVERT_BLOCK, len - at));

		n = (size_t)ovbd_min(OVBD_CONVERT_BLOCK, len - at);
		while (at + n < len &&
		       ovbd_is_zero(buf + at + n,
		                    (size_t)ovbd_min(OVBD_CONVERT_BLOCK, len - at - n)) == zero)
			n += (size_t)ovbd_min(OVBD_CONVERT_BLOCK, len - at - n);
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
	struct ovbd_convert_work *w = ctx;

	(void)off;
	if (kind != OVBD_RUN_DATA)
		return ovbd_convert_output(w, ovbd_sink_append_zeros(w->out, len, err));
	if (w->zfile)
		return ovbd_convert_output(w, ovbd_sink_append(w->out, buf, (size_t)len, err));
	return ovbd_convert_output(w, append_sparse(w, buf, (size_t)len, err));
}

/* The file, or that with its Merkle tree beside it. */
static int open_file(struct ovbd_convert_work *w, struct ovbd_sink **ret, struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_sink_file_params file = {.overwrite = c->force};
	AUTO_SINK *s = NULL;
	struct ovbd_sink *tree;
	int r = ovbd_sink_create_file(c->dst, &file, &s, err);

	if (r < 0)
		return r;
	w->file = s;
	if (c->verity) {
		r = ovbd_sink_create_file(c->verity, &file, &tree, err);
		if (r == 0)
			r = ovbd_verity_sink_create(OVBD_MOVE(s), tree, &w->tree_done, &s, err);
		w->proof = s;
	}
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(s);
	return 0;
}

int ovbd_convert_chain(struct ovbd_convert_work *w, struct ovbd_sink **ret, struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const bool compressed = c->format == OVBD_FORMAT_ZFILE || c->format == OVBD_FORMAT_OVBD;
	AUTO_SINK *s = NULL;
	int r;

	if (strcmp(c->dst, "-") == 0)
		r = ovbd_sink_create_stdout(&s, err);
	else
		r = open_file(w, &s, err);
	if (!w->file)
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

static int scan_bytes(struct ovbd_convert_work *w, struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_scan_params p = {c->nreaders, c->progress, c->arg};
	const int r = ovbd_scan(c->src, &p, to_bytes, w, err);

	if (r < 0)
		return r;
	return ovbd_convert_output(w, ovbd_sink_finish(w->out, err));
}

static int run_chain(struct ovbd_convert_work *w, struct ovbd_sink *take_chain,
                     struct ovbd_error *err)
{
	if (w->c->format == OVBD_FORMAT_RAW || w->c->format == OVBD_FORMAT_ZFILE) {
		w->out = take_chain;
		return scan_bytes(w, err);
	}
	if (w->c->format == OVBD_FORMAT_DM_UPDATE)
		return ovbd_convert_update(w, take_chain, err);
	return ovbd_convert_layer(w, take_chain, err);
}

int ovbd_convert_run(const struct ovbd_convert *c, struct ovbd_converted *ret, bool *ret_local,
                     struct ovbd_error *err)
{
	struct ovbd_convert_work w = {.c = c};
	struct ovbd_sink *chain;
	int r;

	r = ovbd_convert_output(&w, ovbd_convert_chain(&w, &chain, err));
	if (r == 0)
		r = run_chain(&w, chain, err);
	if (r == 0)
		*ret = (struct ovbd_converted){
			.raw_size = w.zfile ? w.zfile->written : w.file->written,
			.stored_size = w.file->written,
			.data_size = w.data_size,
			.nsegments = w.writer ? ovbd_layer_writer_nsegments(w.writer) : 0,
			.nblocks = w.update ? ovbd_dm_update_nblocks(w.update) - 1 : 0,
			.ref_size = w.ref_size,
			.nlarge = w.zfile ? ovbd_zfile_sink_nlarge(w.zfile) : 0,
		};
	if (r == 0 && w.proof)
		ret->root = ovbd_verity_sink_root(w.proof);
	if (r < 0 && w.tree_done)
		unlink(c->verity);
	ovbd_layer_writer_close(w.writer);
	ovbd_dm_update_writer_close(w.update);
	ovbd_sink_close(w.out);
	*ret_local = w.local;
	return r;
}
