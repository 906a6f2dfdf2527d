// SPDX-License-Identifier: Apache-2.0
#include "image/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

#include "base/bytes.h"

#define CHUNK (1u << 20)

static void md_free(EVP_MD_CTX **md)
{
	EVP_MD_CTX_free(*md);
}

static const EVP_MD *find(const char *digest)
{
	if (strncmp(digest, "sha256:", 7) == 0)
		return EVP_sha256();
	return strncmp(digest, "sha512:", 7) == 0 ? EVP_sha512() : NULL;
}

static int read_into(EVP_MD_CTX *md, struct ovbd_blob *b, ovbd_progress_fn progress, void *arg,
                     struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	uint64_t off = 0;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (off < b->size) {
		const size_t n = (size_t)ovbd_min(CHUNK, b->size - off);
		const int r = ovbd_blob_pread(b, buf, n, off, err);

		if (r < 0)
			return r;
		if (EVP_DigestUpdate(md, buf, n) != 1)
			return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
		off += n;
		if (progress && progress(arg, off, b->size) != 0)
			return ovbd_fail(err, -ECANCELED, "interrupted");
	}
	return 0;
}

int ovbd_digest_check(struct ovbd_blob *b, const char *digest, ovbd_progress_fn progress, void *arg,
                      struct ovbd_error *err)
{
	OVBD_AUTO(md_free) EVP_MD_CTX *md = EVP_MD_CTX_new();
	const EVP_MD *kind = find(digest);
	uint8_t raw[EVP_MAX_MD_SIZE];
	char has[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned n = 0;
	int r;

	if (!kind)
		return ovbd_fail(err, -ENOTSUP, "digest %.40s: neither sha256 nor sha512", digest);
	if (!md || EVP_DigestInit_ex(md, kind, NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	r = read_into(md, b, progress, arg, err);
	if (r < 0)
		return r;
	if (EVP_DigestFinal_ex(md, raw, &n) != 1)
		return ovbd_fail(err, -ENOMEM, "out of memory for a digest");
	for (unsigned i = 0; i < n; i++)
		snprintf(has + 2 * (size_t)i, 3, "%02x", raw[i]);
	if (strcasecmp(has, digest + 7) != 0)
		return ovbd_fail(err, -EBADMSG, "its digest is %.7s%s, not %s", digest, has,
		                 digest);
	return 0;
}
