// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "image/paths.h"

/* Paths come from the text, in its order, and have something, but no newline, in them; they are
 * over when the text is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *copy = malloc(size ? size : 1); /* its end is noticed */
	const char *text = copy, *before = copy;
	struct ovbd_paths_entry e;
	size_t left = size;

	if (!copy)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	ovbd_paths_is_list(copy, size);
	while (ovbd_paths_next(&text, &left, &e)) {
		if (e.path < before || e.len == 0 || e.path + e.len > text ||
		    memchr(e.path, '\n', e.len))
			abort();
		before = text;
	}
	if (left != 0 || text != copy + size)
		abort();
	return 0;
}
