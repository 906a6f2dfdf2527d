// SPDX-License-Identifier: Apache-2.0
/*
 * Members one after the other, into a file without a name. A blob's header, which has its digest,
 * is written when that is known; who reads its bytes meanwhile, as a layer beneath the next, reads
 * them from this file.
 *
 *     [header][content][padding] [header][content][padding] ... zeros
 *
 * Headers have no owner and no time, so that the same image is the same file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "image/tar.h"
#include "lsmt/lsmt.h"
#include "oci/archive.h"
#include "zfile/zfile.h"

#define BLOCK     512u
#define BLOBS     "blobs/sha256/"
#define OCTAL_MAX ((UINT64_C(1) << 33) - 1)

struct put_blob {
	char digest[OVBD_OCI_DIGEST_SIZE];
	uint64_t off, size;
};

struct oci_archive_out {
	char *path, *temp; /* temp: the name that it has now, or NULL */
	int fd;
	uint64_t at; /* the end of what is complete */
	bool writing, failed;
	struct put_blob *blobs;
	size_t nblobs;
};

/* ---- bytes ---- */

static int write_at(struct oci_archive_out *o, const void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	const int r = ovbd_fd_pwrite(o->fd, buf, len, off);

	return r < 0 ? ovbd_fail_errno(err, r, "%s: write", o->path) : 0;
}

/* width octal digits, and a NUL; GNU's base 256 where they are not enough. */
static void put_number(uint8_t *to, int width, uint64_t v)
{
	char text[24];

	if (v > OCTAL_MAX) {
		to[0] = 0x80;
		for (int i = width; i > 0; i--, v >>= 8)
			to[i] = (uint8_t)v;
		return;
	}
	snprintf(text, sizeof(text), "%0*" PRIo64, width, v);
	memcpy(to, text, (size_t)width + 1);
}

/* POSIX.1-1988; name: of at most 100 bytes. */
static void make_header(uint8_t raw[BLOCK], const char *name, uint64_t size)
{
	unsigned sum = 0;

	memset(raw, 0, BLOCK);
	memcpy(raw, name, strlen(name));
	put_number(raw + 100, 7, 0644);
	put_number(raw + 108, 7, 0);
	put_number(raw + 116, 7, 0);
	put_number(raw + 124, 11, size);
	put_number(raw + 136, 11, 0);
	memset(raw + 148, ' ', 8);
	raw[156] = '0';
	memcpy(raw + 257, "ustar\00000", 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += raw[i];
	put_number(raw + 148, 6, sum);
}

static uint64_t padded(uint64_t size)
{
	return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* The header and the padding of size bytes that are there. */
static int complete(struct oci_archive_out *o, const char *name, uint64_t size,
                    struct ovbd_error *err)
{
	static const uint8_t zeros[BLOCK];
	uint8_t raw[BLOCK];
	int r;

	make_header(raw, name, size);
	r = write_at(o, raw, BLOCK, o->at, err);
	if (r == 0)
		r = write_at(o, zeros, padded(size) - size, o->at + BLOCK + size, err);
	if (r == 0)
		o->at += BLOCK + padded(size);
	return r;
}

/* ---- the archive ---- */

/* *ret_name: NULL, or the name of a file that has one, for file systems without O_TMPFILE. */
static int open_temp(struct oci_archive_out *o, struct ovbd_error *err)
{
	const char *slash = strrchr(o->path, '/');
	AUTO_FREE char *dir = slash ? strndup(o->path, (size_t)(slash - o->path) + 1) : strdup(".");
	uint32_t random[2];

	if (!dir)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return ovbd_fail_errno(err, -errno, "a random name");
	if (asprintf(&o->temp, "%s.%08x%08x", o->path, random[0], random[1]) < 0) {
		o->temp = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	o->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (o->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return ovbd_fail_errno(err, -errno, "%s: cannot create a file in %s", o->path, dir);
	o->fd = open(o->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	return o->fd >= 0 ? 0 : ovbd_fail_errno(err, -errno, "%s: cannot be created", o->path);
}

int oci_archive_create(const char *path, struct oci_archive_out **ret, struct ovbd_error *err)
{
	struct oci_archive_out *o = calloc(1, sizeof(*o));
	struct stat st;
	int r;

	if (!o)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	o->fd = -1;
	o->path = strdup(path);
	if (!o->path)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		r = ovbd_fail(err, -EINVAL, "%s: is no regular file", path);
	else
		r = open_temp(o, err);
	if (r < 0)
		oci_archive_out_close(o);
	else
		*ret = o;
	return r;
}

void oci_archive_out_close(struct oci_archive_out *take_o)
{
	if (!take_o)
		return;
	if (take_o->temp)
		unlink(take_o->temp); /* if it has that name */
	if (take_o->fd >= 0)
		close(take_o->fd);
	free(take_o->path);
	free(take_o->temp);
	free(take_o->blobs);
	free(take_o);
}

int oci_archive_put(struct oci_archive_out *o, const char *name, const void *buf, size_t len,
                    struct ovbd_error *err)
{
	int r = write_at(o, buf, len, o->at + BLOCK, err);

	return r < 0 ? r : complete(o, name, len, err);
}

/* Gives the file its name. */
static int publish(struct oci_archive_out *o, struct ovbd_error *err)
{
	struct stat st;
	char proc[64];

	if (fstat(o->fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", o->path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", o->fd);
	if (st.st_nlink == 0 && linkat(AT_FDCWD, proc, AT_FDCWD, o->temp, AT_SYMLINK_FOLLOW) < 0)
		return ovbd_fail_errno(err, -errno, "%s: cannot be given its name", o->path);
	if (rename(o->temp, o->path) < 0)
		return ovbd_fail_errno(err, -errno, "%s", o->path);
	free(OVBD_MOVE(o->temp));
	return 0;
}

int oci_archive_finish(struct oci_archive_out *o, struct ovbd_error *err)
{
	static const uint8_t zeros[2 * BLOCK];
	int r = write_at(o, zeros, sizeof(zeros), o->at, err);

	/* a blob that failed may have left bytes behind */
	if (r == 0 && ftruncate(o->fd, (off_t)(o->at + sizeof(zeros))) < 0)
		r = ovbd_fail_errno(err, -errno, "%s: truncate", o->path);
	if (r == 0 && fsync(o->fd) < 0)
		r = ovbd_fail_errno(err, -errno, "%s: sync", o->path);
	return r < 0 ? r : publish(o, err);
}

/* ---- blobs ---- */

struct member_sink {
	struct ovbd_sink sink;
	struct oci_archive_out *o;
	char digest[OVBD_OCI_DIGEST_SIZE];
};

static struct member_sink *member_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct member_sink, sink);
}

static int member_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	struct oci_archive_out *o = member_of(s)->o;

	return write_at(o, buf, len, o->at + BLOCK + s->written, err);
}

static int member_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	struct oci_archive_out *o = member_of(s)->o;

	return write_at(o, buf, len, o->at + BLOCK + off, err);
}

static const struct put_blob *blob_at(const struct oci_archive_out *o, const char *digest)
{
	for (size_t i = 0; i < o->nblobs; i++)
		if (strcmp(o->blobs[i].digest, digest) == 0)
			return &o->blobs[i];
	return NULL;
}

static int member_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	struct member_sink *m = member_of(s);
	struct oci_archive_out *o = m->o;
	const uint64_t off = o->at + BLOCK;
	char name[sizeof(BLOBS) + OVBD_OCI_DIGEST_SIZE];
	struct put_blob *blobs;
	int r = oci_digest_of_fd(o->fd, off, s->written, o->path, m->digest, err);

	if (r < 0 || blob_at(o, m->digest)) /* the next takes its place */
		return r;
	blobs = realloc(o->blobs, (o->nblobs + 1) * sizeof(blobs[0]));
	if (!blobs)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	o->blobs = blobs;
	snprintf(name, sizeof(name), BLOBS "%s", strchr(m->digest, ':') + 1);
	r = complete(o, name, s->written, err);
	if (r < 0)
		return r;
	o->blobs[o->nblobs] = (struct put_blob){.off = off, .size = s->written};
	memcpy(o->blobs[o->nblobs++].digest, m->digest, sizeof(m->digest));
	return 0;
}

static void member_close(struct ovbd_sink *s)
{
	struct member_sink *m = member_of(s);

	m->o->writing = false;
	free(m);
}

static const struct ovbd_sink_ops member_ops = {
	.name = "archive member",
	.append = member_append,
	.patch = member_patch,
	.finish = member_finish,
	.close = member_close,
};

int oci_archive_blob(struct oci_archive_out *o, struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct member_sink *m = calloc(1, sizeof(*m));

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->sink.ops = &member_ops;
	m->o = o;
	o->writing = true;
	*ret = &m->sink;
	return 0;
}

void oci_archive_ref(const struct ovbd_sink *s, struct oci_ref *ret)
{
	const struct member_sink *m =
		(const struct member_sink *)(const void *)((const char *)s -
	                                                   offsetof(struct member_sink, sink));

	memcpy(ret->digest, m->digest, sizeof(ret->digest));
	ret->size = s->written;
}

bool oci_archive_has(const struct oci_archive_out *o, const struct oci_ref *ref)
{
	const struct put_blob *b = blob_at(o, ref->digest);

	return b && b->size == ref->size;
}

/* ---- layers ---- */

/* A blob of the archive, as what is in its wrapping. */
static int open_layer(const struct oci_archive_out *o, const struct put_blob *b,
                      struct ovbd_layer **ret, struct ovbd_error *err)
{
	const int fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
	AUTO_BLOB *x = NULL;
	uint64_t off, len;
	int r;

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", o->path);
	r = ovbd_blob_open_fd(fd, o->path, &x, err);
	if (r == 0)
		r = ovbd_blob_open_slice(OVBD_MOVE(x), b->off, b->size, &x, err);
	if (r == 0)
		r = ovbd_tar_member(x, &off, &len, err);
	if (r == 1)
		r = ovbd_blob_open_slice(OVBD_MOVE(x), off, len, &x, err);
	if (r == 0)
		r = ovbd_zfile_probe(x, err);
	if (r == 1)
		r = ovbd_zfile_open(OVBD_MOVE(x), &x, err);
	return r < 0 ? r : ovbd_layer_open(OVBD_MOVE(x), b->size, ret, err);
}

int oci_archive_stack(struct oci_archive_out *o, const struct oci_ref *layers, size_t n,
                      struct ovbd_image **ret, struct ovbd_error *err)
{
	AUTO_FREE struct ovbd_layer **opened = calloc(n + 1, sizeof(opened[0]));
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = calloc(1, sizeof(*img));
	size_t nopened = 0;
	int r = opened && img ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");

	while (r == 0 && nopened < n) {
		const struct put_blob *b = blob_at(o, layers[nopened].digest);

		r = b ? open_layer(o, b, &opened[nopened], err)
		      : ovbd_fail(err, -ENOENT, "%s: %s is not in it", o->path,
		                  layers[nopened].digest);
		nopened += r == 0;
	}
	if (r < 0) {
		for (size_t i = 0; opened && i < nopened; i++)
			ovbd_layer_close(opened[i]);
		return r;
	}
	r = ovbd_stack_open(opened, n, &img->blob, err);
	if (r == 0)
		*ret = OVBD_MOVE(img);
	return r;
}
