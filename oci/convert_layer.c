// SPDX-License-Identifier: Apache-2.0
/*
 * A layer, in one pass:
 *
 *     blob ─► digest ─► unpack ─► digest ─► fs ─► layer writer ─► [zfile] ─► tar ─► blob
 *
 * over the stack of those made before it, which are opened from the target. It has a name only if
 * both digests were those that the manifest and the config say.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "fs/fs.h"
#include "fs/unpack.h"
#include "image/image.h"
#include "image/tar.h"
#include "lsmt/lsmt.h"
#include "oci/convert_impl.h"

struct making {
	struct oci_work *w;
	const struct oci_layer *layer;
	struct oci_stream in;
	struct ovbd_fs_unpack *unpack;
	EVP_MD_CTX *md;           /* of what is unpacked */
	struct ovbd_image *below; /* NULL: nothing is */
	struct ovbd_fs *fs;
	struct ovbd_layer_writer *writer; /* owns the chain of sinks */
	struct ovbd_sink *blob, *zfile;   /* in the chain */
};

static void close_making(struct making *m)
{
	ovbd_layer_writer_close(m->writer);
	ovbd_fs_close(m->fs);
	ovbd_image_close(m->below);
	ovbd_fs_unpack_close(m->unpack);
	EVP_MD_CTX_free(m->md);
	oci_stream_close(&m->in);
}

/* ---- the tar ---- */

static ssize_t read_packed(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;
	const ssize_t n = oci_stream_read(&m->in, buf, len, err);
	const int r = n < 0 ? (int)n : oci_progress(m->w, (uint64_t)n, err);

	return r < 0 ? r : n;
}

static ssize_t read_unpacked(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;
	const ssize_t n = ovbd_fs_unpack_read(m->unpack, buf, len, err);
	const int r = n < 0 ? (int)n : oci_md_update(m->md, buf, (size_t)n, err);

	return r < 0 ? r : n;
}

static int open_tar(struct making *m, struct ovbd_error *err)
{
	int r = oci_source_stream(m->w->src, &m->layer->src, &m->in, err);

	if (r == 0)
		r = oci_md_open(m->layer->diff_id, &m->md, err);
	return r < 0 ? r : ovbd_fs_unpack_open(read_packed, m, &m->unpack, err);
}

static int check_tar(struct making *m, struct ovbd_error *err)
{
	char has[OVBD_OCI_DIGEST_SIZE];
	const int r = oci_stream_verify(&m->in, NULL, NULL, err);

	if (r < 0)
		return r;
	oci_md_text(m->md, has);
	if (strcmp(has, m->layer->diff_id) != 0)
		return ovbd_fail(err, -EBADMSG, "is %s decompressed, not %s as the config says",
		                 has, m->layer->diff_id);
	return 0;
}

/* ---- what it becomes ---- */

static int put(void *arg, uint64_t off, const void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;

	return oci_target(m->w, ovbd_layer_put(m->writer, off, buf, len, err));
}

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

static int open_chain(struct making *m, struct ovbd_sink **ret, struct ovbd_error *err)
{
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

static int open_writer(struct making *m, const struct oci_layer *below, struct ovbd_error *err)
{
	char uuid[OVBD_UUID_SIZE], parent[OVBD_UUID_SIZE];
	struct ovbd_layer_params p = {
		.virtual_size = ovbd_fs_size(m->fs),
		.uuid = uuid,
		.over_base = below != NULL,
	};
	AUTO_SINK *chain = NULL;
	int r;

	uuid_of(m->layer, uuid);
	if (below) {
		uuid_of(below, parent);
		p.parent_uuid = parent;
	}
	r = open_chain(m, &chain, err);
	return r < 0 ? r : ovbd_layer_create(OVBD_MOVE(chain), &p, &m->writer, err);
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

static int open_fs(struct making *m, struct ovbd_error *err)
{
	const struct ovbd_fs_params p = {
		.base = m->below ? m->below->blob : NULL,
		.size = m->w->c->fs_size,
		.now = m->w->c->now,
		.put = put,
		.arg = m,
	};

	return ovbd_fs_open(&p, &m->fs, err);
}

static int run(struct making *m, struct oci_layer *layers, size_t i, struct ovbd_error *err)
{
	int r = i > 0 ? open_below(m, layers, i, err) : 0;

	if (r == 0)
		r = open_tar(m, err);
	if (r == 0)
		r = open_fs(m, err);
	if (r == 0)
		r = oci_target(m->w, open_writer(m, i > 0 ? &layers[i - 1] : NULL, err));
	if (r == 0)
		r = ovbd_fs_apply(m->fs, read_unpacked, m, NULL, err);
	if (r == 0)
		r = check_tar(m, err);
	if (r == 0)
		r = ovbd_fs_finish(m->fs, err);
	if (r == 0)
		r = oci_target(m->w, ovbd_layer_finish(m->writer, err));
	return r;
}

int oci_layer_make(struct oci_work *w, struct oci_node *n, size_t i, struct ovbd_error *err)
{
	OVBD_AUTO(close_making) struct making m = {.w = w, .layer = &n->layers[i]};
	struct ovbd_error why = {""};
	int r;

	w->local = false;
	r = run(&m, n->layers, i, &why);
	if (r < 0)
		return ovbd_fail(err, r, "%s: layer %zu of %zu (%s): %s", n->platform, i + 1,
		                 n->nlayers, n->layers[i].src.digest, why.msg);
	w->dst->ops->made(m.blob, &n->layers[i].made);
	n->layers[i].nlarge = m.zfile ? ovbd_zfile_sink_nlarge(m.zfile) : 0;
	return 0;
}
