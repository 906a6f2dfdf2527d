// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/bytes.h"
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

int oci_stream_open(const struct oci_layout *l, const struct oci_ref *ref, struct oci_stream *ret,
                    struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_MD *md = NULL;
	struct stat st;
	int fd, r = oci_md_open(ref->digest, &md, err);

	if (r == 0)
		r = oci_blob_path(l, ref->digest, &path, err);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r < 0)
		ovbd_fail_errno(err, r, "%s", path);
	else if (!S_ISREG(st.st_mode))
		r = ovbd_fail(err, -EBADMSG, "%s: is no regular file", path);
	else if ((uint64_t)st.st_size != ref->size)
		r = ovbd_fail(err, -EBADMSG, "%s: has %lld bytes, not %" PRIu64, path,
		              (long long)st.st_size, ref->size);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret = (struct oci_stream){.fd = fd, .ref = ref, .md = OVBD_MOVE(md)};
	return 0;
}

ssize_t oci_stream_read(struct oci_stream *s, void *buf, size_t len, struct ovbd_error *err)
{
	ssize_t n;

	do
		n = read(s->fd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return ovbd_fail_errno(err, -errno, "%s: reading", s->ref->digest);
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
	if (s->ref)
		close(s->fd);
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
