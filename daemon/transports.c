// SPDX-License-Identifier: Apache-2.0
#include "daemon/transports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Best first. What a build does not have, CMake leaves out. */
static const struct ovbd_transport_kind *const kinds[] = {
#ifdef OVBD_HAVE_FUSE
	&ovbd_transport_kind_fuse,
#endif
	&ovbd_transport_kind_nbd,
	NULL,
};

const struct ovbd_transport_kind *ovbd_transport_kind_at(unsigned i)
{
	return kinds[i];
}

static int find_auto(bool writable, const struct ovbd_transport_kind **ret, struct ovbd_error *err)
{
	struct ovbd_error why = {"this build has none"};
	int r = -ENOTSUP;

	for (unsigned i = 0; kinds[i]; i++) {
		if (writable && !kinds[i]->writable) {
			r = ovbd_fail(&why, -ENOTSUP, "%s is read-only", kinds[i]->name);
			continue;
		}
		r = kinds[i]->available(&why);
		if (r == 0) {
			*ret = kinds[i];
			return 0;
		}
	}
	return ovbd_fail(err, r, "no transport can be used on this host: %s", why.msg);
}

int ovbd_transport_kind_find(const char *name, bool writable,
                             const struct ovbd_transport_kind **ret, struct ovbd_error *err)
{
	char known[128] = "auto";

	if (strcmp(name, "auto") == 0)
		return find_auto(writable, ret, err);
	for (unsigned i = 0; kinds[i]; i++) {
		const size_t at = strlen(known);

		if (strcmp(kinds[i]->name, name) == 0) {
			if (writable && !kinds[i]->writable)
				return ovbd_fail(err, -ENOTSUP,
				                 "transport %s is read-only: it takes no writes",
				                 name);
			*ret = kinds[i];
			return 0;
		}
		snprintf(known + at, sizeof(known) - at, ", %s", kinds[i]->name);
	}
	return ovbd_fail(err, -EINVAL, "unknown transport '%s': there are %s", name, known);
}
