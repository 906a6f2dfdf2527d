// SPDX-License-Identifier: Apache-2.0
/*
 * Verification of a whole layer. Open has checked what a read relies on. This adds that header and
 * trailer say the same, that what no reader looks at is as all writers leave it, and that every
 * byte can be read: a layer has no checksums of its own, but the ZFile beneath has.
 *
 * A file that was sealed in place gets some leeway: its header is older than its trailer, and
 * between the index and the trailer lies what the writer's memory happened to hold.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "lsmt/layer.h"

#define STEP_SIZE (1u << 20)

static int check_agreement(const struct lsmt_header *header, const struct lsmt_header *trailer,
                           struct ovbd_error *err)
{
	const bool committed = (header->flags & LSMT_FLAG_SEALED) != 0;

	if (header->index_off != 0 || header->nentries != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt header: tells of an index of %" PRIu64 " entries at %" PRIu64
		                 ", which only the trailer should",
		                 header->nentries, header->index_off);
	if (strcmp(header->uuid, trailer->uuid) != 0)
		return ovbd_fail(err, -EBADMSG, "lsmt: UUID is %s in the header, %s in the trailer",
		                 header->uuid, trailer->uuid);
	if (!committed)
		return 0;
	if (header->virtual_size != trailer->virtual_size)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt: virtual size is %" PRIu64 " in the header, %" PRIu64
		                 " in the trailer",
		                 header->virtual_size, trailer->virtual_size);
	if (strcmp(header->parent_uuid, trailer->parent_uuid) != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt: parent UUID is %s in the header, %s in the trailer",
		                 header->parent_uuid, trailer->parent_uuid);
	if (strcmp(header->tag, trailer->tag) != 0)
		return ovbd_fail(err, -EBADMSG, "lsmt: header and trailer have different messages");
	return 0;
}

static int check_headers(const struct ovbd_layer *l, struct ovbd_error *err)
{
	struct lsmt_header header, trailer;
	uint8_t raw[LSMT_HEADER_SIZE];
	int r;

	r = ovbd_lsmt_header_read(l->blob, LSMT_HEADER, &header, raw, err);
	if (r == 0)
		r = ovbd_lsmt_header_check_rest(raw, LSMT_HEADER, err);
	if (r == 0)
		r = ovbd_lsmt_header_read(l->blob, LSMT_TRAILER, &trailer, raw, err);
	if (r == 0)
		r = ovbd_lsmt_header_check_rest(raw, LSMT_TRAILER, err);
	if (r == 0)
		r = check_agreement(&header, &trailer, err);
	return r;
}

static int check_layout(const struct ovbd_layer *l, struct ovbd_error *err)
{
	const uint64_t trailer_off = l->blob->size - LSMT_HEADER_SIZE;
	const uint64_t gap = trailer_off - l->index_end;

	/* Seen up to a sector, from where the size was rounded up. */
	if (gap == 0 || (!l->info.sealed_header && gap < LSMT_SECTOR_SIZE))
		return 0;
	return ovbd_fail(err, -EBADMSG,
	                 "lsmt: %" PRIu64 " bytes at %" PRIu64
	                 " between the index and the trailer belong to nothing",
	                 gap, l->index_end);
}

int ovbd_layer_check_form(struct ovbd_layer *l, struct ovbd_error *err)
{
	const int r = check_headers(l, err);

	return r < 0 ? r : check_layout(l, err);
}

int ovbd_layer_check(struct ovbd_layer *l, ovbd_progress_fn progress, void *arg,
                     struct ovbd_error *err)
{
	const uint64_t size = l->blob->size;
	AUTO_FREE uint8_t *buf = NULL;
	int r;

	r = ovbd_layer_check_form(l, err);
	if (r < 0)
		return r;
	buf = malloc(STEP_SIZE);
	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (uint64_t off = 0; off < size;) {
		const size_t n = (size_t)ovbd_min(STEP_SIZE, size - off);

		r = ovbd_blob_pread(l->blob, buf, n, off, err);
		if (r < 0)
			return r;
		off += n;
		if (progress && progress(arg, off, size) != 0)
			return ovbd_fail(err, -ECANCELED, "canceled");
	}
	return 0;
}
