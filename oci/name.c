// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/manifest.h"
#include "oci/impl.h"

#define PREFIX "oci:"

bool ovbd_oci_is_name(const char *text)
{
	return strncmp(text, PREFIX, sizeof(PREFIX) - 1) == 0;
}

/* Cuts the digest off rest, if it ends in one. */
static int take_digest(char *rest, struct ovbd_oci_name *n, struct ovbd_error *err)
{
	char *at = strrchr(rest, '@');

	if (!at || (strncmp(at + 1, "sha256:", 7) != 0 && strncmp(at + 1, "sha512:", 7) != 0))
		return 0;
	if (!ovbd_digest_is_valid(at + 1))
		return ovbd_fail(err, -EINVAL, "%s: %s is no digest", n->text, at + 1);
	*at = '\0';
	n->digest = strdup(at + 1);
	return n->digest ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int parse(char *rest, const char *prefix, struct ovbd_oci_name *n, struct ovbd_error *err)
{
	const int r = take_digest(rest, n, err);
	char *colon = strchr(rest, ':');

	if (r < 0)
		return r;
	if (colon) {
		*colon = '\0';
		if (colon[1] == '\0')
			return ovbd_fail(err, -EINVAL, "%s: the tag is empty", n->text);
		n->tag = strdup(colon + 1);
		if (!n->tag)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (n->tag && n->digest)
		return ovbd_fail(err, -EINVAL, "%s: has both a tag and a digest", n->text);
	if (rest[0] == '\0')
		return ovbd_fail(err, -EINVAL, "%s: is no name of an image: %s%s[:TAG|@DIGEST]",
		                 n->text, prefix, strcmp(prefix, PREFIX) == 0 ? "DIR" : "FILE");
	n->dir = strdup(rest);
	return n->dir ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

int oci_name_parse(const char *text, const char *prefix, struct ovbd_oci_name *ret,
                   struct ovbd_error *err)
{
	AUTO_FREE char *rest = NULL;
	struct ovbd_oci_name n = {.text = strdup(text)};
	int r;

	if (strncmp(text, prefix, strlen(prefix)) != 0) {
		ovbd_oci_name_free(&n);
		return ovbd_fail(err, -EINVAL, "%s: does not begin with %s", text, prefix);
	}
	rest = strdup(text + strlen(prefix));
	r = n.text && rest ? parse(rest, prefix, &n, err)
	                   : ovbd_fail(err, -ENOMEM, "out of memory");
	if (r < 0)
		ovbd_oci_name_free(&n);
	else
		*ret = n;
	return r;
}

int ovbd_oci_name_parse(const char *text, struct ovbd_oci_name *ret, struct ovbd_error *err)
{
	return oci_name_parse(text, PREFIX, ret, err);
}

void ovbd_oci_name_free(struct ovbd_oci_name *n)
{
	free(n->text);
	free(n->dir);
	free(n->tag);
	free(n->digest);
	*n = (struct ovbd_oci_name){0};
}
