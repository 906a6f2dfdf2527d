// SPDX-License-Identifier: Apache-2.0
#include "image/upper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define UNIT_MAX (1u << 20)

static bool is_one_file(const char *index)
{
	return !index || !index[0];
}

static int open_file(const char *path, struct ovbd_rw_file *ret, struct ovbd_error *err)
{
	return ovbd_device_open_growing(path, OVBD_DEVICE_GROWING_MAX, &ret->device, &ret->end,
	                                err);
}

/* ---- making ---- */

static int make(const char *path, struct ovbd_error *err)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	close(fd);
	return 0;
}

/* The name is to be there after a crash, too. */
static int sync_folder(const char *path, struct ovbd_error *err)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	AUTO_FD fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || fsync(fd) < 0)
		return ovbd_fail_errno(err, -errno, "%s: its folder", path);
	return 0;
}

static int fill(const char *data, const char *index, const struct ovbd_rw_params *p,
                struct ovbd_error *err)
{
	struct ovbd_rw_file files[2] = {{NULL, 0}, {NULL, 0}};
	int r = open_file(data, &files[0], err);

	if (r == 0 && !is_one_file(index))
		r = open_file(index, &files[1], err);
	if (r == 0)
		r = is_one_file(index)
		            ? ovbd_rw_create(files[0].device, p, err)
		            : ovbd_rw_create_pair(files[0].device, files[1].device, p, err);
	ovbd_device_close(files[0].device);
	ovbd_device_close(files[1].device);
	if (r == 0)
		r = sync_folder(data, err);
	return r == 0 && !is_one_file(index) ? sync_folder(index, err) : r;
}

int ovbd_upper_create(const char *data, const char *index, const struct ovbd_rw_params *p,
                      struct ovbd_error *err)
{
	int r = make(data, err);

	if (r < 0)
		return r;
	if (!is_one_file(index)) {
		r = make(index, err);
		if (r == 0) {
			r = fill(data, index, p, err);
			if (r < 0)
				unlink(index);
		}
	} else {
		r = fill(data, index, p, err);
	}
	if (r < 0)
		unlink(data);
	return r;
}

/* ---- opening ---- */

/* The map of a sparse layer: there already, or needed. */
static int open_map(const char *data, bool needed, struct ovbd_rw_file *ret, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	int fd;

	if (asprintf(&path, "%s.zeros", data) < 0) {
		path = NULL;
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", data);
	}
	fd = open(path, O_RDWR | O_CLOEXEC | (needed ? O_CREAT : 0), 0644);
	if (fd < 0)
		return errno == ENOENT && !needed ? 0 : ovbd_fail_errno(err, -errno, "%s", path);
	close(fd);
	return open_file(path, ret, err);
}

static void close_files(const struct ovbd_rw_pair *f, struct ovbd_blob *lower)
{
	ovbd_device_close(f->data.device);
	ovbd_device_close(f->index.device);
	ovbd_device_close(f->map.device);
	ovbd_blob_close(lower);
}

static int open_pair(const char *data, const char *index, struct ovbd_rw_pair *take_files,
                     struct ovbd_blob *take_lower, struct ovbd_device **ret, struct ovbd_error *err)
{
	struct ovbd_rw_pair *f = take_files;
	bool sparse = false;
	struct stat st;
	int r = open_file(index, &f->index, err);

	if (r == 0)
		r = ovbd_rw_is_sparse(f->data.device->blob, &sparse, err);
	if (r == 0 && sparse)
		r = open_map(data, take_lower != NULL, &f->map, err);
	if (r == 0 && stat(data, &st) == 0 && st.st_blksize > 4096)
		f->unit = ovbd_min((uint64_t)st.st_blksize, UNIT_MAX);
	if (r == 0)
		return ovbd_rw_open_pair(f, take_lower, ret, err);
	close_files(f, take_lower);
	return r;
}

int ovbd_upper_open(const char *data, const char *index, struct ovbd_blob *take_lower,
                    struct ovbd_device **ret, struct ovbd_error *err)
{
	struct ovbd_rw_pair files = {.unit = 4096};
	int r = open_file(data, &files.data, err);
	const int ours = r < 0 ? r : ovbd_rw_probe(files.data.device->blob, err);

	if (ours >= 0 && ours != is_one_file(index))
		r = ovbd_fail(
			err, -EINVAL,
			ours ? "%s: is an ovbd-rw, which has no index file"
			     : "%s: is no ovbd-rw; of another writable layer the index file is "
			       "needed, too",
			data);
	else if (ours < 0)
		r = ours;
	if (r < 0) {
		close_files(&files, take_lower);
		return r;
	}
	r = ours ? ovbd_rw_open(&files.data, NULL, take_lower, ret, err)
	         : open_pair(data, index, &files, take_lower, ret, err);
	return r < 0 ? ovbd_fail_named(err, r, data) : 0;
}
