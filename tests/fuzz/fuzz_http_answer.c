// SPDX-License-Identifier: Apache-2.0
/* Header lines of a server: at open, and at a read of an object that is known. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "remote/http_impl.h"

static void take_lines(struct http_answer *a, const uint8_t *data, size_t size)
{
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		const size_t len = end ? (size_t)(end - data) + 1 : size;

		http_answer_line(a, (const char *)data, len);
		data += len;
		size -= len;
	}
}

static void judge(const struct http_answer *a, const struct http_want *w)
{
	struct http_verdict v;

	if (http_judge(a, w, &v) == 0) {
		const uint64_t want = w->off < v.size ? ovbd_min(w->len, v.size - w->off) : 0;

		if (v.len != want || (w->pin && (v.size != w->pin->size || v.len != w->len)))
			abort();
	} else if (v.code > 0 || v.text[0] == '\0') {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http_pin pin = {
		.size = 10000,
		.etag = "W/\"a\"",
		.last_modified = "Mon, 01 Jan 2024 00:00:00 GMT",
	};
	const struct http_want open = {.off = 0, .len = 4096};
	const struct http_want read = {.off = 8000, .len = 1000, .pin = &pin};
	struct http_answer a = {0};

	take_lines(&a, data, size);
	judge(&a, &open);
	judge(&a, &read);
	if (http_retry_after_ms(a.field[HTTP_RETRY_AFTER], 1700000000) > 86400000)
		abort();
	return 0;
}
