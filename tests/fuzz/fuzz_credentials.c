// SPDX-License-Identifier: Apache-2.0
/* A file of credentials, without its programs; and the same bytes as a program's answer. */
#include "tests/fuzz/fuzz.h"

#include "image/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char url[] = "https://r/v2/a/b/blobs/sha256:00";
	struct ovbd_http_login l = {0};
	struct ovbd_error err;
	json_t *root = json_loadb((const char *)data, size, 0, NULL);

	if (root)
		ovbd_credentials_find(root, false, "fuzz", url, &l, &err);
	ovbd_credentials_wipe(&l);
	json_decref(root);
	ovbd_credentials_answer((const char *)data, size, "fuzz", &l, &err);
	ovbd_credentials_wipe(&l);
	return 0;
}
