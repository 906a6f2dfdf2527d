// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "oci/impl.h"

#define CHUNK (1u << 20)

int oci_md_open(const char *digest, EVP_MD_CTX **ret, struct ovbd_error *err)
{
	AUTO_MD *md = EVP_MD_CTX_new();
	const EVP_MD *kind = NULL;

	if (strncmp(digest, "sha256:", 7) == 0)
		kind = EVP_sha256();
	else if (strncmp(digest, "sha512:", 7) == 0)
		kind = EVP_sha512();
	if (!kind)
		return ovbd_fail(err, -ENOTSUP, "%.40s: neither sha256 nor sha512", digest);
	if (!md || EVP_DigestInit_ex(md, kind, NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	*ret = OVBD_MOVE(md);
	return 0;
}

int oci_md_update(EVP_MD_CTX *md, const void *buf, size_t len, struct ovbd_error *err)
{
	return EVP_DigestUpdate(md, buf, len) == 1
	               ? 0
	               : ovbd_fail(err, -ENOMEM, "out of memory for a digest");
}

void oci_md_text(EVP_MD_CTX *md, char ret[OVBD_OCI_DIGEST_SIZE])
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int at;

	if (EVP_DigestFinal_ex(md, raw, &n) != 1)
		n = 0;
	at = sprintf(ret, n == 64 ? "sha512:" : "sha256:");
	for (unsigned i = 0; i < n; i++)
		at += snprintf(ret + at, 3, "%02x", raw[i]);
}

int oci_digest_of(const void *buf, size_t len, char ret[OVBD_OCI_DIGEST_SIZE],
                  struct ovbd_error *err)
{
	AUTO_MD *md = NULL;
	int r = oci_md_open("sha256:", &md, err);

	if (r == 0)
		r = oci_md_update(md, buf, len, err);
	if (r == 0)
		oci_md_text(md, ret);
	return r;
}

int oci_digest_of_fd(int fd, uint64_t off, uint64_t len, const char *what,
                     char ret[OVBD_OCI_DIGEST_SIZE], struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	AUTO_MD *md = NULL;
	int r = oci_md_open("sha256:", &md, err);

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (r == 0 && len > 0) {
		const size_t want = (size_t)ovbd_min(CHUNK, len);
		const ssize_t n = ovbd_fd_pread(fd, buf, want, off);

		if (n < (ssize_t)want)
			return ovbd_fail_errno(err, n < 0 ? (int)n : -EIO, "%s: reading", what);
		r = oci_md_update(md, buf, want, err);
		off += want;
		len -= want;
	}
	if (r == 0)
		oci_md_text(md, ret);
	return r;
}

/* ---- a file of a layout ---- */

struct file_reader {
	struct oci_reader reader;
	int fd;
	char digest[OVBD_OCI_DIGEST_SIZE];
};

static ssize_t file_read(struct oci_reader *r, void *buf, size_t len, struct ovbd_error *err)
{
	const struct file_reader *f = OVBD_CONTAINER_OF(r, struct file_reader, reader);
	ssize_t n;

	do
		n = read(f->fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? ovbd_fail_errno(err, -errno, "%s: reading", f->digest) : n;
}

static void file_close(struct oci_reader *r)
{
	struct file_reader *f = OVBD_CONTAINER_OF(r, struct file_reader, reader);

	close(f->fd);
	free(f);
}

static const struct oci_reader_ops file_ops = {.read = file_read, .close = file_close};

static int check_file(int fd, const char *path, const struct oci_ref *ref, struct ovbd_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return ovbd_fail(err, -EBADMSG, "%s: is no regular file", path);
	if ((uint64_t)st.st_size != ref->size)
		return ovbd_fail(err, -EBADMSG, "%s: has %lld bytes, not %" PRIu64, path,
		                 (long long)st.st_size, ref->size);
	return 0;
}

int oci_reader_open(const struct oci_layout *l, const struct oci_ref *ref, struct oci_reader **ret,
                    struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	const int r = oci_blob_path(l, ref->digest, &path, err);

	return r < 0 ? r : oci_reader_open_file(path, ref, ret, err);
}

int oci_reader_open_file(const char *path, const struct oci_ref *ref, struct oci_reader **ret,
                         struct ovbd_error *err)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct file_reader *f;
	int r;

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	r = check_file(fd, path, ref, err);
	if (r < 0)
		return r;
	f = malloc(sizeof(*f));
	if (!f)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*f = (struct file_reader){.reader.ops = &file_ops, .fd = fd};
	fd = -1;
	memcpy(f->digest, ref->digest, sizeof(f->digest));
	*ret = &f->reader;
	return 0;
}

/* ---- verified ---- */

int oci_stream_start(struct oci_reader *take_in, const struct oci_ref *ref, struct oci_stream *ret,
                     struct ovbd_error *err)
{
	EVP_MD_CTX *md = NULL;
	const int r = oci_md_open(ref->digest, &md, err);

	if (r < 0) {
		take_in->ops->close(take_in);
		return r;
	}
	*ret = (struct oci_stream){.in = take_in, .ref = ref, .md = md};
	return 0;
}

int oci_stream_open(const struct oci_layout *l, const struct oci_ref *ref, struct oci_stream *ret,
                    struct ovbd_error *err)
{
	AUTO_MD *md = NULL;
	struct oci_reader *in = NULL;
	int r = oci_md_open(ref->digest, &md, err); /* no other algorithm has a place there */

	if (r == 0)
		r = oci_reader_open(l, ref, &in, err);
	return r < 0 ? r : oci_stream_start(in, ref, ret, err);
}

ssize_t oci_stream_read(struct oci_stream *s, void *buf, size_t len, struct ovbd_error *err)
{
	const ssize_t n = s->in->ops->read(s->in, buf, len, err);

	if (n < 0)
		return n;
	s->done += (uint64_t)n;
	return oci_md_update(s->md, buf, (size_t)n, err) < 0 ? -ENOMEM : n;
}

int oci_stream_verify(struct oci_stream *s, ovbd_progress_fn progress, void *arg,
                      struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	char has[OVBD_OCI_DIGEST_SIZE];
	ssize_t n = 1;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (n > 0) {
		n = oci_stream_read(s, buf, CHUNK, err);
		if (progress && progress(arg, s->done, s->ref->size) != 0)
			return ovbd_fail(err, -ECANCELED, "interrupted");
	}
	if (n < 0)
		return (int)n;
	oci_md_text(s->md, has);
	if (s->done != s->ref->size)
		return ovbd_fail(err, -EBADMSG, "%s: has %" PRIu64 " bytes, not %" PRIu64,
		                 s->ref->digest, s->done, s->ref->size);
	if (strcmp(has, s->ref->digest) != 0)
		return ovbd_fail(err, -EBADMSG, "%s: is damaged: its digest is %s", s->ref->digest,
		                 has);
	return 0;
}

void oci_stream_close(struct oci_stream *s)
{
	if (s->in)
		s->in->ops->close(s->in);
	EVP_MD_CTX_free(s->md);
	*s = (struct oci_stream){0};
}

int oci_blob_verify(const struct oci_layout *l, const struct oci_ref *ref,
                    ovbd_progress_fn progress, void *arg, struct ovbd_error *err)
{
	OVBD_AUTO(oci_stream_close) struct oci_stream s = {0};
	const int r = oci_stream_open(l, ref, &s, err);

	return r < 0 ? r : oci_stream_verify(&s, progress, arg, err);
}
