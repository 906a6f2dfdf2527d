// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "oci/push.h"

bool oci_push_range(const char *text, uint64_t *ret)
{
	uint64_t last = 0;
	const char *c = text;

	if (strncmp(c, "bytes", 5) == 0) {
		c += 5;
		c += strspn(c, "= ");
	}
	if (strncmp(c, "0-", 2) != 0)
		return false;
	for (c += 2; *c >= '0' && *c <= '9'; c++)
		if (!ovbd_mul(last, 10, &last) || !ovbd_add(last, (uint64_t)(*c - '0'), &last))
			return false;
	if (*c != '\0' || c[-1] == '-' || last == UINT64_MAX)
		return false;
	*ret = last == 0 ? 0 : last + 1;
	return true;
}

char *oci_push_with_digest(const char *url, const char *digest)
{
	const size_t len = strcspn(url, "#");
	const char *query = memchr(url, '?', len);
	char *whole;

	/* the colon may stand in a query as it is */
	return asprintf(&whole, "%.*s%sdigest=%s", (int)len, url,
	                !query                            ? "?"
	                : query[1] && url[len - 1] != '&' ? "&"
	                                                  : "",
	                digest) < 0
	               ? NULL
	               : whole;
}
