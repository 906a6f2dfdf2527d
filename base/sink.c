// SPDX-License-Identifier: Apache-2.0
/* The one place through which every append passes, with the defaults for what is optional. */
#include "base/sink.h"

#include <assert.h>
#include <errno.h>

#include "base/bytes.h"

int ovbd_sink_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	int r;

	if (len == 0)
		return 0;
	r = s->ops->append(s, buf, len, err);
	assert(r <= 0);
	if (r == 0)
		s->written += len;
	return r;
}

int ovbd_sink_append_zeros(struct ovbd_sink *s, uint64_t len, struct ovbd_error *err)
{
	static const uint8_t zeros[65536];
	int r = 0;

	if (s->ops->append_zeros && len > 0) {
		r = s->ops->append_zeros(s, len, err);
		assert(r <= 0);
		if (r == 0)
			s->written += len;
		return r;
	}
	while (r == 0 && len > 0) {
		const size_t n = (size_t)ovbd_min(len, sizeof(zeros));

		r = ovbd_sink_append(s, zeros, n, err);
		len -= n;
	}
	return r;
}

bool ovbd_sink_can_patch(const struct ovbd_sink *s)
{
	return s->ops->patch != NULL;
}

int ovbd_sink_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	assert(ovbd_within(off, len, s->written));
	if (!s->ops->patch)
		return ovbd_fail(err, -ENOTSUP, "a %s cannot be written to twice", s->ops->name);
	return s->ops->patch(s, buf, len, off, err);
}

int ovbd_sink_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	const int r = s->ops->finish(s, err);

	assert(r <= 0);
	return r;
}

void ovbd_sink_close(struct ovbd_sink *take_s)
{
	if (take_s)
		take_s->ops->close(take_s);
}
