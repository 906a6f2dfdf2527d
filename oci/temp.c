// SPDX-License-Identifier: Apache-2.0
/*
 * What is made for a place that has no files is made in a file without a name, of which nothing can
 * be left, whatever kills us. It is read once more for its digest, as what stands first may have
 * been written last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "oci/registry.h"

struct temp_sink {
	struct ovbd_sink sink;
	char *dir;
	int fd;
	struct oci_push_queue *q;
	struct oci_ref ref;
};

static struct temp_sink *temp_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct temp_sink, sink);
}

int oci_temp_open(const char *dir, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return ovbd_fail_errno(err, -errno, "a temporary file in %s", dir);
	if (asprintf(&path, "%s/.ovbd.XXXXXX", dir) < 0) {
		path = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "a temporary file in %s", dir);
	unlink(path);
	return fd;
}

static int write_at(struct temp_sink *t, const void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	int r;

	if (!oci_push_queue_works(t->q))
		return oci_push_queue_check(t->q, err);
	r = ovbd_fd_pwrite(t->fd, buf, len, off);
	return r < 0 ? ovbd_fail_errno(err, r, "a temporary file in %s: write", t->dir) : 0;
}

static int temp_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	return write_at(temp_of(s), buf, len, s->written, err);
}

static int temp_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	return write_at(temp_of(s), buf, len, off, err);
}

static int temp_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	struct temp_sink *t = temp_of(s);
	const int r = oci_digest_of_fd(t->fd, 0, s->written, t->dir, t->ref.digest, err);
	const int fd = t->fd;

	if (r < 0)
		return r;
	t->ref.size = s->written;
	t->fd = -1;
	return oci_push_queue_add(t->q, fd, &t->ref, err);
}

static void temp_close(struct ovbd_sink *s)
{
	struct temp_sink *t = temp_of(s);

	if (t->fd >= 0)
		close(t->fd);
	free(t->dir);
	free(t);
}

static const struct ovbd_sink_ops temp_ops = {
	.name = "oci temporary",
	.append = temp_append,
	.patch = temp_patch,
	.finish = temp_finish,
	.close = temp_close,
};

int oci_temp_create(const char *dir, struct oci_push_queue *q, struct ovbd_sink **ret,
                    struct ovbd_error *err)
{
	struct temp_sink *t = calloc(1, sizeof(*t));
	AUTO_SINK *s = NULL;

	if (!t)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s = &t->sink;
	s->ops = &temp_ops;
	t->fd = -1;
	t->q = q;
	t->dir = strdup(dir);
	if (!t->dir)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->fd = oci_temp_open(dir, err);
	if (t->fd < 0)
		return t->fd;
	*ret = OVBD_MOVE(s);
	return 0;
}

void oci_temp_ref(const struct ovbd_sink *s, struct oci_ref *ret)
{
	const struct temp_sink *t =
		(const struct temp_sink *)(const void *)((const char *)s -
	                                                 offsetof(struct temp_sink, sink));

	memcpy(ret->digest, t->ref.digest, sizeof(ret->digest));
	ret->size = t->ref.size;
}
