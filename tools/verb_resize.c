// SPDX-License-Identifier: Apache-2.0
/* resize: a writable layer becomes larger or smaller. The work is in resize.c, and in ovbdd. */
#include <errno.h>
#include <stdlib.h>

#include "tools/control.h"
#include "tools/resize.h"
#include "tools/size.h"
#include "tools/verbs.h"

enum { OPT_WHOLE = OVBD_OPTION_LONG, OPT_FS, OPT_FORCE, OPT_ID };

static const struct ovbd_option options[] = {
	{'B', "base", "BASE",
         "What lies beneath; repeated, bottom first. It is needed where it decides how large DATA "
         "is, or what is on it."},
	{OPT_WHOLE, "whole", NULL, "Nothing lies beneath."},
	{OPT_FS, "fs", NULL,
         "The ext4 on the device, too: it is checked, and fills it. This needs FUSE, and resize2fs "
         "and e2fsck."},
	{OPT_FORCE, "force", NULL, "Make it smaller whatever that cuts off."},
	{OPT_ID, "id", "ID", "Make ovbdd's device ID larger, while it is in use."},
	OVBD_OPTION_SOCKET_ENTRY,
	OVBD_CACHE_OPTIONS,
	OVBD_REMOTE_OPTIONS,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd resize disk.rw 40G", "The device of disk.rw has 40 GiB."},
	{"ovbd resize --fs disk.json 40G", "So it has, and the ext4 of the image fills it."},
	{"ovbd resize --id web --fs 40G", "The same of a disk that ovbdd serves, mounted or not."},
	{"ovbd resize --fs -B base.ovbd disk.rw 5G", "Smaller: first the ext4, then the device."},
	{NULL},
};

struct asked {
	struct ovbd_resize layer;
	struct ovbd_resize_device device; /* if it has an id */
};

static int parse_size(struct ovbd_cli *c, const char *text, uint64_t *ret)
{
	if (ovbd_size_parse(text, ret) == 0 && *ret % 512 == 0 && *ret != 0)
		return 0;
	return ovbd_cli_usage(c, "SIZE %s: a size of whole sectors of 512 bytes, such as 20G",
	                      text);
}

static int parse_options(struct ovbd_cli *c, const char **bases, struct asked *a)
{
	struct ovbd_resize *q = &a->layer;
	int id;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (id == 'B')
			bases[q->names.nbases++] = c->value;
		if (id == OPT_ID)
			a->device.id = c->value;
		if (id == OVBD_OPTION_SOCKET)
			a->device.socket = c->value;
		q->names.whole |= id == OPT_WHOLE;
		q->fs |= id == OPT_FS;
		q->force |= id == OPT_FORCE;
	}
	return id;
}

static int parse_device(struct ovbd_cli *c, struct asked *a)
{
	const struct ovbd_resize *q = &a->layer;

	if (q->names.nbases > 0 || q->names.whole || q->force)
		return ovbd_cli_usage(c, "--id: ovbdd knows what lies beneath, and a device in use "
		                         "only grows: without -B, --whole and --force");
	if (c->noperands == 0)
		return ovbd_cli_usage(c, "SIZE is missing");
	if (ovbd_cli_at_most(c, 1) != 0)
		return -1;
	a->device.fs = q->fs;
	return parse_size(c, c->operands[0], &a->device.size);
}

static int parse(struct ovbd_cli *c, const char **bases, struct asked *a)
{
	struct ovbd_resize *q = &a->layer;

	if (parse_options(c, bases, a) < 0)
		return -1;
	if (a->device.id)
		return parse_device(c, a);
	if (a->device.socket)
		return ovbd_cli_usage(c, "--socket: is for --id");
	if (c->noperands < 2)
		return ovbd_cli_usage(c, c->noperands == 0 ? "DATA is missing" : "SIZE is missing");
	if (ovbd_cli_at_most(c, 3) != 0)
		return -1;
	if (q->names.whole && q->names.nbases > 0)
		return ovbd_cli_usage(c, "--whole: -B is for what lies beneath");
	q->names.names = c->operands;
	q->names.n = c->noperands - 1;
	return parse_size(c, c->operands[q->names.n], &q->size);
}

static int run(struct ovbd_cli *c)
{
	AUTO_FREE const char **bases = calloc((size_t)c->argc, sizeof(bases[0]));
	struct asked a = {.layer = {.names = {.bases = bases}}};
	char from[OVBD_SIZE_FULL], to[OVBD_SIZE_FULL], end[OVBD_SIZE_FULL];
	struct ovbd_resized done;
	int status;

	if (!bases) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	if (parse(c, bases, &a) != 0)
		return c->status;
	if (a.device.id)
		return ovbd_resize_device(c, &a.device);
	status = ovbd_resize_run(c, &a.layer, &done);
	if (status != OVBD_EXIT_OK)
		return status;
	ovbd_cli_note(c, "%s: from %s to %s", c->operands[0], ovbd_size_full(from, done.from),
	              ovbd_size_full(to, a.layer.size));
	if (done.fs)
		ovbd_cli_note(c, "%s: %s on it still ends at %s%s", c->operands[0], done.fs,
		              ovbd_size_full(end, done.fs_end),
		              done.fs[0] == 'e' ? "; --fs has it fill the device" : "");
	return OVBD_EXIT_OK;
}

const struct ovbd_verb ovbd_verb_resize = {
	.name = "resize",
	.summary = "Make a writable layer larger or smaller",
	.usage = "CONFIG|DATA [INDEX] SIZE | --id ID SIZE",
	.text = "DATA is a writable layer, with INDEX one of overlaybd's; CONFIG is an image "
		"configuration (JSON) that names one, and what lies beneath. Nobody may have it "
		"open, but ovbdd, if --id names its device: then it becomes larger beneath its "
		"users, who go on. What is cut off is gone, also if it becomes larger again. A "
		"file system or "
		"partition table that would be cut off is not: --fs makes an ext4 smaller first, "
		"--force cuts.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; a BASE over the network: 65 bad data, 69 not "
		 "available, 74 I/O error, 75 try again later, 77 denied.",
	.run = run,
};
