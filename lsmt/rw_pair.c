// SPDX-License-Identifier: Apache-2.0
/*
 * The files of the original's writable layers: a header each, and a log of records in the index
 * file. A record is 16 bytes and lies within a sector, so a disk writes it as a whole or not at
 * all; a file that was cut within one, or whose end was never written and reads as zeros, has
 * nothing there.
 */
#include "lsmt/rw_pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define PIECE (64u << 10) /* of an index file, read at once; whole records */

/* ---- making ---- */

int ovbd_rw_create_pair(struct ovbd_device *data, struct ovbd_device *index,
                        const struct ovbd_rw_params *p, struct ovbd_error *err)
{
	struct lsmt_header h = {.virtual_size = p->virtual_size};
	uint8_t raw[LSMT_HEADER_SIZE];
	int r = ovbd_lsmt_uuid_parse(p->uuid, h.uuid, err);

	if (r == 0)
		r = ovbd_lsmt_uuid_parse(p->parent_uuid, h.parent_uuid, err);
	if (r < 0)
		return r;
	if (p->virtual_size > LSMT_DEVICE_MAX || p->virtual_size % LSMT_SECTOR_SIZE)
		return ovbd_fail(err, -EINVAL, "virtual size %llu: whole sectors, at most %llu",
		                 (unsigned long long)p->virtual_size,
		                 (unsigned long long)LSMT_DEVICE_MAX);
	if (p->tag && strlen(p->tag) > LSMT_TAG_MAX)
		return ovbd_fail(err, -EINVAL, "a message of %zu bytes: at most %u", strlen(p->tag),
		                 LSMT_TAG_MAX);
	if (p->tag)
		memcpy(h.tag, p->tag, strlen(p->tag));
	h.flags = LSMT_FLAG_HEADER;
	h.index_off = LSMT_RECORDS_OFF;
	ovbd_lsmt_header_encode(&h, raw);
	r = ovbd_device_pwrite(index, raw, sizeof(raw), 0, OVBD_WRITE_FUA, err);
	h.flags = LSMT_FLAG_HEADER | LSMT_FLAG_DATA | (p->sparse ? LSMT_FLAG_SPARSE : 0);
	h.index_off = 0;
	ovbd_lsmt_header_encode(&h, raw);
	if (r == 0)
		r = ovbd_device_pwrite(data, raw, sizeof(raw), 0, OVBD_WRITE_FUA, err);
	return r;
}

/* The original rewrites these 8 bytes. They lie within a sector. */
static int set_size(struct ovbd_device *file, uint64_t size, struct ovbd_error *err)
{
	uint8_t raw[LSMT_SECTOR_SIZE];
	int r = ovbd_blob_pread(file->blob, raw, sizeof(raw), 0, err);

	ovbd_put_le64(raw + LSMT_OFF_VIRTUAL_SIZE, size);
	return r < 0 ? r : ovbd_device_pwrite(file, raw, sizeof(raw), 0, 0, err);
}

/* uuid: as in a header. Within that sector, too. */
static int set_parent(struct ovbd_device *file, const char *uuid, struct ovbd_error *err)
{
	uint8_t raw[LSMT_SECTOR_SIZE];
	int r = ovbd_blob_pread(file->blob, raw, sizeof(raw), 0, err);

	memcpy(raw + LSMT_OFF_PARENT_UUID, uuid, OVBD_UUID_SIZE);
	return r < 0 ? r : ovbd_device_pwrite(file, raw, sizeof(raw), 0, OVBD_WRITE_FUA, err);
}

int ovbd_rw_pair_set_parent(struct rw_core *c, struct ovbd_device *index, const char *uuid,
                            struct ovbd_error *err)
{
	const int r = set_parent(index, uuid, err);

	return r < 0 ? r : set_parent(c->data, uuid, err);
}

int ovbd_rw_pair_set_size(struct rw_core *c, struct ovbd_device *index, uint64_t size,
                          struct ovbd_error *err)
{
	int r = set_size(index, size, err);

	if (r == 0)
		r = ovbd_device_flush(index, err);
	if (r == 0) /* the one that counts */
		r = set_size(c->data, size, err);
	return r < 0 ? r : ovbd_device_flush(c->data, err);
}

/* ---- records ---- */

int ovbd_rw_records_add(struct rw_records *rs, const struct lsmt_entry *e, struct ovbd_error *err)
{
	if (rs->nwaiting == rs->capacity) {
		const size_t capacity = 2 * rs->capacity + 256;
		uint8_t *p = realloc(rs->waiting, capacity * LSMT_ENTRY_SIZE);

		if (!p)
			return ovbd_fail(err, -ENOMEM, "out of memory for records of an index");
		rs->waiting = p;
		rs->capacity = capacity;
	}
	ovbd_lsmt_entry_encode(e, rs->waiting + rs->nwaiting++ * LSMT_ENTRY_SIZE);
	return 0;
}

int ovbd_rw_records_take(struct rw_records *rs, struct ovbd_error *err)
{
	uint8_t *p;

	if (rs->nwaiting == 0)
		return 0;
	p = realloc(rs->taken, (rs->ntaken + rs->nwaiting) * LSMT_ENTRY_SIZE);
	if (!p)
		return ovbd_fail(err, -ENOMEM, "out of memory for records of an index");
	memcpy(p + rs->ntaken * LSMT_ENTRY_SIZE, rs->waiting, rs->nwaiting * LSMT_ENTRY_SIZE);
	rs->taken = p;
	rs->ntaken += rs->nwaiting;
	rs->nwaiting = 0;
	return 0;
}

int ovbd_rw_records_write(struct rw_records *rs, struct ovbd_error *err)
{
	const size_t len = rs->ntaken * LSMT_ENTRY_SIZE;
	int r;

	if (len == 0)
		return 0;
	r = ovbd_rw_write_file(rs->device, rs->taken, len, rs->end, err);
	if (r < 0)
		return r;
	rs->end += len;
	rs->ntaken = 0;
	return 0;
}

static bool is_record(const struct lsmt_entry *e)
{
	return !e->padding && e->len > 0;
}

int ovbd_rw_records_load(struct rw_records *rs, uint64_t data_end,
                         int (*fn)(void *arg, const struct lsmt_entry *e, struct ovbd_error *err),
                         void *arg, struct ovbd_error *err)
{
	const uint64_t n =
		rs->end < LSMT_RECORDS_OFF ? 0 : (rs->end - LSMT_RECORDS_OFF) / LSMT_ENTRY_SIZE;
	AUTO_FREE uint8_t *buf = malloc(PIECE);
	uint64_t used = 0;
	int r = buf ? 0 : ovbd_fail(err, -ENOMEM, "out of memory for an index file");

	for (uint64_t i = 0; r == 0 && i < n;) {
		const size_t k = (size_t)ovbd_min(n - i, PIECE / LSMT_ENTRY_SIZE);

		r = ovbd_blob_pread(rs->device->blob, buf, k * LSMT_ENTRY_SIZE,
		                    LSMT_RECORDS_OFF + i * LSMT_ENTRY_SIZE, err);
		for (size_t j = 0; r == 0 && j < k; j++) {
			const uint8_t *raw = buf + j * LSMT_ENTRY_SIZE;
			const struct lsmt_entry e = ovbd_lsmt_entry_decode(raw);

			if (is_record(&e)) {
				r = ovbd_lsmt_record_check(&e, i + j, data_end, err);
				if (r == 0)
					r = fn(arg, &e, err);
			}
			if (!ovbd_is_zero(raw, LSMT_ENTRY_SIZE))
				used = i + j + 1;
		}
		i += k;
	}
	rs->end = LSMT_RECORDS_OFF + used * LSMT_ENTRY_SIZE;
	return r;
}

int ovbd_rw_records_rewrite(struct rw_records *rs, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(PIECE);
	int r = buf ? 0 : ovbd_fail(err, -ENOMEM, "out of memory for an index file");

	for (uint64_t at = LSMT_RECORDS_OFF; r == 0 && at < rs->end;) {
		const size_t n = (size_t)ovbd_min(rs->end - at, PIECE);

		r = ovbd_blob_pread(rs->device->blob, buf, n, at, err);
		if (r == 0)
			r = ovbd_rw_write_file(rs->device, buf, n, at, err);
		at += n;
	}
	return r < 0 ? r : ovbd_device_flush(rs->device, err);
}

void ovbd_rw_records_close(struct rw_records *rs)
{
	ovbd_device_close(rs->device);
	free(rs->waiting);
	free(rs->taken);
}

/* ---- opening ---- */

static void close_files(const struct ovbd_rw_pair *f, struct ovbd_blob *lower)
{
	ovbd_device_close(f->data.device);
	ovbd_device_close(f->index.device);
	ovbd_device_close(f->map.device);
	ovbd_blob_close(lower);
}

static int read_header(const struct ovbd_rw_file *f, bool index, struct lsmt_header *ret,
                       struct ovbd_error *err)
{
	uint8_t raw[LSMT_HEADER_SIZE];
	int r;

	if (f->end < sizeof(raw))
		return ovbd_fail(err, -EBADMSG, "lsmt %s: %llu bytes are shorter than a header",
		                 index ? "index file" : "data file", (unsigned long long)f->end);
	r = ovbd_blob_pread(f->device->blob, raw, sizeof(raw), 0, err);
	return r < 0 ? r : ovbd_lsmt_rw_header_decode(raw, index, ret, err);
}

int ovbd_rw_is_sparse(struct ovbd_blob *data, bool *ret, struct ovbd_error *err)
{
	uint8_t raw[LSMT_HEADER_SIZE];
	struct lsmt_header h;
	int r = ovbd_blob_pread(data, raw, sizeof(raw), 0, err);

	if (r == 0)
		r = ovbd_lsmt_rw_header_decode(raw, false, &h, err);
	if (r == 0)
		*ret = h.flags & LSMT_FLAG_SPARSE;
	return r;
}

static int read_headers(const struct ovbd_rw_pair *f, uint64_t lower_size, struct lsmt_header *ret,
                        struct ovbd_error *err)
{
	struct lsmt_header index;
	int r = read_header(&f->data, false, ret, err);

	if (r == 0)
		r = read_header(&f->index, true, &index, err);
	if (r == 0 && strcmp(index.uuid, ret->uuid) != 0)
		r = ovbd_fail(err, -EBADMSG,
		              "lsmt index file: is that of layer %s, the data file that of %s",
		              index.uuid, ret->uuid);
	if (r == 0 && ret->virtual_size == 0) /* created so: as large as what is beneath */
		ret->virtual_size = lower_size / LSMT_SECTOR_SIZE * LSMT_SECTOR_SIZE;
	return r;
}

int ovbd_rw_open_pair(const struct ovbd_rw_pair *take_files, struct ovbd_blob *take_lower,
                      struct ovbd_device **ret, struct ovbd_error *err)
{
	struct lsmt_header header;
	int r = read_headers(take_files, take_lower ? take_lower->size : 0, &header, err);

	if (r == 0)
		r = ovbd_rw_is_sealed(take_files->data.device->blob, take_files->data.end, err);
	if (r > 0)
		r = ovbd_fail(err, -EROFS, "lsmt data file: is sealed, a layer that is only read");
	if (r < 0) {
		close_files(take_files, take_lower);
		return r;
	}
	if (header.flags & LSMT_FLAG_SPARSE)
		return ovbd_rw_sparse_open(&header, take_files, take_lower, ret, err);
	return ovbd_rw_append_open(&header, take_files, take_lower, ret, err);
}
