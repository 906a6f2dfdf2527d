/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlaybd's tools, each a program of its own by its name (argv[0]): the options, the operands,
 * the lines on standard output and error that callers look for, and an exit status of 0 or not.
 * What they do is what verbs do. docs/drop-in.md.
 */
#ifndef OVBD_TOOLS_OVERLAYBD_H
#define OVBD_TOOLS_OVERLAYBD_H

#include "image/image.h"
#include "tools/cli.h"

extern const struct ovbd_verb ovbd_overlaybd_apply;
extern const struct ovbd_verb ovbd_overlaybd_commit;
extern const struct ovbd_verb ovbd_overlaybd_create;
extern const struct ovbd_verb ovbd_overlaybd_merge;
extern const struct ovbd_verb ovbd_overlaybd_resize;
extern const struct ovbd_verb ovbd_overlaybd_turbo; /* refuses */
extern const struct ovbd_verb ovbd_overlaybd_zfile;

/* ---- options that several have ---- */

enum {
	OVBD_OPTION_TURBO = OVBD_OPTION_LONG,
	OVBD_OPTION_FASTOCI,
	OVBD_OPTION_ALGORITHM,
	OVBD_OPTION_BS,
	OVBD_OPTION_OWN, /* from here on each has its own */
};

#define OVBD_OVERLAYBD_TURBO_OPTIONS                                                               \
	{OVBD_OPTION_TURBO, "turboOCI", NULL, "Refused: layers of turboOCI are not made here."},   \
	{                                                                                          \
		OVBD_OPTION_FASTOCI, "fastoci", NULL, "The same by its older name."                \
	}

#define OVBD_OVERLAYBD_ZFILE_OPTIONS                                                               \
	{OVBD_OPTION_ALGORITHM, "algorithm", "lz4|zstd", "Compress with it (default lz4)."},       \
	{                                                                                          \
		OVBD_OPTION_BS, "bs", "KIB",                                                       \
			"Compress so much together: 4 (default), 8, 16, 32 or 64 KiB."             \
	}

/* Takes an option of the above; others are left alone. 1: it was one; 0; or -1 after telling a
 * mistake, and c->status is set. z NULL: it has none of compression. */
int ovbd_overlaybd_option(struct ovbd_cli *c, int id, struct ovbd_zfile_params *z);

/* What --bs and --algorithm of z do not say. */
void ovbd_overlaybd_zfile_settle(struct ovbd_zfile_params *z);

/* A number of threads. 0, or -1 after telling a mistake. */
int ovbd_overlaybd_threads(struct ovbd_cli *c, unsigned *ret);

/* 0, or -1 and told: there must be least operands, called names (until NULL), and at most as many
 * as there are names. */
int ovbd_overlaybd_operands(struct ovbd_cli *c, size_t least, const char *const *names);

#endif
