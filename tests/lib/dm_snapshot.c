// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/dm_snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define CHUNK SNAPSHOT_CHUNK
#define AREA  SNAPSHOT_AREA

static int read_chunk(struct snapshot *s, uint64_t chunk, uint8_t *buf)
{
	return ovbd_blob_pread(s->store->blob, buf, CHUNK, chunk * CHUNK, NULL);
}

static uint64_t area_chunk(uint64_t area)
{
	return 1 + area * (AREA + 1);
}

/* The exceptions of an area; how many come before the first that is none. */
static int load_area(struct snapshot *s, uint64_t area)
{
	int n = 0;
	const int r = read_chunk(s, area_chunk(area), s->raw);

	if (r < 0)
		return r;
	s->area = area;
	while (n < (int)AREA && ovbd_get_le64(s->raw + 16 * n + 8) != 0) {
		s->old[n] = ovbd_get_le64(s->raw + 16 * n);
		s->new[n] = ovbd_get_le64(s->raw + 16 * n + 8);
		n++;
	}
	s->committed = (uint64_t)n;
	return n;
}

int snapshot_load(struct snapshot *s, struct ovbd_device *store, uint8_t *origin, uint64_t nchunks)
{
	uint8_t header[CHUNK];
	int n = AREA;

	*s = (struct snapshot){.store = store, .origin = origin, .nchunks = nchunks};
	s->where = calloc(nchunks, sizeof(s->where[0]));
	if (!s->where)
		return -ENOMEM;
	if (read_chunk(s, 0, header) < 0 || ovbd_get_le32(header) != 0x70416e53 ||
	    ovbd_get_le32(header + 4) != 1 || ovbd_get_le32(header + 8) != 1 ||
	    ovbd_get_le32(header + 12) != CHUNK / 512)
		return -EINVAL;
	for (uint64_t area = 0; n == AREA; area++) {
		n = load_area(s, area);
		for (int i = 0; i < n; i++) {
			if (s->old[i] >= nchunks || s->where[s->old[i]] != 0)
				return -EINVAL;
			s->where[s->old[i]] = s->new[i];
		}
	}
	return n < 0 ? n : 0;
}

void snapshot_free(struct snapshot *s)
{
	free(s->where);
}

int snapshot_read(struct snapshot *s, uint64_t chunk, uint8_t *buf)
{
	if (s->where[chunk] != 0)
		return read_chunk(s, s->where[chunk], buf);
	memcpy(buf, s->origin + chunk * CHUNK, CHUNK);
	return 0;
}

int snapshot_choose(struct snapshot *s, uint64_t max)
{
	uint64_t n = 1, last;

	while (s->committed == 0) {
		if (s->area == 0)
			return 0;
		const int r = load_area(s, s->area - 1);

		if (r < 0)
			return r;
		if (r != AREA)
			return -EINVAL; /* the kernel takes it for full */
	}
	last = s->committed - 1;
	while (n < max && n <= last && s->old[last - n] == s->old[last] - n &&
	       s->new[last - n] == s->new[last] - n)
		n++;
	s->batch = n;
	s->batch_old = s->old[last] - (n - 1);
	s->batch_new = s->new[last] - (n - 1);
	if (n > s->batch_max)
		s->batch_max = n;
	return (int)n;
}

int snapshot_copy(struct snapshot *s, uint64_t i)
{
	uint8_t buf[CHUNK];
	const int r = read_chunk(s, s->batch_new + i, buf);

	if (r == 0)
		memcpy(s->origin + (s->batch_old + i) * CHUNK, buf, CHUNK);
	return r;
}

int snapshot_commit(struct snapshot *s)
{
	const uint64_t left = s->committed - s->batch;

	if (s->flush_origin)
		s->flush_origin(s->arg);
	memset(s->raw, 0, CHUNK);
	for (uint64_t i = 0; i < left; i++) {
		ovbd_put_le64(s->raw + 16 * i, s->old[i]);
		ovbd_put_le64(s->raw + 16 * i + 8, s->new[i]);
	}
	return ovbd_device_pwrite(s->store, s->raw, CHUNK, area_chunk(s->area) * CHUNK,
	                          OVBD_WRITE_FUA, NULL);
}

void snapshot_committed(struct snapshot *s)
{
	for (uint64_t i = 0; i < s->batch; i++)
		s->where[s->batch_old + i] = 0;
	s->committed -= s->batch;
	s->ncommits++;
}
