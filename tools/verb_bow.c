// SPDX-License-Identifier: Apache-2.0
/* bow: devices whose changes can be taken back. A table of words; each has a file of its own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bow.h"
#include "tools/bow_served.h"
#include "tools/control.h"
#include "tools/verbs.h"

enum { OPT_LIMIT = OVBD_OPTION_LONG, OPT_DRY_RUN, OPT_ID };

static const struct {
	const char *name;
	ovbd_bow_word_fn run;
} words[] = {
	{"restore", ovbd_bow_restore_word},
	{"commit", ovbd_bow_commit_word},
	{"status", ovbd_bow_status_word},
	{"check", ovbd_bow_check_word},
};

#define WHAT        "restore, commit, status, check"
#define WHAT_SERVED "checkpoint, commit, abort, free, status"

static const struct ovbd_option options[] = {
	{OPT_ID, "id", "ID",
         "Instead of DEVICE: the one of this id, which ovbdd serves with backup on write."},
	OVBD_OPTION_SOCKET_ENTRY,
	{OPT_LIMIT, "limit", "N",
         "restore: stop after N entries of the log. Another restore goes on."},
	{OPT_DRY_RUN, "dry-run", NULL,
         "restore: only check, as is done before anything is written anyway."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd bow checkpoint --id data", "From here on all can be taken back."},
	{"ovbd bow commit --id data", "Or nothing any more."},
	{"ovbd bow status /dev/sdb2", "Was it left in its checkpoint?"},
	{"ovbd bow restore /dev/sdb2", "Everything that was written since is taken back."},
	{"ovbd bow commit /dev/sdb2", "Or it stays, for good."},
	{NULL},
};

static int read_option(struct ovbd_cli *c, int id, struct ovbd_bow_arguments *a)
{
	char *end;

	switch (id) {
	case OPT_LIMIT:
		errno = 0;
		a->limit = strtoull(c->value, &end, 10);
		if (c->value[0] >= '0' && c->value[0] <= '9' && !*end && errno == 0 && a->limit > 0)
			return 0;
		ovbd_cli_usage(c, "--limit: '%s' is not a number from 1 on", c->value);
		return -1;
	case OPT_DRY_RUN:
		a->dry_run = true;
		return 0;
	case OPT_ID:
		a->id = c->value;
		return 0;
	case OVBD_OPTION_SOCKET:
		a->socket = c->value;
		return 0;
	case 'p':
		a->progress = true;
		return 0;
	default:
		return ovbd_json_wanted(c, c->value, &a->json);
	}
}

/* Of a device that ovbdd serves. */
static int run_served(struct ovbd_cli *c, const struct ovbd_bow_arguments *a)
{
	const struct ovbd_bow_served q = {
		.what = c->operands[0],
		.id = a->id,
		.socket = a->socket,
		.json = a->json,
	};

	if (!ovbd_bow_is_served_verb(q.what))
		return ovbd_cli_usage(c, "'%s' is none of: " WHAT_SERVED, q.what);
	if (ovbd_cli_at_most(c, 1) != 0)
		return c->status;
	if (a->limit || a->dry_run)
		return ovbd_cli_usage(c, "--limit and --dry-run are restore's");
	return ovbd_bow_served(c, &q);
}

static int run(struct ovbd_cli *c)
{
	struct ovbd_bow_arguments a = {0};
	const char *what;
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (read_option(c, id, &a) < 0)
			return c->status ? c->status : OVBD_EXIT_USAGE;
	if (id < 0)
		return c->status;
	if (c->noperands < 1)
		return ovbd_cli_usage(c, "a word is missing, one of: " WHAT);
	what = c->operands[0];
	if (a.id)
		return run_served(c, &a);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(words[i].name, what) != 0)
			continue;
		if (c->noperands < 2)
			return ovbd_cli_usage(c, "DEVICE is missing");
		if (ovbd_cli_at_most(c, 2) != 0)
			return c->status;
		if ((a.limit || a.dry_run) && words[i].run != ovbd_bow_restore_word)
			return ovbd_cli_usage(c, "--limit and --dry-run are restore's");
		a.path = c->operands[1];
		return words[i].run(c, &a);
	}
	if (ovbd_bow_is_served_verb(what))
		return ovbd_cli_usage(c, "%s is of a device that is served: --id is missing", what);
	return ovbd_cli_usage(c, "'%s' is none of: " WHAT ", checkpoint, abort, free", what);
}

const struct ovbd_verb ovbd_verb_bow = {
	.name = "bow",
	.summary = "Take back, or keep, what was written to a device",
	.usage = "restore|commit|status|check DEVICE | checkpoint|commit|abort|free|status --id ID",
	.text = "Backup on write: what a device's users overwrite is copied first to space that is "
		"free, with a log in its block 0, by ovbdd or by the kernel's dm-bow. DEVICE, a "
		"block device or a file, was left like that, and nobody has it.\n\n"
		"restore takes back everything since the checkpoint, after a check of all of it "
		"in which nothing is written. If it ends before, by a signal or a power cut, "
		"another restore does the rest. commit: all that was written stays, for good. "
		"status prints what the log says. check also reads all backups, and compares them "
		"with their checksums.\n\n"
		"With --id the device is one of ovbd attach --bow. checkpoint: what it reads as "
		"now "
		"is what abort, or a restore, leads back to. commit: all that was written since "
		"stays. abort: it is taken back, and the device gives errors until it is detached. "
		"free: how many bytes backups may take. status: all that there is to say.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed, or refused; 2 wrong usage; 75 stopped by --limit; 128 and the "
		 "number of a signal: another restore goes on.",
	.run = run,
};
