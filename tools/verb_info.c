// SPDX-License-Identifier: Apache-2.0
/* info: what the headers and indexes say. Of remote layers only these are fetched. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/info.h"
#include "tools/source.h"
#include "tools/text.h"
#include "tools/verbs.h"

static const struct ovbd_option options[] = {
	OVBD_SOURCE_OPTIONS,
	OVBD_OPTION_OUTPUT_ENTRY,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd info disk.ovbd", "A layer."},
	{"ovbd info base.ovbd delta.ovbd", "Two layers and the device they make."},
	{"ovbd info --output=json https://example.org/disk.ovbd | jq '.\"virtual-size\"'",
         "A number for a script, from a layer that is not downloaded."},
	{NULL},
};

static bool is_null_uuid(const char *uuid)
{
	return uuid[0] == '\0' || strcmp(uuid, "00000000-0000-0000-0000-000000000000") == 0;
}

size_t ovbd_info_warnings(const struct ovbd_image *img, size_t number,
                          char ret[OVBD_INFO_WARNINGS][OVBD_INFO_WARNING_SIZE])
{
	const struct ovbd_image_layer *l = &img->layers[number];
	const struct ovbd_layer_info *info = l->layer ? ovbd_layer_info(l->layer) : NULL;
	const struct ovbd_layer_info *below =
		number > 0 && img->layers[number - 1].layer
			? ovbd_layer_info(img->layers[number - 1].layer)
			: NULL;
	size_t n = 0;

	if (info && info->nsegments > OVBD_SEGMENTS_ORIGINAL)
		snprintf(ret[n++], OVBD_INFO_WARNING_SIZE,
		         "overlaybd cannot open it: more than %u segments", OVBD_SEGMENTS_ORIGINAL);
	if (info && info->ref_end > 0)
		snprintf(ret[n++], OVBD_INFO_WARNING_SIZE,
		         "overlaybd cannot open it: it refers to what lies below");
	if (l->zfile && ovbd_zfile_info(l->zfile).nlarge > 0)
		snprintf(ret[n++], OVBD_INFO_WARNING_SIZE,
		         "overlaybd cannot read %" PRIu64 " of its blocks: longer than 64 KiB",
		         ovbd_zfile_info(l->zfile).nlarge);
	if (l->zfile && !ovbd_zfile_info(l->zfile).checksum)
		snprintf(ret[n++], OVBD_INFO_WARNING_SIZE, "no checksums: damage can go unnoticed");
	if (info && below && !is_null_uuid(info->parent_uuid) && !is_null_uuid(below->uuid) &&
	    strcasecmp(info->parent_uuid, below->uuid) != 0)
		snprintf(ret[n++], OVBD_INFO_WARNING_SIZE,
		         "names %s as its parent, but the layer beneath is %s", info->parent_uuid,
		         below->uuid);
	return n;
}

struct ovbd_info_sizes ovbd_info_sizes(const struct ovbd_image *img)
{
	const struct ovbd_index *ix = img->stack ? ovbd_stack_index(img->blob) : NULL;
	struct ovbd_info_sizes s = {0};
	struct ovbd_segment seg;

	for (size_t i = 0; i < img->nlayers; i++)
		s.stored += img->layers[i].stored_size;
	if (!ix)
		return s;
	s.nsegments = ovbd_index_count(ix);
	for (uint64_t off = 0; off < img->blob->size; off += seg.len) {
		seg = ovbd_index_at(ix, off, img->blob->size - off);
		if (ovbd_segment_is_below(&seg))
			continue;
		if (seg.kind == OVBD_RUN_DATA)
			s.data += seg.len;
		else if (seg.kind == OVBD_RUN_ZERO)
			s.zero += seg.len;
	}
	return s;
}

const char *ovbd_info_cow_version(const struct ovbd_cow_info *i)
{
	return i->layout == 'H' ? "3.0" : i->layout == 'F' ? "2.0" : "1.0";
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	bool json = false;

	if (ovbd_source_from_cli(c, &img, &json) < 0)
		return c->status;
	if (json)
		ovbd_json_print(ovbd_info_json(img));
	else
		ovbd_info_text(img, c->verbose > 0);
	return OVBD_EXIT_OK;
}

const struct ovbd_verb ovbd_verb_info = {
	.name = "info",
	.summary = "Show what an image and its layers are",
	.usage = "SRC...",
	.text = "SRC is a layer, any other image, an image configuration (JSON) or a URL; several "
		"SRC "
		"are a stack of layers, bottom first.",
	.options = options,
	.examples = examples,
	.run = run,
};
