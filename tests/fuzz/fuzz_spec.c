// SPDX-License-Identifier: Apache-2.0
/* What a client of the API, or a state file, asks for; what is read is written, and read again. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "daemon/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct ovbd_spec *s = NULL, *again = NULL;
	struct ovbd_error err;

	if (object && ovbd_spec_decode(object, &s, &err) == 0 && s->id) {
		json_t *written = ovbd_spec_encode(s);

		if (!written || ovbd_spec_decode(written, &again, &err) < 0 ||
		    again->leaving != s->leaving || !ovbd_spec_fits(again, s))
			abort();
		json_decref(written);
	}
	ovbd_spec_free(s);
	ovbd_spec_free(again);
	json_decref(object);
	return 0;
}
