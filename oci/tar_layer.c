// SPDX-License-Identifier: Apache-2.0
#include "oci/tar_layer.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/unpack.h"
#include "oci/impl.h"

struct making {
	const struct ovbd_tar_layer_params *p;
	struct ovbd_fs_unpack *unpack;
	EVP_MD_CTX *md; /* of what is unpacked */
	struct ovbd_fs *fs;
	struct ovbd_layer_writer *writer;
	uint64_t data_size;
	bool local; /* the last failure was in the layer */
};

static void close_making(struct making *m)
{
	ovbd_layer_writer_close(m->writer);
	ovbd_fs_close(m->fs);
	ovbd_fs_unpack_close(m->unpack);
	EVP_MD_CTX_free(m->md);
}

/* r, which is of the layer. */
static int in_layer(struct making *m, int r)
{
	m->local = r < 0;
	return r;
}

/* ---- the tar ---- */

/* If it is not packed, who reads it has its digest already. */
static bool wants_digest(const struct making *m)
{
	return m->p->diff_id || strcmp(ovbd_fs_unpack_name(m->unpack), "none") != 0;
}

static ssize_t read_unpacked(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;
	const ssize_t n = ovbd_fs_unpack_read(m->unpack, buf, len, err);
	const int r = n <= 0 || !wants_digest(m) ? 0 : oci_md_update(m->md, buf, (size_t)n, err);

	return r < 0 ? r : n;
}

static int open_tar(struct making *m, struct ovbd_error *err)
{
	const struct ovbd_tar_layer_params *p = m->p;
	int r = oci_md_open(p->diff_id ? p->diff_id : "sha256:", &m->md, err);

	return r < 0 ? r : ovbd_fs_unpack_open(p->read, p->arg, &m->unpack, err);
}

static int apply_tar(struct making *m, struct ovbd_fs_applied *ret, struct ovbd_error *err)
{
	char diff_id[OVBD_OCI_DIGEST_SIZE] = "";
	struct ovbd_error why = {""};
	int r = ovbd_fs_apply(m->fs, read_unpacked, m, ret, &why);

	if (r == 0 && wants_digest(m))
		oci_md_text(m->md, diff_id);
	if (r == 0)
		r = m->p->check(m->p->arg, diff_id, &why);
	if (r < 0)
		ovbd_fail(err, r, "%s%s%s", m->p->name ? m->p->name : "", m->p->name ? ": " : "",
		          why.msg);
	return r;
}

/* ---- the layer ---- */

static int put(void *arg, uint64_t off, const void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;

	m->data_size += len;
	return in_layer(m, ovbd_layer_put(m->writer, off, buf, len, err));
}

static int open_fs(struct making *m, struct ovbd_error *err)
{
	const struct ovbd_fs_params p = {
		.base = m->p->below ? m->p->below->blob : NULL,
		.size = m->p->fs_size,
		.now = m->p->now,
		.put = put,
		.arg = m,
	};

	return ovbd_fs_open(&p, &m->fs, err);
}

static uint64_t device_size(const struct making *m)
{
	return m->p->below ? m->p->below->blob->size : ovbd_fs_size(m->fs);
}

static int open_writer(struct making *m, struct ovbd_error *err)
{
	const struct ovbd_image *below = m->p->below;
	const struct ovbd_layer_params p = {
		.virtual_size = device_size(m),
		.uuid = m->p->uuid,
		.parent_uuid = m->p->parent_uuid,
		.tag = m->p->tag,
		.over_base = below != NULL,
	};
	AUTO_SINK *chain = NULL;
	int r = m->p->open(m->p->arg, &chain, err);

	if (r == 0)
		r = ovbd_layer_create(OVBD_MOVE(chain), &p, &m->writer, err);
	if (r == 0 && below)
		r = ovbd_image_cover_hidden(below, p.virtual_size, m->writer, err);
	return in_layer(m, r);
}

int ovbd_tar_layer_make(const struct ovbd_tar_layer_params *p, struct ovbd_tar_layer_done *ret,
                        bool *ret_local, struct ovbd_error *err)
{
	OVBD_AUTO(close_making) struct making m = {.p = p};
	struct ovbd_fs_applied applied = {0};
	int r = open_tar(&m, err);

	if (r == 0)
		r = open_fs(&m, err);
	if (r == 0)
		r = open_writer(&m, err);
	if (r == 0)
		r = apply_tar(&m, &applied, err);
	if (r == 0)
		r = ovbd_fs_finish(m.fs, err);
	if (r == 0)
		r = in_layer(&m, ovbd_layer_finish(m.writer, err));
	*ret_local = m.local;
	if (r < 0)
		return r;
	*ret = (struct ovbd_tar_layer_done){
		.applied = applied,
		.compression = ovbd_fs_unpack_name(m.unpack),
		.device_size = device_size(&m),
		.data_size = m.data_size,
		.writer = OVBD_MOVE(m.writer),
	};
	return 0;
}
