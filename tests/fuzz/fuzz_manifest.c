// SPDX-License-Identifier: Apache-2.0
/* A manifest; and the same bytes as a name. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/auto.h"
#include "image/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ovbd_platform here = {.os = "linux", .arch = "amd64"};
	AUTO_FREE char *text = strndup((const char *)data, size);
	const struct ovbd_descriptor *d;
	struct ovbd_registry_name n;
	struct ovbd_manifest m;
	struct ovbd_error err;

	if (text)
		ovbd_registry_name_parse(text, &n, &err);
	if (ovbd_manifest_parse((const char *)data, size, "fuzz", &m, &err) < 0)
		return 0;
	ovbd_manifest_choose(&m, &here, "fuzz", &d, &err);
	ovbd_manifest_free(&m);
	return 0;
}
