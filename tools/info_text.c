// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "ota/merge.h"
#include "tools/info.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/text.h"
#include "remote/lazy.h"

#define LABEL_WIDTH 15

static void print_text(const char *label, const char *untrusted)
{
	AUTO_FREE char *text = ovbd_text_escape(untrusted);

	printf("%-*s%s\n", LABEL_WIDTH, label, text ? text : "");
}

static void print_size(const char *label, uint64_t bytes)
{
	char text[OVBD_SIZE_FULL];

	printf("%-*s%s\n", LABEL_WIDTH, label, ovbd_size_full(text, bytes));
}

static void print_segments(uint64_t nsegments, uint64_t data, uint64_t zero)
{
	char data_text[OVBD_SIZE_TEXT], zero_text[OVBD_SIZE_TEXT];

	printf("%-*s%" PRIu64 " (%s data, %s zeroed)\n", LABEL_WIDTH, "segments:", nsegments,
	       ovbd_size_text(data_text, data), ovbd_size_text(zero_text, zero));
}

static void print_zfile(const struct ovbd_zfile_info z)
{
	char block[OVBD_SIZE_TEXT], raw[OVBD_SIZE_TEXT], count[OVBD_COUNT_TEXT];

	printf("%-*s%s, %s of %s, %s\n", LABEL_WIDTH, "compression:", ovbd_codec_name(z.codec),
	       ovbd_count_text(count, z.nblocks, "block"), ovbd_size_text(block, z.block_size),
	       z.checksum ? "each with a checksum" : "no checksums");
	if (z.raw_size > 0)
		printf("%-*s%.1f %% of %s\n", LABEL_WIDTH,
		       "ratio:", (double)z.stored_size * 100.0 / (double)z.raw_size,
		       ovbd_size_text(raw, z.raw_size));
}

static void print_layer_info(const struct ovbd_layer_info *info, bool verbose)
{
	char size[OVBD_SIZE_TEXT], end[OVBD_SIZE_TEXT];

	print_size("virtual size:", info->virtual_size);
	print_segments(info->nsegments, info->data_size, info->zero_size);
	if (info->ref_end > 0)
		printf("%-*s%s of what lies below, which has at least %s\n", LABEL_WIDTH,
		       "references:", ovbd_size_text(size, info->ref_size),
		       ovbd_size_text(end, info->ref_end));
	print_text("UUID:", info->uuid);
	print_text("parent UUID:", info->parent_uuid);
	if (info->tag[0] != '\0')
		print_text("message:", info->tag);
	if (verbose)
		printf("%-*s%u.%u, %s\n", LABEL_WIDTH, "version:", info->version >> 8,
		       info->version & 0xff, info->sealed_header ? "committed" : "sealed in place");
}

/* Without the base, whose size is not known here. */
static void print_mergeable(const struct ovbd_cow *c)
{
	struct ovbd_merge_plan plan;
	struct ovbd_error err;

	if (ovbd_merge_plan(c, UINT64_MAX, NULL, &plan, &err) < 0)
		printf("%-*sno: %s\n", LABEL_WIDTH, "mergeable:", err.msg);
	else
		printf("%-*syes, in %" PRIu64 " steps, of them %" PRIu64
		       " by way of the scratch area\n",
		       LABEL_WIDTH, "mergeable:", plan.ngroups, plan.nscratch);
}

static void print_cow(const struct ovbd_cow *c, bool verbose)
{
	const struct ovbd_cow_info *i = ovbd_cow_info(c);
	static const char *const scratch[] = {"not begun", "in progress", "holding"};
	char text[OVBD_SIZE_FULL];

	printf("%-*s%s (layout %c), %s\n", LABEL_WIDTH, "version:", ovbd_info_cow_version(i),
	       i->layout, ovbd_cow_algorithm_name(i->algorithm));
	printf("%-*s%" PRIu64 " copies, %" PRIu64 " replacements, %" PRIu64 " zeros, %" PRIu64
	       " xors\n",
	       LABEL_WIDTH, "operations:", i->nops[OVBD_COW_COPY], i->nops[OVBD_COW_REPLACE],
	       i->nops[OVBD_COW_ZERO], i->nops[OVBD_COW_XOR]);
	printf("%-*s%s in %" PRIu64 " blocks, of %s of data\n", LABEL_WIDTH,
	       "writes:", ovbd_size_full(text, i->nblocks * OVBD_COW_BLOCK_SIZE), i->nblocks,
	       ovbd_size_text((char[OVBD_SIZE_TEXT]){0}, i->data_size));
	if (i->nmerged > 0 || i->scratch_state > 0)
		printf("%-*s%" PRIu64 " of %" PRIu64
		       " operations are in the base; scratch area: %s\n",
		       LABEL_WIDTH, "merge:", i->nmerged,
		       i->nops[OVBD_COW_COPY] + i->nops[OVBD_COW_REPLACE] + i->nops[OVBD_COW_ZERO] +
		               i->nops[OVBD_COW_XOR],
		       i->scratch_state < 3 ? scratch[i->scratch_state] : "unknown");
	print_mergeable(c);
	if (i->nlabels > 0)
		printf("%-*s%" PRIu64 ", the last is %" PRIu64 "\n", LABEL_WIDTH,
		       "labels:", i->nlabels, i->label);
	if (verbose)
		printf("%-*sclusters of %" PRIu32 ", scratch area of %" PRIu32
		       " bytes, order of merging for %" PRIu64 " blocks\n",
		       LABEL_WIDTH, "layout:", i->cluster_ops, i->scratch_size, i->nsequence);
}

static void print_update(const struct ovbd_dm_update_info *i)
{
	char size[OVBD_SIZE_TEXT], data[OVBD_SIZE_TEXT], dir[OVBD_SIZE_TEXT];
	char count[OVBD_COUNT_TEXT];

	printf("%-*s%s, up to %" PRIu32 " blocks of %s at once\n", LABEL_WIDTH,
	       "compression:", ovbd_dm_update_codec_name(i->codec), i->chunk_blocks,
	       ovbd_size_text(size, i->block_size));
	printf("%-*s%s in %s, of %s of data, directory of %s\n", LABEL_WIDTH,
	       "writes:", ovbd_size_text(size, i->nblocks * i->block_size),
	       ovbd_count_text(count, i->nblocks, "block"), ovbd_size_text(data, i->data_size),
	       ovbd_size_text(dir, i->dir_size));
}

static void print_snapshot(const struct ovbd_dm_snapshot_info *i)
{
	char size[OVBD_SIZE_TEXT], all[OVBD_SIZE_TEXT];
	char count[OVBD_COUNT_TEXT], areas[OVBD_COUNT_TEXT];

	printf("%-*s%s in %s of %s, %s of metadata\n", LABEL_WIDTH,
	       "has:", ovbd_size_text(all, i->nchunks * i->chunk_size),
	       ovbd_count_text(count, i->nchunks, "chunk"), ovbd_size_text(size, i->chunk_size),
	       ovbd_count_text(areas, i->nareas, "area"));
}

static void print_layer(const struct ovbd_image *img, size_t number, bool verbose)
{
	const struct ovbd_image_layer *l = &img->layers[number];
	char warnings[OVBD_INFO_WARNINGS][OVBD_INFO_WARNING_SIZE];
	const size_t nwarnings = ovbd_info_warnings(img, number, warnings);

	printf("%-*s%s%s\n", LABEL_WIDTH, "format:", ovbd_format_name(l->format),
	       l->tar ? ", in a tar" : "");
	print_size("stored size:", l->stored_size);
	if (l->root)
		print_text("verity:", l->root);
	if (l->zfile) {
		const struct ovbd_zfile_info z = ovbd_zfile_info(l->zfile);

		print_zfile(z);
		if (verbose)
			printf("%-*s%s, %s\n", LABEL_WIDTH,
			       "header:", z.header_overwrite ? "overwritten" : "trailer needed",
			       z.digests ? "with digests" : "no digests");
	}
	if (l->layer)
		print_layer_info(ovbd_layer_info(l->layer), verbose);
	else if (l->cow)
		print_cow(l->cow, verbose);
	else if (l->update)
		print_update(ovbd_dm_update_info(l->update));
	else if (l->snapshot)
		print_snapshot(ovbd_dm_snapshot_info(l->snapshot));
	else if (img->nlayers == 1)
		print_size("size:", img->blob->size);
	if (l->http && verbose) {
		const struct ovbd_http_stats s = ovbd_lazy_stats(l->http);

		printf("%-*s%" PRIu64 " bytes in %" PRIu64 " requests\n", LABEL_WIDTH,
		       "fetched:", s.bytes, s.requests);
	}
	for (size_t i = 0; i < nwarnings; i++)
		print_text("warning:", warnings[i]);
}

static void print_stack(const struct ovbd_image *img, bool verbose)
{
	const struct ovbd_info_sizes s = ovbd_info_sizes(img);

	printf("%-*sstack of %zu layer%s\n", LABEL_WIDTH, "image:", img->nlayers,
	       img->nlayers == 1 ? "" : "s");
	print_size("virtual size:", ovbd_source_size(img));
	print_size("stored size:", s.stored);
	if (img->stack)
		print_segments(s.nsegments, s.data, s.zero);
	if (verbose && img->stack)
		print_size("index memory:", ovbd_index_memory(ovbd_stack_index(img->blob)));
}

void ovbd_info_text(const struct ovbd_image *img, bool verbose)
{
	if (img->format == OVBD_FORMAT_IMAGE)
		print_stack(img, verbose);
	for (size_t i = 0; i < img->nlayers; i++) {
		char label[32] = "image:";

		if (img->format == OVBD_FORMAT_IMAGE) {
			snprintf(label, sizeof(label), "layer %zu:", i);
			putchar('\n');
		}
		print_text(label, img->layers[i].shown);
		print_layer(img, i, verbose);
	}
}
