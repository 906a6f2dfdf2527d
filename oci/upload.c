// SPDX-License-Identifier: Apache-2.0
#include "oci/upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "oci/push.h"
#include "remote/patience.h"

#define PIECE (1u << 20)
#define HOSTS "/v2/"
#define TAIL  "/blobs/uploads"

/* ---- where it goes ---- */

static bool put(char *to, size_t size, const char *text, size_t len)
{
	if (len == 0 || len >= size)
		return false;
	memcpy(to, text, len);
	to[len] = '\0';
	return true;
}

/* As the distribution specification has the names of repositories, but for how often a separator
 * may stand. */
static bool is_repository(const char *s)
{
	for (; *s; s++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-/", *s))
			return false;
	return true;
}

static bool parse(const char *url, struct ovbd_repository *ret)
{
	const char *at = strstr(url, "://"), *path, *end;

	if (!at)
		return false;
	ret->scheme = strncasecmp(url, "https:", 6) == 0  ? "https"
	              : strncasecmp(url, "http:", 5) == 0 ? "http"
	                                                  : NULL;
	at += 3;
	path = strstr(at, HOSTS);
	end = path ? strstr(path, TAIL) : NULL;
	if (!ret->scheme || !end || strcspn(at, "/@?#") != (size_t)(path - at) ||
	    (strcmp(end, TAIL) != 0 && strcmp(end, TAIL "/") != 0))
		return false;
	path += strlen(HOSTS);
	return end > path &&
	       put(ret->name.host, sizeof(ret->name.host), at,
	           (size_t)(path - at) - strlen(HOSTS)) &&
	       put(ret->name.repository, sizeof(ret->name.repository), path,
	           (size_t)(end - path)) &&
	       is_repository(ret->name.repository);
}

/* ---- what goes there ---- */

static int describe(struct ovbd_blob *b, struct oci_ref *ret, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(PIECE);
	const struct ovbd_patience patience = ovbd_patience();
	AUTO_MD *md = NULL;
	int r = buf ? oci_md_open("sha256:", &md, err)
	            : ovbd_fail(err, -ENOMEM, "out of memory for a digest");

	for (uint64_t off = 0; r == 0 && off < b->size; off += PIECE) {
		const size_t n = (size_t)ovbd_min(PIECE, b->size - off);

		if (patience.stop && atomic_load(patience.stop))
			return ovbd_fail(err, -ECANCELED, "interrupted");
		r = ovbd_blob_pread(b, buf, n, off, err);
		if (r == 0)
			r = oci_md_update(md, buf, n, err);
	}
	if (r < 0)
		return r;
	*ret = (struct oci_ref){.size = b->size};
	oci_md_text(md, ret->digest);
	return 0;
}

int ovbd_oci_upload(const struct ovbd_oci_upload *u, char ret_digest[OVBD_OCI_DIGEST_SIZE],
                    struct ovbd_error *err)
{
	const struct oci_push_params params = {.chunk_size = u->chunk_size};
	struct ovbd_repository repo = {.g = u->registry};
	struct oci_pusher *pusher;
	AUTO_BLOB *b = NULL;
	struct oci_ref ref;
	int r;

	if (!parse(u->url, &repo))
		return ovbd_fail(err, -EINVAL,
		                 "an upload goes to http[s]://HOST/v2/REPOSITORY/blobs/uploads/, "
		                 "not to %.200s",
		                 u->url);
	r = ovbd_blob_open_file(u->path, &b, err);
	if (r == 0)
		r = describe(b, &ref, err);
	if (r == 0)
		r = oci_pusher_open(&repo, &params, &pusher, err);
	if (r < 0)
		return r;
	r = oci_push_blob(pusher, b, &ref, err);
	oci_pusher_close(pusher);
	if (r == 0)
		snprintf(ret_digest, OVBD_OCI_DIGEST_SIZE, "%s", ref.digest);
	return r < 0 ? ovbd_fail_named(err, r, u->path) : 0;
}
