// SPDX-License-Identifier: Apache-2.0
/*
 * map: the segments of a device, a line each. They may be millions, so they are printed as they
 * come, in JSON too, and never held.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

static const struct ovbd_option options[] = {
	OVBD_SOURCE_OPTIONS,
	OVBD_OPTION_OUTPUT_ENTRY,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd map disk.ovbd", "Where the data of a layer are."},
	{"ovbd map base.ovbd delta.ovbd | awk '$4 == 1'", "What of a device comes from the delta."},
	{"ovbd map --output=json disk.ovbd | jq '.segments | length'", "How many there are."},
	{NULL},
};

static const char *const kinds[] = {
	[OVBD_RUN_DATA] = "data",
	[OVBD_RUN_ZERO] = "zero",
	[OVBD_RUN_HOLE] = "hole",
};

/* The segment of img at off. A device without an index has runs: one layer, itself. */
static int segment_at(const struct ovbd_image *img, uint64_t off, struct ovbd_segment *ret,
                      struct ovbd_error *err)
{
	struct ovbd_run run;
	int r;

	if (img->stack) {
		*ret = ovbd_index_at(ovbd_stack_index(img->blob), off, img->blob->size - off);
		return 0;
	}
	r = ovbd_blob_run_at(img->blob, off, img->blob->size - off, &run, err);
	if (r == 0)
		*ret = (struct ovbd_segment){.off = off,
		                             .len = run.len,
		                             .src = off,
		                             .kind = run.kind};
	return r;
}

static void print_human(const struct ovbd_segment *s)
{
	if (ovbd_segment_is_below(s)) {
		printf("%16" PRIu64 " %16" PRIu64 "  ref   %5s %16" PRIu64 "\n", s->off, s->len,
		       "-", s->src);
		return;
	}
	printf("%16" PRIu64 " %16" PRIu64 "  %s", s->off, s->len, kinds[s->kind]);
	if (s->kind == OVBD_RUN_DATA)
		printf("  %5" PRIu32 " %16" PRIu64 "\n", s->layer, s->src);
	else if (s->kind == OVBD_RUN_ZERO)
		printf("  %5" PRIu32 " %16s\n", s->layer, "-");
	else
		printf("  %5s %16s\n", "-", "-");
}

static void print_json(const struct ovbd_segment *s)
{
	const bool below = ovbd_segment_is_below(s);

	printf("%s\n    {\"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"kind\": \"%s\"",
	       s->off > 0 ? "," : "", s->off, s->len, below ? "ref" : kinds[s->kind]);
	if (s->kind != OVBD_RUN_HOLE && !below)
		printf(", \"layer\": %" PRIu32, s->layer);
	if (s->kind == OVBD_RUN_DATA)
		printf(", \"offset\": %" PRIu64, s->src);
	putchar('}');
}

static int print_map(const struct ovbd_image *img, bool json, struct ovbd_error *err)
{
	const uint64_t end = img->blob->size, size = ovbd_source_size(img);
	struct ovbd_segment s = {0};

	if (json)
		printf("{\n  \"schema\": \"ovbd.map.v1\",\n  \"virtual-size\": %" PRIu64
		       ",\n  \"segments\": [",
		       size);
	else
		printf("%16s %16s  %s  %5s %16s\n", "start", "length", "kind", "layer", "offset");
	for (uint64_t off = 0; off < end && !ferror(stdout); off += s.len) {
		const int r = segment_at(img, off, &s, err);

		if (r < 0)
			return r;
		if (size != end && s.len == end - off)
			break; /* where it really ends is not known */
		if (ovbd_interrupted())
			return ovbd_fail(err, -1, "interrupted");
		if (json)
			print_json(&s);
		else
			print_human(&s);
	}
	if (json)
		printf("%s]\n}\n", size > 0 ? "\n  " : "");
	return 0;
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_error err;
	bool json = false;
	int r;

	if (ovbd_source_from_cli(c, &img, &json) < 0)
		return c->status;
	r = print_map(img, json, &err);
	return r < 0 ? ovbd_cli_fail(c, r, ovbd_source_is_remote(img), &err) : OVBD_EXIT_OK;
}

const struct ovbd_verb ovbd_verb_map = {
	.name = "map",
	.summary = "List the segments of an image",
	.usage = "SRC...",
	.text = "A line for each segment: start and length on the device, kind (data; zero: zeros "
		"that "
		"hide what lies beneath; ref: a reference to what lies beneath SRC, and where "
		"there; hole: nothing there), the number of the layer it comes "
		"from, "
		"and where its data begin in that layer (uncompressed). All in bytes.",
	.options = options,
	.examples = examples,
	.run = run,
};
