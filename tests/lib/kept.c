// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/kept.h"

#include <stdlib.h>

struct kept {
	struct ovbd_sink sink;
	struct ovbd_sink *inner; /* the caller's */
};

static struct ovbd_sink *inner_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct kept, sink)->inner;
}

static int kept_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	return ovbd_sink_append(inner_of(s), buf, len, err);
}

static int kept_append_zeros(struct ovbd_sink *s, uint64_t len, struct ovbd_error *err)
{
	return ovbd_sink_append_zeros(inner_of(s), len, err);
}

static int kept_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	return ovbd_sink_patch(inner_of(s), buf, len, off, err);
}

static int kept_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	return ovbd_sink_finish(inner_of(s), err);
}

static void kept_close(struct ovbd_sink *s)
{
	free(OVBD_CONTAINER_OF(s, struct kept, sink));
}

struct ovbd_sink *test_sink_kept(struct ovbd_sink *s)
{
	static const struct ovbd_sink_ops ops = {
		.name = "kept",
		.append = kept_append,
		.append_zeros = kept_append_zeros,
		.patch = kept_patch,
		.finish = kept_finish,
		.close = kept_close,
	};
	struct kept *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	k->sink.ops = &ops;
	k->inner = s;
	return &k->sink;
}
