// SPDX-License-Identifier: Apache-2.0
/* A layer (oci/tar_layer.h) of a tar: of a file, or through a pipe; it becomes a file. */
#include "tools/apply.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/bytes.h"
#include "oci/tar_layer.h"
#include "tools/convert_impl.h"

struct making {
	const struct ovbd_apply *a;
	struct ovbd_convert_work w;
	struct ovbd_tar_file *tar;
	struct ovbd_apply_done *ret;
};

static void close_making(struct making *m)
{
	ovbd_layer_writer_close(m->w.writer);
	ovbd_tar_file_close(m->tar);
}

/* Whatever follows the end of the archive has been read too, so the digests are of all of it. */
static int check_tar(void *arg, const char *diff_id, struct ovbd_error *err)
{
	struct making *m = arg;
	struct ovbd_apply_done *ret = m->ret;

	ovbd_tar_file_digest(m->tar, ret->digest);
	snprintf(ret->diff_id, sizeof(ret->diff_id), "%s", diff_id[0] ? diff_id : ret->digest);
	ret->tar_size = ovbd_tar_file_done(m->tar);
	if (m->a->digest && strcasecmp(m->a->digest, ret->digest) != 0)
		return ovbd_fail(err, -EBADMSG, "its digest is %s, not %s", ret->digest,
		                 m->a->digest);
	return 0;
}

static ssize_t read_tar(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct making *m = arg;

	return ovbd_tar_file_read(m->tar, buf, len, err);
}

static int open_chain(void *arg, struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct making *m = arg;

	return ovbd_convert_chain(&m->w, ret, err);
}

int ovbd_apply_run(const struct ovbd_apply *a, struct ovbd_apply_done *ret, struct ovbd_error *err)
{
	OVBD_AUTO(close_making) struct making m = {.a = a, .w.c = &a->out, .ret = ret};
	const struct ovbd_tar_layer_params p = {
		.name = a->tar,
		.read = read_tar,
		.open = open_chain,
		.check = check_tar,
		.arg = &m,
		.below = a->out.base,
		.fs_size = a->fs_size,
		.now = a->now,
		.uuid = a->out.uuid,
		.parent_uuid = a->out.parent_uuid,
		.tag = a->out.tag,
	};
	struct ovbd_tar_layer_done done;
	bool local;
	int r;

	*ret = (struct ovbd_apply_done){0};
	r = ovbd_tar_file_open(a->tar, a->out.progress, a->out.arg, &m.tar, err);
	if (r == 0)
		r = ovbd_tar_layer_make(&p, &done, &local, err);
	if (r < 0)
		return r;
	m.w.writer = done.writer;
	ret->applied = done.applied;
	ret->compression = done.compression;
	ret->fs_size = done.device_size;
	ret->converted = (struct ovbd_converted){
		.raw_size = m.w.zfile ? m.w.zfile->written : m.w.file->written,
		.stored_size = m.w.file->written,
		.data_size = done.data_size,
		.nsegments = ovbd_layer_writer_nsegments(done.writer),
		.nlarge = m.w.zfile ? ovbd_zfile_sink_nlarge(m.w.zfile) : 0,
	};
	return 0;
}
