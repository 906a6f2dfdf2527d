// SPDX-License-Identifier: Apache-2.0
/* cow create: an Android update from two images. The work is in ota/cow_create.c. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tools/convert_request.h"
#include "tools/cow_make.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

enum {
	OPT_FROM = OVBD_OPTION_LONG,
	OPT_MAX_BLOCK,
	OPT_NO_XOR,
	OPT_NO_SCRATCH,
	OPT_SEQUENCE,
	OPT_LABEL_EVERY,
	OPT_FORCE,
};

static const struct ovbd_option options[] = {
	{OPT_FROM, "from", "OLD",
         "What the phone has. Repeated, bottom first, they are a stack. Without it the update "
         "makes NEW of anything."},
	{'O', "output-format", "v2|v3",
         "3.0 (default), of Android 15 and later, or 2.0, of Android 12 and later."},
	{'c', "compression", "ALGORITHM",
         "lz4 (default), zstd, gz, brotli or none; ALGORITHM:LEVEL where it has levels."},
	{OPT_MAX_BLOCK, "max-block", "SIZE",
         "v3: compress up to so much together: 4K to 256K (default 64K)."},
	{OPT_NO_XOR, "no-xor", NULL, "Store no block as its difference to one of OLD."},
	{OPT_NO_SCRATCH, "no-scratch", NULL,
         "Leave out the 2 MiB in which a merge keeps what it overwrites; then nothing is copied "
         "that is also overwritten."},
	{OPT_SEQUENCE, "sequence", NULL,
         "Put operations in the order of their blocks, and the order of merging beside them."},
	{OPT_LABEL_EVERY, "label-every", "N", "Put a label after every N operations."},
	{'j', "jobs", "N",
         "Threads; default: one per processor. The output is the same for any N."},
	{OPT_FORCE, "force", NULL, "Replace OUT if it exists."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd cow create --from old.img new.img update.cow", "What makes new.img of old.img."},
	{"ovbd cow create --from old.img -c zstd:19 --max-block 256K new.img update.cow",
         "The same, as small as can be."},
	{"ovbd cow create --from old.img -O v2 -c gz new.img update.cow", "For Android 12."},
	{"ovbd compare old.img update.cow new.img", "Does it do what it should?"},
	{NULL},
};

struct request {
	struct ovbd_cow_make make;
	const char **from; /* room for as many as there are arguments */
	size_t nfrom;
	bool max_block; /* given */
};

/* ---- the command line ---- */

static int parse_compression(struct ovbd_cli *c, struct request *q)
{
	struct ovbd_cow_create_params *p = &q->make.params;
	const size_t len = strcspn(c->value, ":");
	struct ovbd_error err;
	unsigned a = OVBD_COW_NONE;
	char *end;

	while (a <= OVBD_COW_ZSTD && (strlen(ovbd_cow_algorithm_name(a)) != len ||
	                              strncmp(ovbd_cow_algorithm_name(a), c->value, len) != 0))
		a++;
	if (a > OVBD_COW_ZSTD)
		return ovbd_cli_usage(c, "-c %s: there are lz4, zstd, gz, brotli and none",
		                      c->value);
	p->write.algorithm = (enum ovbd_cow_algorithm)a;
	p->level = 0;
	if (c->value[len] == '\0')
		return 0;
	p->level = (int)strtol(c->value + len + 1, &end, 10);
	if (end == c->value + len + 1 || *end != '\0' || p->level == 0)
		return ovbd_cli_usage(c, "-c %s: behind the colon comes a level, a number",
		                      c->value);
	if (ovbd_cow_level_check(p->write.algorithm, p->level, &err) < 0)
		return ovbd_cli_usage(c, "-c %s: %s", c->value, err.msg);
	return 0;
}

static int parse_version(struct ovbd_cli *c, struct request *q)
{
	if (strcmp(c->value, "v2") != 0 && strcmp(c->value, "v3") != 0)
		return ovbd_cli_usage(c, "-O %s: it is v2 or v3", c->value);
	q->make.params.write.version = c->value[1] == '2' ? 2 : 3;
	return 0;
}

static int parse_max_block(struct ovbd_cli *c, struct request *q)
{
	uint64_t size;

	if (ovbd_size_parse(c->value, &size) < 0 || size < OVBD_COW_BLOCK_SIZE ||
	    size > OVBD_COW_PIECE_MAX || (size & (size - 1)) != 0)
		return ovbd_cli_usage(c,
		                      "--max-block %s: it is 4K, 8K, 16K, 32K, 64K, 128K or 256K",
		                      c->value);
	q->make.params.write.max_piece = (uint32_t)size;
	q->max_block = true;
	return 0;
}

static int parse_label_every(struct ovbd_cli *c, struct request *q)
{
	char *end;

	errno = 0;
	q->make.params.label_every = strtoull(c->value, &end, 10);
	if (!isdigit((unsigned char)c->value[0]) || *end != '\0' || errno != 0 ||
	    q->make.params.label_every == 0)
		return ovbd_cli_usage(c, "--label-every %s: it is a number of operations",
		                      c->value);
	return 0;
}

static int parse_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case OPT_FROM:
		q->from[q->nfrom++] = c->value;
		return 0;
	case 'O':
		return parse_version(c, q);
	case 'c':
		return parse_compression(c, q);
	case OPT_MAX_BLOCK:
		return parse_max_block(c, q);
	case OPT_NO_XOR:
		q->make.params.no_xor = true;
		return 0;
	case OPT_NO_SCRATCH:
		q->make.params.write.scratch_size = 0;
		return 0;
	case OPT_SEQUENCE:
		q->make.params.sequence = true;
		return 0;
	case OPT_LABEL_EVERY:
		return parse_label_every(c, q);
	case 'j':
		return ovbd_convert_jobs(c, &q->make.params.nthreads);
	case OPT_FORCE:
		q->make.force = true;
		return 0;
	case OVBD_OPTION_OUTPUT:
		return ovbd_json_wanted(c, c->value, &q->make.json);
	default: /* 'p' */
		q->make.progress = true;
		return 0;
	}
}

static int check(struct ovbd_cli *c, struct request *q)
{
	const bool v2 = q->make.params.write.version == 2;

	if (c->noperands == 0 || strcmp(c->operands[0], "create") != 0)
		return ovbd_cli_usage(c,
		                      c->noperands == 0 ? "it is: cow create NEW OUT"
		                                        : "'%s' is none of: create",
		                      c->operands[0]);
	if (c->noperands < 3)
		return ovbd_cli_usage(c, c->noperands == 1 ? "NEW and OUT are missing"
		                                           : "OUT is missing");
	if (ovbd_cli_at_most(c, 3) != 0)
		return -1;
	q->make.dst = c->operands[2];
	if (v2 && q->max_block && q->make.params.write.max_piece > OVBD_COW_BLOCK_SIZE)
		return ovbd_cli_usage(c, "--max-block is for v3: v2 compresses each 4K alone");
	if (v2)
		q->make.params.write.max_piece = OVBD_COW_BLOCK_SIZE;
	if (q->make.params.sequence && q->nfrom == 0)
		return ovbd_cli_usage(c, "--sequence is the order in which blocks of OLD are "
		                         "read: it needs --from");
	if (ovbd_http_is_url(q->make.dst))
		return ovbd_cli_usage(c, "OUT %s: cannot write to a URL", q->make.dst);
	if (strcmp(q->make.dst, "-") != 0)
		return 0;
	if (q->make.json)
		return ovbd_cli_usage(c, "OUT - and --output=json: both are standard output");
	if (!v2)
		return ovbd_cli_usage(c, "v3 cannot go to standard output: its operations, known "
		                         "at last, stand before their data; v2 can");
	if (isatty(STDOUT_FILENO))
		return ovbd_cli_usage(c, "standard output is a terminal");
	return 0;
}

/* ---- the run ---- */

static int open_and_make(struct ovbd_cli *c, struct request *q)
{
	static const struct ovbd_image_params how = {.format = OVBD_FORMAT_AUTO};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *old = NULL, *img = NULL;
	int status;

	if (q->nfrom > 0 && ovbd_source_open(c, q->from, q->nfrom, &how, &old, &status) < 0)
		return status;
	if (ovbd_source_open(c, c->operands + 1, 1, &how, &img, &status) < 0)
		return status;
	q->make.old = old;
	q->make.img = img;
	q->make.src = img->blob;
	return ovbd_cow_make_run(c, &q->make);
}

static int run(struct ovbd_cli *c)
{
	AUTO_FREE const char **from = calloc((size_t)c->argc, sizeof(from[0]));
	struct request q = {.make = {.params = ovbd_cow_make_defaults()}, .from = from};
	int id;

	if (!from) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	while ((id = ovbd_cli_next(c)) > 0)
		if (parse_option(c, id, &q) != 0)
			return OVBD_EXIT_USAGE;
	if (id < 0)
		return c->status;
	if (check(c, &q) != 0)
		return OVBD_EXIT_USAGE;
	ovbd_interrupt_catch();
	return open_and_make(c, &q);
}

const struct ovbd_verb ovbd_verb_cow = {
	.name = "cow",
	.summary = "Make an Android update (COW) of two images",
	.usage = "create NEW OUT",
	.text = "OUT becomes a COW, an update as Android's update_engine leaves it on a phone: "
		"what makes the image NEW of OLD. Blocks that OLD has elsewhere are copied, those "
		"that resemble what was there are stored as the difference, in an order in which "
		"the update can be merged into OLD in place. NEW and OLD are images, layers or "
		"URLs, in whole blocks of 4096 bytes. OUT appears when it is complete, or not at "
		"all.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; an image over the network: 65 bad data, 69 not "
		 "available, 74 I/O error, 75 try again later, 77 denied; 128 + N after signal N.",
	.run = run,
};
