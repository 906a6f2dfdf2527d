// SPDX-License-Identifier: Apache-2.0
#include "bench/null_sink.h"

#include <stdlib.h>

static int null_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	(void)s;
	(void)buf;
	(void)len;
	(void)err;
	return 0;
}

static int null_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	(void)off;
	return null_append(s, buf, len, err);
}

static int null_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	(void)s;
	(void)err;
	return 0;
}

static void null_close(struct ovbd_sink *s)
{
	free(s);
}

struct ovbd_sink *bench_null_sink(void)
{
	static const struct ovbd_sink_ops ops = {
		.name = "null",
		.append = null_append,
		.patch = null_patch,
		.finish = null_finish,
		.close = null_close,
	};
	struct ovbd_sink *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->ops = &ops;
	return s;
}
