// SPDX-License-Identifier: Apache-2.0
#include "image/trace.h"

#include <errno.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/sink.h"
#include "image/seen.h"
#include "image/trace_format.h"

static int full(struct ovbd_error *err)
{
	return ovbd_fail(err, -E2BIG, "trace: more than %u records", OVBD_TRACE_RECORDS_MAX);
}

int ovbd_trace_add(struct ovbd_trace *t, const struct ovbd_trace_record *r, struct ovbd_error *err)
{
	struct ovbd_trace_record *last = t->n > 0 ? &t->records[t->n - 1] : NULL;

	if (last && last->layer == r->layer && last->off + last->len == r->off) {
		last->len += r->len;
		return 0;
	}
	if (t->n == OVBD_TRACE_RECORDS_MAX)
		return full(err);
	if (t->n == t->room) {
		const size_t room = t->room ? t->room * 2 : 64;
		struct ovbd_trace_record *more = realloc(t->records, room * sizeof(*more));

		if (!more)
			return ovbd_fail(err, -ENOMEM, "trace: out of memory");
		t->records = more;
		t->room = room;
	}
	t->records[t->n++] = *r;
	return 0;
}

uint64_t ovbd_trace_size(const struct ovbd_trace *t)
{
	uint64_t size = 0;

	for (size_t i = 0; i < t->n; i++)
		size += t->records[i].len;
	return size;
}

void ovbd_trace_free(struct ovbd_trace *t)
{
	free(t->records);
	*t = (struct ovbd_trace){0};
}

int ovbd_trace_add_new(struct ovbd_trace *t, struct seen *s, const struct ovbd_trace_record *r,
                       struct ovbd_error *err)
{
	const uint64_t end = r->off + r->len;

	for (uint64_t off = ovbd_align_down(r->off, SEEN_PAGE); off < end;) {
		struct ovbd_trace_record part = {.layer = r->layer, .off = off};
		int got = ovbd_seen_mark(s, r->layer, &off, end);

		part.len = off - part.off;
		if (got == 1)
			got = ovbd_trace_add(t, &part, err);
		else if (got < 0)
			ovbd_fail(err, got, "trace: out of memory");
		if (got < 0)
			return got;
	}
	return 0;
}

static int add_all(struct ovbd_trace *to, struct seen *s, const struct ovbd_trace *t,
                   struct ovbd_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++)
		r = ovbd_trace_add_new(to, s, &t->records[i], err);
	return r;
}

int ovbd_trace_merge(struct ovbd_trace *t, const struct ovbd_trace *from, struct ovbd_error *err)
{
	struct seen *s = calloc(1, sizeof(*s));
	AUTO_TRACE all = {0};
	int r;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "trace: out of memory");
	r = add_all(&all, s, t, err);
	if (r == 0)
		r = add_all(&all, s, from, err);
	ovbd_seen_free(s);
	free(s);
	if (r < 0)
		return r;
	ovbd_trace_free(t);
	*t = all;
	all = (struct ovbd_trace){0};
	return 0;
}

int ovbd_trace_decode(struct ovbd_trace *t, const uint8_t *raw, size_t len, struct ovbd_error *err)
{
	AUTO_TRACE made = {0};
	uint32_t crc, right;
	uint64_t size;
	int r;

	if (len < TRACE_HEADER_SIZE)
		return ovbd_fail(err, -EBADMSG, "trace: %zu bytes are too few for its header", len);
	r = ovbd_trace_header_decode(raw, len, &size, &right, err);
	if (r < 0)
		return r;
	crc = ovbd_crc32c(0, raw + TRACE_HEADER_SIZE, (size_t)size);
	if (crc != right)
		return ovbd_fail(err, -EBADMSG, "trace: checksum 0x%08x is not 0x%08x", crc, right);
	for (uint64_t i = 0; i < size / TRACE_RECORD_SIZE; i++) {
		struct ovbd_trace_record record;

		r = ovbd_trace_record_decode(raw + TRACE_HEADER_SIZE + i * TRACE_RECORD_SIZE, i,
		                             &record, err);
		if (r == 0)
			r = ovbd_trace_add(&made, &record, err);
		if (r < 0)
			return r;
	}
	*t = made;
	made = (struct ovbd_trace){0};
	return 0;
}

int ovbd_trace_encode(const struct ovbd_trace *t, uint8_t **ret, size_t *ret_len,
                      struct ovbd_error *err)
{
	AUTO_FREE uint8_t *raw = NULL;
	uint8_t *at;
	uint64_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += (t->records[i].len + TRACE_COUNT_MAX - 1) / TRACE_COUNT_MAX;
	if (n > OVBD_TRACE_RECORDS_MAX)
		return full(err);
	raw = malloc(TRACE_HEADER_SIZE + (size_t)n * TRACE_RECORD_SIZE);
	if (!raw)
		return ovbd_fail(err, -ENOMEM, "trace: out of memory");
	at = raw + TRACE_HEADER_SIZE;
	for (size_t i = 0; i < t->n; i++)
		for (uint64_t done = 0; done < t->records[i].len; done += TRACE_COUNT_MAX) {
			const struct ovbd_trace_record part = {
				.layer = t->records[i].layer,
				.off = t->records[i].off + done,
				.len = ovbd_min(t->records[i].len - done, TRACE_COUNT_MAX),
			};

			ovbd_trace_record_encode(&part, at);
			at += TRACE_RECORD_SIZE;
		}
	ovbd_trace_header_encode(n * TRACE_RECORD_SIZE,
	                         ovbd_crc32c(0, raw + TRACE_HEADER_SIZE,
	                                     (size_t)n * TRACE_RECORD_SIZE),
	                         raw);
	*ret_len = (size_t)(at - raw);
	*ret = OVBD_MOVE(raw);
	return 0;
}

int ovbd_trace_load(struct ovbd_trace *t, const char *path, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *raw = NULL;
	AUTO_BLOB *b = NULL;
	int r = ovbd_blob_open_file(path, &b, err);

	if (r < 0)
		return r;
	if (b->size > TRACE_HEADER_SIZE + OVBD_TRACE_RECORDS_MAX * (uint64_t)TRACE_RECORD_SIZE)
		return ovbd_fail_named(err, full(err), path);
	raw = malloc((size_t)b->size + 1);
	if (!raw)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", path);
	r = ovbd_blob_pread(b, raw, (size_t)b->size, 0, err);
	if (r < 0)
		return r;
	r = ovbd_trace_decode(t, raw, (size_t)b->size, err);
	return r < 0 ? ovbd_fail_named(err, r, path) : 0;
}

int ovbd_trace_save(const struct ovbd_trace *t, const char *path, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params replace = {.overwrite = true};
	AUTO_FREE uint8_t *raw = NULL;
	AUTO_SINK *s = NULL;
	size_t len;
	int r = ovbd_trace_encode(t, &raw, &len, err);

	if (r == 0)
		r = ovbd_sink_create_file(path, &replace, &s, err);
	if (r == 0)
		r = ovbd_sink_append(s, raw, len, err);
	return r < 0 ? r : ovbd_sink_finish(s, err);
}
