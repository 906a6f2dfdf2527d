// SPDX-License-Identifier: Apache-2.0
/* A layer of any bytes: what opens can be read from begin to end, and checked. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/lsmt.h"

/* Visits all segments. Where they end has nothing to do with how large the file is. */
static void walk(const struct ovbd_layer *l, uint64_t blob_size)
{
	const struct ovbd_index *ix = ovbd_layer_index(l);
	const uint64_t end = UINT64_C(1) << 59;
	uint64_t data = 0, refs = 0;

	for (uint64_t off = 0; off < end;) {
		const struct ovbd_segment s = ovbd_index_at(ix, off, end - off);

		if (s.off != off || s.len == 0 || s.len > end - off)
			abort();
		if (ovbd_segment_is_below(&s)) {
			if (!ovbd_within(s.src, s.len, ovbd_layer_info(l)->ref_end))
				abort();
			refs += s.len;
		} else if (s.kind == OVBD_RUN_DATA) {
			if (!ovbd_within(s.src, s.len, blob_size))
				abort();
			data += s.len;
		}
		off += s.len;
	}
	if (data != ovbd_layer_info(l)->data_size || refs != ovbd_layer_info(l)->ref_size)
		abort();
}

/* The layer on itself, over a base: what its references lead to can be read, or is refused. */
static void stack_twice(const uint8_t *data, size_t size)
{
	static const uint8_t bytes[8192];
	struct ovbd_layer *layers[2];
	struct ovbd_blob *b, *base, *stack;
	uint8_t buf[4096];

	for (size_t i = 0; i < 2; i++)
		if (ovbd_blob_open_mem(data, size, &b, NULL) < 0 ||
		    ovbd_layer_open(b, size, &layers[i], NULL) < 0)
			abort();
	if (ovbd_blob_open_mem(bytes, sizeof(bytes), &base, NULL) < 0)
		abort();
	if (ovbd_stack_open_over(base, layers, 2, &stack, NULL) < 0)
		return;
	for (uint64_t off = 0; off < ovbd_min(stack->size, 1u << 20); off += sizeof(buf)) {
		struct ovbd_run run;
		const size_t n = (size_t)ovbd_min(sizeof(buf), stack->size - off);

		if (ovbd_blob_pread(stack, buf, n, off, NULL) < 0 ||
		    ovbd_blob_run_at(stack, off, n, &run, NULL) < 0)
			abort();
	}
	ovbd_blob_close(stack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	struct ovbd_blob *b;
	struct ovbd_error err;

	if (ovbd_blob_open_mem(data, size, &b, NULL) < 0)
		return 0;
	if (ovbd_layer_probe(b, NULL) < 0)
		abort();
	if (ovbd_layer_open(b, size, &l, &err) < 0)
		return 0;
	walk(l, size);
	ovbd_layer_check(l, NULL, NULL, &err);
	stack_twice(data, size);
	return 0;
}
