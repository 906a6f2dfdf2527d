// SPDX-License-Identifier: Apache-2.0
/*
 * The append format is sealed where it is: its index goes behind its data. The others cannot be,
 * nor would a sparse file, as long as its device, be what others want to copy; so they are
 * committed to a file that takes their place. Either way the layer is whole at any moment.
 *
 * Whether it was sealed before is asked of its header alone: all behind that comes from who wrote
 * to the device. The header of one that was sealed where it is does not tell; to seal that again
 * changes nothing but its length.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/upper.h"

/* 1 if the file is a layer that was sealed by a commit, or 0. */
static int is_sealed(const char *data, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	AUTO_BLOB *b = NULL;
	uint64_t size;
	int r = ovbd_blob_open_file(data, &b, err);

	if (r == 0)
		r = ovbd_layer_probe(b, err);
	if (r <= 0)
		return r;
	size = b->size;
	r = ovbd_layer_open(OVBD_MOVE(b), size, &l, NULL);
	return r == 0 && ovbd_layer_info(l)->sealed_header;
}

static int replace(const char *data, struct ovbd_device *d, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params file = {.overwrite = true};
	OVBD_AUTO(ovbd_layer_writer_closep) struct ovbd_layer_writer *w = NULL;
	struct ovbd_rw_info info;
	struct ovbd_layer_params p = {
		.virtual_size = d->blob->size,
		.uuid = info.uuid,
		.parent_uuid = info.parent_uuid,
		.tag = info.tag,
		.over_base = true,
	};
	AUTO_SINK *sink = NULL;
	struct stat st;
	int r = stat(data, &st) < 0 ? ovbd_fail_errno(err, -errno, "%s", data) : 0;

	ovbd_rw_info(d, &info);
	if (r == 0)
		r = ovbd_sink_create_file(data, &file, &sink, err);
	if (r == 0)
		r = ovbd_layer_create(OVBD_MOVE(sink), &p, &w, err);
	if (r == 0)
		r = ovbd_rw_commit(d, w, true, err);
	if (r == 0)
		r = ovbd_layer_finish(w, err);
	if (r == 0 && chmod(data, st.st_mode & 07777) < 0)
		r = ovbd_fail_errno(err, -errno, "%s", data);
	return r;
}

/* It is of no use to a layer that takes no writes. */
static int drop_map(const char *data, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s.zeros", data) < 0) {
		path = NULL;
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", data);
	}
	return unlink(path) < 0 && errno != ENOENT ? ovbd_fail_errno(err, -errno, "%s", path) : 0;
}

int ovbd_upper_seal(const char *data, const char *index, struct ovbd_error *err)
{
	AUTO_DEVICE *d = NULL;
	int r = is_sealed(data, err);

	if (r != 0)
		return r < 0 ? r : 0;
	r = ovbd_upper_open(data, index, NULL, &d, err);
	if (r < 0)
		return r;
	r = ovbd_rw_seal(d, err);
	if (r == -ENOTSUP)
		r = replace(data, d, err);
	return r < 0 ? ovbd_fail_named(err, r, data) : drop_map(data, err);
}
