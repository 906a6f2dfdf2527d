// SPDX-License-Identifier: Apache-2.0
/* The schema ovbd.info.v1. Keys that qemu-img has too are called as there. */
#include <stdio.h>

#include "ota/merge.h"
#include "tools/info.h"
#include "tools/source.h"

static void add_zfile(json_t *obj, const struct ovbd_zfile_info z)
{
	json_t *c = json_object();

	ovbd_json_set_text(c, "codec", ovbd_codec_name(z.codec));
	ovbd_json_set_size(c, "block-size", z.block_size);
	ovbd_json_set_size(c, "blocks", z.nblocks);
	ovbd_json_set_size(c, "large-blocks", z.nlarge);
	ovbd_json_set_size(c, "raw-size", z.raw_size);
	ovbd_json_set_size(c, "stored-size", z.stored_size);
	ovbd_json_set_bool(c, "checksums", z.checksum);
	ovbd_json_set_bool(c, "digests", z.digests);
	ovbd_json_set_bool(c, "header-overwrite", z.header_overwrite);
	ovbd_json_set(obj, "compression", c);
}

static void add_layer_info(json_t *obj, const struct ovbd_layer_info *info)
{
	ovbd_json_set_size(obj, "virtual-size", info->virtual_size);
	ovbd_json_set_size(obj, "segments", info->nsegments);
	ovbd_json_set_size(obj, "data-size", info->data_size);
	ovbd_json_set_size(obj, "zero-size", info->zero_size);
	ovbd_json_set_size(obj, "reference-size", info->ref_size);
	ovbd_json_set_size(obj, "reference-end", info->ref_end);
	ovbd_json_set(obj, "version",
	              json_sprintf("%u.%u", info->version >> 8, info->version & 0xff));
	ovbd_json_set_bool(obj, "sealed-header", info->sealed_header);
	ovbd_json_set_text(obj, "uuid", info->uuid);
	ovbd_json_set_text(obj, "parent-uuid", info->parent_uuid);
	ovbd_json_set_text(obj, "tag", info->tag);
}

/* Without the base, whose size is not known here. */
static void add_mergeable(json_t *obj, const struct ovbd_cow *c)
{
	struct ovbd_merge_plan plan = {0};
	struct ovbd_error err;
	const int r = ovbd_merge_plan(c, UINT64_MAX, NULL, &plan, &err);

	ovbd_json_set_bool(obj, "mergeable", r == 0);
	if (r < 0)
		ovbd_json_set_text(obj, "not-mergeable", err.msg);
	ovbd_json_set_size(obj, "merge-steps", plan.ngroups);
	ovbd_json_set_size(obj, "merge-scratch-steps", plan.nscratch);
}

static void add_cow(json_t *obj, const struct ovbd_cow *cow)
{
	const struct ovbd_cow_info *i = ovbd_cow_info(cow);
	json_t *c = json_object();

	ovbd_json_set_text(c, "version", ovbd_info_cow_version(i));
	ovbd_json_set(c, "layout", json_sprintf("%c", i->layout));
	ovbd_json_set_text(c, "algorithm", ovbd_cow_algorithm_name(i->algorithm));
	ovbd_json_set_size(c, "copies", i->nops[OVBD_COW_COPY]);
	ovbd_json_set_size(c, "replacements", i->nops[OVBD_COW_REPLACE]);
	ovbd_json_set_size(c, "zeros", i->nops[OVBD_COW_ZERO]);
	ovbd_json_set_size(c, "xors", i->nops[OVBD_COW_XOR]);
	ovbd_json_set_size(c, "duplicates", i->nduplicates);
	ovbd_json_set_size(c, "blocks", i->nblocks);
	ovbd_json_set_size(c, "end", i->end);
	ovbd_json_set_size(c, "data-size", i->data_size);
	ovbd_json_set_size(c, "merged", i->nmerged);
	ovbd_json_set_size(c, "sequence", i->nsequence);
	ovbd_json_set_size(c, "labels", i->nlabels);
	ovbd_json_set_size(c, "label", i->label);
	ovbd_json_set_size(c, "cluster-ops", i->cluster_ops);
	ovbd_json_set_size(c, "scratch-size", i->scratch_size);
	ovbd_json_set_size(c, "scratch-state", i->scratch_state);
	add_mergeable(c, cow);
	ovbd_json_set(obj, "android-cow", c);
}

static void add_update(json_t *obj, const struct ovbd_dm_update_info *i)
{
	json_t *u = json_object();

	ovbd_json_set_text(u, "compression", ovbd_dm_update_codec_name(i->codec));
	ovbd_json_set_size(u, "block-size", i->block_size);
	ovbd_json_set_size(u, "chunk-blocks", i->chunk_blocks);
	ovbd_json_set_size(u, "blocks", i->nblocks);
	ovbd_json_set_size(u, "chunks", i->nchunks);
	ovbd_json_set_size(u, "end", i->end);
	ovbd_json_set_size(u, "data-size", i->data_size);
	ovbd_json_set_size(u, "directory-size", i->dir_size);
	ovbd_json_set(obj, "dm-update", u);
}

static void add_snapshot(json_t *obj, const struct ovbd_dm_snapshot_info *i)
{
	json_t *s = json_object();

	ovbd_json_set_size(s, "chunk-size", i->chunk_size);
	ovbd_json_set_size(s, "chunks", i->nchunks);
	ovbd_json_set_size(s, "areas", i->nareas);
	ovbd_json_set_size(s, "end", i->end);
	ovbd_json_set(obj, "dm-snapshot", s);
}

static void add_verity(json_t *obj, const struct ovbd_image_layer *l)
{
	char shown[OVBD_HTTP_SHOWN_SIZE];
	json_t *v = json_object();

	ovbd_json_set_text(v, "root", l->root);
	if (l->tree && ovbd_http_is_url(l->tree)) {
		ovbd_http_show(l->tree, shown);
		ovbd_json_set_text(v, "tree", shown);
	} else if (l->tree) {
		ovbd_json_set_text(v, "tree", l->tree);
	}
	ovbd_json_set(obj, "verity", v);
}

static json_t *layer_json(const struct ovbd_image *img, size_t number)
{
	const struct ovbd_image_layer *l = &img->layers[number];
	char warnings[OVBD_INFO_WARNINGS][OVBD_INFO_WARNING_SIZE];
	const size_t nwarnings = ovbd_info_warnings(img, number, warnings);
	json_t *obj = json_object(), *list = json_array();

	ovbd_json_set_text(obj, "filename", l->shown);
	ovbd_json_set_text(obj, "format", ovbd_format_name(l->format));
	ovbd_json_set_bool(obj, "tar", l->tar);
	ovbd_json_set_bool(obj, "remote", l->http != NULL);
	ovbd_json_set_size(obj, "stored-size", l->stored_size);
	if (l->root)
		add_verity(obj, l);
	if (l->zfile)
		add_zfile(obj, ovbd_zfile_info(l->zfile));
	if (l->layer)
		add_layer_info(obj, ovbd_layer_info(l->layer));
	if (l->cow)
		add_cow(obj, l->cow);
	if (l->update)
		add_update(obj, ovbd_dm_update_info(l->update));
	if (l->snapshot)
		add_snapshot(obj, ovbd_dm_snapshot_info(l->snapshot));
	for (size_t i = 0; i < nwarnings; i++)
		ovbd_json_append(list, json_string(warnings[i]));
	ovbd_json_set(obj, "warnings", list);
	return obj;
}

json_t *ovbd_info_json(const struct ovbd_image *img)
{
	const struct ovbd_info_sizes s = ovbd_info_sizes(img);
	json_t *obj = ovbd_json_create("info"), *layers = json_array();

	ovbd_json_set_text(obj, "format", ovbd_format_name(img->format));
	ovbd_json_set_size(obj, "virtual-size", ovbd_source_size(img));
	ovbd_json_set_size(obj, "stored-size", s.stored);
	if (img->stack) {
		ovbd_json_set_size(obj, "segments", s.nsegments);
		ovbd_json_set_size(obj, "data-size", s.data);
		ovbd_json_set_size(obj, "zero-size", s.zero);
	}
	for (size_t i = 0; i < img->nlayers; i++)
		ovbd_json_append(layers, layer_json(img, i));
	ovbd_json_set(obj, "layers", layers);
	return obj;
}
