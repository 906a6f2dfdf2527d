// SPDX-License-Identifier: Apache-2.0
/*
 * Sealed where it is, its index goes behind its data. A sparse file could be, but as long as its
 * device it is not what others want to copy; so it is committed to a file that takes its place.
 * Either way the layer is whole at any moment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/upper.h"

/* 1 if the file is a layer that was sealed before, or 0. */
static int is_sealed(const char *data, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	const int r = ovbd_blob_open_file(data, &b, err);

	return r < 0 ? r : ovbd_rw_is_sealed(b, b->size, err);
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
	struct ovbd_rw_info info;
	int r = is_sealed(data, err);

	if (r != 0)
		return r < 0 ? r : 0;
	r = ovbd_upper_open(data, index, NULL, &d, err);
	if (r < 0)
		return r;
	ovbd_rw_info(d, &info);
	r = strcmp(info.format, "sparse") == 0 ? replace(data, d, err) : ovbd_rw_seal(d, err);
	return r < 0 ? ovbd_fail_named(err, r, data) : drop_map(data, err);
}

/* ---- where it is ---- */

static int nothing_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	(void)b;
	(void)off;
	(void)err;
	memset(buf, 0, len);
	return 0;
}

static void nothing_close(struct ovbd_blob *b)
{
	free(b);
}

/* All that a layer has to know of what it lies over, to be sealed, is where that ends. */
static int open_nothing(uint64_t size, struct ovbd_blob **ret, struct ovbd_error *err)
{
	static const struct ovbd_blob_ops ops = {
		.name = "what lies beneath",
		.pread = nothing_pread,
		.close = nothing_close,
	};
	struct ovbd_blob *b = calloc(1, sizeof(*b));

	if (!b)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*b = (struct ovbd_blob){.ops = &ops, .size = size};
	*ret = b;
	return 0;
}

int ovbd_upper_seal_in_place(const char *data, const char *index, uint64_t beneath,
                             struct ovbd_error *err)
{
	struct ovbd_blob *lower = NULL;
	AUTO_DEVICE *d = NULL;
	int r = is_sealed(data, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (beneath > 0)
		r = open_nothing(beneath, &lower, err);
	if (r == 0)
		r = ovbd_upper_open(data, index, lower, &d, err);
	if (r < 0)
		return r;
	r = ovbd_rw_seal(d, err);
	return r < 0 ? ovbd_fail_named(err, r, data) : drop_map(data, err);
}
