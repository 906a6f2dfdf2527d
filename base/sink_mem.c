// SPDX-License-Identifier: Apache-2.0
#include "base/sink.h"

#include <assert.h>
#include <errno.h>

struct mem_sink {
	struct ovbd_sink sink;
	uint8_t *buf;
	size_t len, cap;
};

static struct mem_sink *mem_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct mem_sink, sink);
}

static int mem_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	struct mem_sink *m = mem_of(s);

	if (len > m->cap - m->len) {
		const size_t cap = (m->len + len) * 2;
		uint8_t *bigger = cap > len ? realloc(m->buf, cap) : NULL;

		if (!bigger)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		m->buf = bigger;
		m->cap = cap;
	}
	memcpy(m->buf + m->len, buf, len);
	m->len += len;
	return 0;
}

static int mem_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	(void)err;
	memcpy(mem_of(s)->buf + off, buf, len);
	return 0;
}

static int mem_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	(void)s;
	(void)err;
	return 0;
}

static void mem_close(struct ovbd_sink *s)
{
	struct mem_sink *m = mem_of(s);

	free(m->buf);
	free(m);
}

static const struct ovbd_sink_ops mem_ops = {
	.name = "memory buffer",
	.append = mem_append,
	.patch = mem_patch,
	.finish = mem_finish,
	.close = mem_close,
};

int ovbd_sink_create_mem(struct ovbd_sink **ret, struct ovbd_error *err)
{
	struct mem_sink *m = calloc(1, sizeof(*m));

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->sink.ops = &mem_ops;
	*ret = &m->sink;
	return 0;
}

uint8_t *ovbd_sink_mem_take(struct ovbd_sink *s, size_t *ret_len)
{
	struct mem_sink *m = mem_of(s);

	assert(s->ops == &mem_ops);
	*ret_len = m->len;
	m->len = m->cap = 0;
	return OVBD_MOVE(m->buf);
}
