// SPDX-License-Identifier: Apache-2.0
/*
 * The first three layouts of 1.0: the data, then an array of operations, whose place the header
 * names. The very first has digests, SHA-256 of the header and of the operations.
 */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void md_free(EVP_MD_CTX **md)
{
	EVP_MD_CTX_free(*md);
}

static int check_digest(const char *what, EVP_MD_CTX *md, const uint8_t *wanted,
                        struct ovbd_error *err)
{
	uint8_t has[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(md, has, NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "cow: SHA-256 is not to be had");
	if (memcmp(has, wanted, COW_SHA_SIZE) != 0)
		return ovbd_fail(err, -EBADMSG, "cow: the digest of %s is wrong", what);
	return 0;
}

/* Updates md with len bytes of the file at off. */
static int digest(struct ovbd_cow *c, EVP_MD_CTX *md, uint64_t off, uint64_t len,
                  struct ovbd_error *err)
{
	uint8_t buf[COW_OP_SIZE * 200];

	while (len > 0) {
		const size_t n = len < sizeof(buf) ? (size_t)len : sizeof(buf);
		const int r = ovbd_blob_pread(c->blob, buf, n, off, err);

		if (r < 0)
			return r;
		if (EVP_DigestUpdate(md, buf, n) != 1)
			return ovbd_fail(err, -ENOMEM, "cow: SHA-256 is not to be had");
		off += n;
		len -= n;
	}
	return 0;
}

static int check_digests(struct ovbd_cow *c, struct ovbd_error *err)
{
	OVBD_AUTO(md_free) EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t raw[COW_HEADER_MAX];
	int r;

	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "cow: SHA-256 is not to be had");
	r = ovbd_blob_pread(c->blob, raw, c->h.header_size, 0, err);
	if (r < 0)
		return r;
	cow_header_blank_sha(raw);
	if (EVP_DigestUpdate(md, raw, c->h.header_size) != 1)
		return ovbd_fail(err, -ENOMEM, "cow: SHA-256 is not to be had");
	r = check_digest("its header", md, c->h.header_sha, err);
	if (r < 0)
		return r;
	if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		return ovbd_fail(err, -ENOMEM, "cow: SHA-256 is not to be had");
	r = digest(c, md, c->h.ops_off, c->h.ops_size, err);
	return r < 0 ? r : check_digest("its operations", md, c->h.ops_sha, err);
}

int cow_parse1(struct ovbd_cow *c, struct ovbd_error *err)
{
	AUTO_FREE struct cow_window *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->blob = c->blob;
	if (c->h.layout == 'A')
		r = check_digests(c, err);
	if (r == 0)
		r = cow_list_reserve(c, c->h.num_ops, err);
	for (uint64_t i = 0; r == 0 && i < c->h.num_ops; i++) {
		const uint8_t *raw;
		struct cow_slot s;

		r = cow_window_get(w, c->h.ops_off + i * COW_OP_SIZE, COW_OP_SIZE, &raw, err);
		if (r < 0)
			return r;
		s = cow_slot_decode(raw);
		/* here, and only here, an operation tells where its data are */
		if (s.type == OVBD_COW_REPLACE &&
		    (s.source < c->h.header_size || s.source > c->h.ops_off ||
		     s.data_len > c->h.ops_off - s.source))
			return ovbd_fail(err, -EBADMSG,
			                 "cow: operation %" PRIu64 ": %" PRIu32
			                 " bytes of data at %" PRIu64 " are not between %" PRIu32
			                 " and %" PRIu64,
			                 i, s.data_len, s.source, c->h.header_size, c->h.ops_off);
		r = cow_list_add(c, &s, i, s.source, err);
	}
	return r;
}
