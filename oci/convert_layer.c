// SPDX-License-Identifier: Apache-2.0
/*
 * A layer (tar_layer.h): its tar is a blob of the source, and it becomes one of the target, over
 * the stack of those made before it, which are opened from there. It has a name only if both
 * digests were those that the manifest and the config say.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "image/tar.h"
#include "oci/convert_impl.h"
#include "oci/tar_layer.h"

struct making {
	struct oci_work *w;
	const struct oci_layer *layer;
	struct oci_stream in;
	struct ovbd_image *below; /* NULL: nothing is */
	struct ovbd_layer_writer *writer;
	struct ovbd_sink *blob, *zfile; /* in the writer's chain */
};

static void close_making(struct making *m)
{
	ovbd_layer_writer_close(m->writer);
	ovbd_image_close(m->below);
	oci_stream_close(&m->in);
}

/* ---- the tar ---- */

static ssize_t read_tar(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;
	const ssize_t n = oci_stream_read(&m->in, buf, len, err);
	const int r = n < 0 ? (int)n : oci_progress(m->w, (uint64_t)n, err);

	return r < 0 ? r : n;
}

static int check_tar(void *arg, const char *diff_id, struct ovbd_error *err)
{
	struct making *m = arg;
	const int r = oci_stream_verify(&m->in, NULL, NULL, err);

	if (r < 0)
		return r;
	if (strcmp(diff_id, m->layer->diff_id) != 0)
		return ovbd_fail(err, -EBADMSG, "is %s decompressed, not %s as the config says",
		                 diff_id, m->layer->diff_id);
	return 0;
}

/* ---- what it becomes ---- */

/* As the original's: the first digits of the chain ID. */
static void uuid_of(const struct oci_layer *l, char ret[OVBD_UUID_SIZE])
{
	const char *hex = l->chain_id + strlen("sha256:");

	for (size_t i = 0; i < OVBD_UUID_SIZE - 1; i++) {
		const bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		ret[i] = dash ? '-' : (char)toupper((unsigned char)*hex++);
	}
	ret[OVBD_UUID_SIZE - 1] = '\0';
}

static int open_chain(void *arg, struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct making *m = arg;
	const struct ovbd_oci_convert *c = m->w->c;
	AUTO_SINK *s = NULL;
	int r = m->w->dst->ops->create(m->w->dst, &s, err);

	m->blob = s;
	if (r == 0)
		r = ovbd_tar_create(OVBD_MOVE(s), &s, err);
	if (r == 0 && c->compress) {
		r = ovbd_zfile_create(OVBD_MOVE(s), &c->zfile, &s, err);
		m->zfile = s;
	}
	if (r == 0)
		*ret = OVBD_MOVE(s);
	return r;
}

/* ---- what lies below ---- */

static int open_below(struct making *m, const struct oci_layer *layers, size_t n,
                      struct ovbd_error *err)
{
	AUTO_FREE struct oci_ref *refs = calloc(n + 1, sizeof(refs[0]));

	if (!refs)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		refs[i] = layers[i].made;
	return oci_target(m->w, m->w->dst->ops->stack(m->w->dst, refs, n, &m->below, err));
}

static int run(struct making *m, const struct oci_layer *below, struct ovbd_error *err)
{
	char uuid[OVBD_UUID_SIZE], parent[OVBD_UUID_SIZE];
	const struct ovbd_tar_layer_params p = {
		.read = read_tar,
		.open = open_chain,
		.check = check_tar,
		.arg = m,
		.below = m->below,
		.fs_size = m->w->c->fs_size,
		.now = m->w->c->now,
		.diff_id = m->layer->diff_id,
		.uuid = uuid,
		.parent_uuid = below ? parent : NULL,
	};
	struct ovbd_tar_layer_done done;
	int r;

	uuid_of(m->layer, uuid);
	if (below)
		uuid_of(below, parent);
	r = oci_source_stream(m->w->src, &m->layer->src, &m->in, err);
	if (r == 0)
		r = ovbd_tar_layer_make(&p, &done, &m->w->local, err);
	m->w->local = m->w->local && !m->w->remote;
	if (r == 0)
		m->writer = done.writer;
	return r;
}

int oci_layer_make(struct oci_work *w, struct oci_node *n, size_t i, struct ovbd_error *err)
{
	OVBD_AUTO(close_making) struct making m = {.w = w, .layer = &n->layers[i]};
	struct ovbd_error why = {""};
	int r;

	w->local = false;
	r = i > 0 ? open_below(&m, n->layers, i, &why) : 0;
	if (r == 0)
		r = run(&m, i > 0 ? &n->layers[i - 1] : NULL, &why);
	if (r < 0)
		return ovbd_fail(err, r, "%s: layer %zu of %zu (%s): %s", n->platform, i + 1,
		                 n->nlayers, n->layers[i].src.digest, why.msg);
	w->dst->ops->made(m.blob, &n->layers[i].made);
	n->layers[i].nlarge = m.zfile ? ovbd_zfile_sink_nlarge(m.zfile) : 0;
	return 0;
}
