// SPDX-License-Identifier: Apache-2.0
/* compare: reads two devices side by side; what both know to be zeros is not read. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/scan.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

#define BLOCK          4096u
#define READERS_REMOTE 8u

enum { EXIT_SAME = 0, EXIT_DIFFER = 1, EXIT_TROUBLE = 2 };

enum { OPT_STRICT = OVBD_OPTION_LONG };

static const struct ovbd_option options[] = {
	{'f', "format", "FMT",
         "What A is: auto (default), raw, lsmt, zfile, ovbd, image, "
         "android-cow, dm-update or dm-snapshot."},
	{'F', "format-b", "FMT", "What B is."},
	{OPT_STRICT, "strict", NULL,
         "Sizes must be equal; without it the longer one may end in zeros."},
	OVBD_OPTION_OUTPUT_ENTRY,
	OVBD_CACHE_OPTIONS,
	OVBD_REMOTE_OPTIONS,
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd compare disk.raw disk.ovbd", "Does a layer hold what it was made of?"},
	{"ovbd compare base.ovbd delta.ovbd new.raw", "Do two layers make the new disk?"},
	{"ovbd compare -v old.raw new.raw", "Every range that differs."},
	{NULL},
};

struct compare {
	const struct ovbd_cli *cli;
	bool json, strict, progress;
	enum ovbd_format formats[2];
	/* what was found */
	uint64_t first;           /* offset, if nbytes > 0 */
	uint64_t nbytes, nblocks; /* that differ */
	uint64_t start, end;      /* -v: the range that is not printed yet */
	bool stopped;             /* at the first difference; -q */
};

static void print_range(struct compare *q)
{
	if (q->end > q->start)
		printf("%16" PRIu64 " %16" PRIu64 "  differ\n", q->start, q->end - q->start);
}

static void note_block(struct compare *q, uint64_t off, size_t len, const uint8_t *a,
                       const uint8_t *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (a[i] == b[i])
			continue;
		if (q->nbytes + n == 0)
			q->first = off + i;
		n++;
	}
	q->nbytes += n;
	q->nblocks++;
	if (q->cli->verbose == 0 || q->json)
		return;
	if (off != q->end) {
		print_range(q);
		q->start = off;
	}
	q->end = off + len;
}

static int compare_piece(void *ctx, uint64_t off, size_t len, const uint8_t *a, const uint8_t *b,
                         struct ovbd_error *err)
{
	struct compare *q = ctx;

	if (memcmp(a, b, len) == 0)
		return 0;
	for (size_t at = 0; at < len; at += BLOCK) {
		const size_t n = (size_t)ovbd_min(BLOCK, len - at);

		if (memcmp(a + at, b + at, n) == 0)
			continue;
		note_block(q, off + at, n, a + at, b + at);
		if (q->cli->quiet && !q->json) {
			q->stopped = true;
			return ovbd_fail(err, -ECANCELED, "seen enough");
		}
	}
	return 0;
}

static void print_human(const struct compare *q, uint64_t a, uint64_t b)
{
	char bytes[OVBD_SIZE_FULL], extra[OVBD_SIZE_FULL], blocks[OVBD_COUNT_TEXT];

	if (q->nbytes > 0)
		printf("Images differ: first at byte %" PRIu64 "; %s in %s of 4 KiB.\n", q->first,
		       ovbd_size_full(bytes, q->nbytes),
		       ovbd_count_text(blocks, q->nblocks, "block"));
	else if (a == b || !q->strict)
		printf("Images are the same.\n");
	if (a != b)
		printf("%s is %s longer%s.\n", a > b ? "A" : "B",
		       ovbd_size_full(extra, a > b ? a - b : b - a),
		       q->nbytes > 0 ? "" : ", all zeros");
}

static void print_json(const struct compare *q, bool same, uint64_t a, uint64_t b)
{
	json_t *obj = ovbd_json_create("compare");

	ovbd_json_set_bool(obj, "same", same);
	ovbd_json_set_size(obj, "virtual-size-a", a);
	ovbd_json_set_size(obj, "virtual-size-b", b);
	ovbd_json_set_size(obj, "differing-bytes", q->nbytes);
	ovbd_json_set_size(obj, "differing-blocks", q->nblocks);
	ovbd_json_set_size(obj, "block-size", BLOCK);
	if (q->nbytes > 0)
		ovbd_json_set_size(obj, "first-difference", q->first);
	ovbd_json_print(obj);
}

static int compare(struct compare *q, const struct ovbd_image *a, const struct ovbd_image *b)
{
	const bool remote = ovbd_source_is_remote(a) || ovbd_source_is_remote(b);
	const uint64_t size_a = a->blob->size, size_b = b->blob->size;
	const unsigned cpus = ovbd_cpus();
	struct ovbd_progress progress;
	const struct ovbd_scan_params p = {
		.nthreads = remote && cpus < READERS_REMOTE ? READERS_REMOTE : cpus,
		.progress = ovbd_progress_update,
		.arg = &progress,
	};
	struct ovbd_error err;
	bool same;
	int r, status;

	ovbd_progress_start(&progress, q->cli, q->progress);
	r = ovbd_scan_pair(a->blob, b->blob, size_a > size_b ? size_a : size_b, &p, compare_piece,
	                   q, &err);
	ovbd_progress_end(&progress);
	if (q->stopped)
		return EXIT_DIFFER;
	if (r < 0) {
		status = ovbd_cli_fail(q->cli, r, remote, &err);
		return status == OVBD_EXIT_FAILURE ? EXIT_TROUBLE : status;
	}
	print_range(q);
	ovbd_source_note_fetched(q->cli, a);
	ovbd_source_note_fetched(q->cli, b);
	same = q->nbytes == 0 && (size_a == size_b || !q->strict);
	if (q->json)
		print_json(q, same, size_a, size_b);
	else if (!q->cli->quiet)
		print_human(q, size_a, size_b);
	return same ? EXIT_SAME : EXIT_DIFFER;
}

static int parse(struct ovbd_cli *c, struct compare *q)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (id == 'f' && ovbd_source_format(c, c->value, &q->formats[0]) < 0)
			return -1;
		if (id == 'F' && ovbd_source_format(c, c->value, &q->formats[1]) < 0)
			return -1;
		if (id == OVBD_OPTION_OUTPUT && ovbd_json_wanted(c, c->value, &q->json) < 0)
			return -1;
		if (id == OPT_STRICT)
			q->strict = true;
		if (id == 'p')
			q->progress = true;
	}
	if (id < 0)
		return -1;
	if (c->noperands < 2) {
		ovbd_cli_usage(c, c->noperands == 0 ? "A and B are missing" : "B is missing");
		return -1;
	}
	return 0;
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *a = NULL;
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *b = NULL;
	struct compare q = {.cli = c};
	struct ovbd_image_params how[2] = {0};
	int status;

	if (parse(c, &q) < 0)
		return c->status;
	for (size_t i = 0; i < 2; i++)
		how[i].format = q.formats[i];
	ovbd_interrupt_catch();
	if (ovbd_source_open(c, c->operands, c->noperands - 1, &how[0], &a, &status) < 0 ||
	    ovbd_source_open(c, c->operands + c->noperands - 1, 1, &how[1], &b, &status) < 0)
		return status == OVBD_EXIT_FAILURE ? EXIT_TROUBLE : status;
	return compare(&q, a, b);
}

const struct ovbd_verb ovbd_verb_compare = {
	.name = "compare",
	.summary = "Tell whether two images are the same",
	.usage = "A... B",
	.text = "Compares the bytes of two devices, however each is stored. Several A are a stack "
		"of "
		"layers, bottom first; a B of several layers is named by its image configuration "
		"(JSON). With -q the first difference ends it.",
	.options = options,
	.examples = examples,
	.exits = "0 the same; 1 different; 2 one could not be read (over the network: 65, 69, 74, "
		 "75, "
		 "77 as for convert).",
	.run = run,
};
