// SPDX-License-Identifier: Apache-2.0
/*
 * A blob has its name from its content, which is known at the end: it is written to a file without
 * a name (O_TMPFILE; where that cannot be, one with a temporary name), read once more for its
 * digest, as what stands first may have been written last, synced, and then given its name, in the
 * place of what may have it, which is the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "oci/impl.h"

struct blob_sink {
	struct ovbd_sink sink;
	char *dir;
	int fd;
	char *temp; /* the name that it has now, or NULL */
	char digest[OVBD_OCI_DIGEST_SIZE];
};

static struct blob_sink *blob_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct blob_sink, sink);
}

static int write_at(struct blob_sink *b, const void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	const int r = ovbd_fd_pwrite(b->fd, buf, len, off);

	return r < 0 ? ovbd_fail_errno(err, r, "%s: write", b->dir) : 0;
}

static int blob_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	return write_at(blob_of(s), buf, len, s->written, err);
}

static int blob_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	return write_at(blob_of(s), buf, len, off, err);
}

static int temp_name(struct blob_sink *b, struct ovbd_error *err)
{
	uint32_t random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return ovbd_fail_errno(err, -errno, "a random name");
	if (asprintf(&b->temp, "%s/.ovbd.%08x%08x", b->dir, random[0], random[1]) < 0) {
		b->temp = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int publish(struct blob_sink *b, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	char proc[64];
	int r = 0;

	if (asprintf(&path, "%s/%s", b->dir, strchr(b->digest, ':') + 1) < 0) {
		path = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (!b->temp) {
		r = temp_name(b, err);
		if (r < 0)
			return r;
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", b->fd);
		if (linkat(AT_FDCWD, proc, AT_FDCWD, b->temp, AT_SYMLINK_FOLLOW) < 0) {
			r = ovbd_fail_errno(err, -errno, "%s: cannot be given its name", path);
			free(OVBD_MOVE(b->temp));
		}
	}
	if (r < 0)
		return r;
	if (rename(b->temp, path) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	free(OVBD_MOVE(b->temp));
	return 0;
}

static int sync_dir(const struct blob_sink *b, struct ovbd_error *err)
{
	AUTO_FD fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* some file systems cannot sync a directory and say EINVAL */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return ovbd_fail_errno(err, -errno, "%s: sync", b->dir);
	return 0;
}

static int blob_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	struct blob_sink *b = blob_of(s);
	int r = oci_digest_of_fd(b->fd, 0, b->sink.written, b->dir, b->digest, err);

	if (r == 0 && fsync(b->fd) < 0)
		r = ovbd_fail_errno(err, -errno, "%s: sync", b->dir);
	if (r == 0)
		r = publish(b, err);
	return r < 0 ? r : sync_dir(b, err);
}

static void blob_close(struct ovbd_sink *s)
{
	struct blob_sink *b = blob_of(s);

	if (b->temp)
		unlink(b->temp);
	if (b->fd >= 0)
		close(b->fd);
	free(b->temp);
	free(b->dir);
	free(b);
}

static const struct ovbd_sink_ops blob_ops = {
	.name = "oci blob",
	.append = blob_append,
	.patch = blob_patch,
	.finish = blob_finish,
	.close = blob_close,
};

static int open_temp(struct blob_sink *b, struct ovbd_error *err)
{
	int r;

	b->fd = open(b->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (b->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return ovbd_fail_errno(err, -errno, "%s: cannot create a file in it", b->dir);
	r = temp_name(b, err);
	if (r < 0)
		return r;
	b->fd = open(b->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (b->fd >= 0)
		return 0;
	r = ovbd_fail_errno(err, -errno, "%s: cannot create a file in it", b->dir);
	free(OVBD_MOVE(b->temp));
	return r;
}

int oci_blob_create_in(const char *dir, struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct blob_sink *b = calloc(1, sizeof(*b));
	AUTO_SINK *s = NULL;
	int r;

	if (!b)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s = &b->sink;
	s->ops = &blob_ops;
	b->fd = -1;
	b->dir = strdup(dir);
	r = b->dir ? open_temp(b, err) : ovbd_fail(err, -ENOMEM, "out of memory");
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(s);
	return 0;
}

int oci_blob_create(const struct oci_layout *l, struct ovbd_sink **ret, struct ovbd_error *err)
{
	AUTO_FREE char *dir = NULL;

	if (asprintf(&dir, "%s/blobs/sha256", l->dir) < 0) {
		dir = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return oci_blob_create_in(dir, ret, err);
}

void oci_blob_ref(const struct ovbd_sink *s, struct oci_ref *ret)
{
	const struct blob_sink *b =
		(const struct blob_sink *)(const void *)((const char *)s -
	                                                 offsetof(struct blob_sink, sink));

	memcpy(ret->digest, b->digest, sizeof(ret->digest));
	ret->size = s->written;
}

int oci_blob_put(const struct oci_layout *l, const void *buf, size_t len, struct oci_ref *ret,
                 struct ovbd_error *err)
{
	AUTO_SINK *s = NULL;
	int r = oci_blob_create(l, &s, err);

	if (r == 0)
		r = ovbd_sink_append(s, buf, len, err);
	if (r == 0)
		r = ovbd_sink_finish(s, err);
	if (r == 0)
		oci_blob_ref(s, ret);
	return r;
}
