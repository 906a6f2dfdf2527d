// SPDX-License-Identifier: Apache-2.0
/* What is told of a conversion that has succeeded. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/convert.h"
#include "tools/json.h"
#include "tools/size.h"

static void warn(const struct ovbd_cli *c, const struct ovbd_convert *v,
                 const struct ovbd_converted *done)
{
	const bool layer = v->format == OVBD_FORMAT_LSMT || v->format == OVBD_FORMAT_OVBD;

	if (done->nsegments > OVBD_SEGMENTS_ORIGINAL)
		ovbd_cli_warning(c,
		                 "%s: %" PRIu64 " segments: overlaybd opens layers of at most %u; "
		                 "split the image into several layers if that matters",
		                 v->dst, done->nsegments, OVBD_SEGMENTS_ORIGINAL);
	if (done->nlarge > 0)
		ovbd_cli_warning(c,
		                 "%s: %" PRIu64
		                 " blocks grew beyond 64 KiB when compressed, which overlaybd "
		                 "cannot read; use --block-size 32K if that matters",
		                 v->dst, done->nlarge);
	if (layer && v->src->size % 512 != 0)
		ovbd_cli_warning(c,
		                 "%s: the device is %" PRIu64
		                 " bytes, no multiple of 512: a kernel sees whole sectors only",
		                 v->dst, v->src->size);
}

static void summarize(const struct ovbd_cli *c, const struct ovbd_convert *v,
                      const struct ovbd_converted *done, double seconds)
{
	char device[OVBD_SIZE_TEXT], raw[OVBD_SIZE_TEXT], stored[OVBD_SIZE_TEXT];
	char ratio[64] = "", segments[64] = "", count[OVBD_COUNT_TEXT];
	char refs[64] = "", ref_size[OVBD_SIZE_TEXT];
	const char *what = v->format == OVBD_FORMAT_ZFILE ? "" : " device";

	if (v->src->size < OVBD_BLOB_SIZE_UNKNOWN)
		ovbd_size_text(device, v->src->size);
	else
		snprintf(device, sizeof(device), "base's");
	ovbd_size_text(raw, done->raw_size);
	ovbd_size_text(stored, done->stored_size);
	if (v->format == OVBD_FORMAT_RAW) {
		ovbd_size_text(raw, done->data_size);
		ovbd_cli_note(c, "%s: %s device, %s of it data; %.1f s", v->dst, device, raw,
		              seconds);
		return;
	}
	if (v->format != OVBD_FORMAT_LSMT && v->format != OVBD_FORMAT_DM_UPDATE &&
	    done->raw_size > 0)
		snprintf(ratio, sizeof(ratio), ", %.1f %% of %s",
		         (double)done->stored_size * 100.0 / (double)done->raw_size, raw);
	if (v->format == OVBD_FORMAT_DM_UPDATE)
		snprintf(segments, sizeof(segments), ", %s",
		         ovbd_count_text(count, done->nblocks, "block"));
	else if (v->format != OVBD_FORMAT_ZFILE)
		snprintf(segments, sizeof(segments), ", %s",
		         ovbd_count_text(count, done->nsegments, "segment"));
	if (done->ref_size > 0)
		snprintf(refs, sizeof(refs), ", references to %s below",
		         ovbd_size_text(ref_size, done->ref_size));
	ovbd_cli_note(c, "%s: %s%s in %s%s%s%s; %.1f s", v->dst, device, what, stored, ratio,
	              segments, refs, seconds);
}

static void print_json(const struct ovbd_convert *v, const struct ovbd_converted *done)
{
	json_t *obj = ovbd_json_create("convert"), *verity;
	char root[OVBD_VERITY_TEXT_SIZE];

	ovbd_json_set_text(obj, "filename", v->dst);
	ovbd_json_set_text(obj, "format", ovbd_format_name(v->format));
	if (v->src->size < OVBD_BLOB_SIZE_UNKNOWN)
		ovbd_json_set_size(obj, "virtual-size", v->src->size);
	ovbd_json_set_size(obj, "stored-size", done->stored_size);
	ovbd_json_set_size(obj, "raw-size", done->raw_size);
	ovbd_json_set_size(obj, "segments", done->nsegments);
	ovbd_json_set_size(obj, "reference-size", done->ref_size);
	if (v->verity) {
		verity = json_object();
		ovbd_verity_root_text(&done->root, root);
		ovbd_json_set_text(verity, "root", root);
		ovbd_json_set_text(verity, "file", v->verity);
		ovbd_json_set(obj, "verity", verity);
	}
	ovbd_json_print(obj);
}

void ovbd_convert_tell(const struct ovbd_cli *c, bool json, const struct ovbd_convert *v,
                       const struct ovbd_converted *done, double seconds)
{
	char root[OVBD_VERITY_TEXT_SIZE];

	warn(c, v, done);
	if (json) {
		print_json(v, done);
		return;
	}
	summarize(c, v, done, seconds);
	ovbd_verity_root_text(&done->root, root);
	if (v->verity)
		printf("verity: %s\n", root);
}
