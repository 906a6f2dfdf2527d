/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a command with verbs. A verb is a table entry: from its one table of options come
 * the parsing, the --help text and the completion, and a test holds the man page against it.
 *
 *     static int run(struct ovbd_cli *c)
 *     {
 *             while ((id = ovbd_cli_next(c)) > 0)
 *                     switch (id) { case 'f': fmt = c->value; break; ... }
 *             if (id < 0)
 *                     return c->status;                 // --help, or a mistake that has been told
 *             ... c->operands[0 .. c->noperands - 1] ...
 *             return ovbd_cli_fail(c, r, remote, &err); // tells the sentence
 *     }
 */
#ifndef OVBD_TOOLS_CLI_H
#define OVBD_TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tools/remote_options.h"

/* Exit statuses. The sysexits.h ones say what happened to a source over the network, so that a
 * script knows whether to try again. */
enum {
	OVBD_EXIT_OK = 0,
	OVBD_EXIT_FAILURE = 1,
	OVBD_EXIT_USAGE = 2,
	OVBD_EXIT_DATA = 65,        /* the bytes are bad */
	OVBD_EXIT_UNAVAILABLE = 69, /* not there, or not possible here */
	OVBD_EXIT_IO = 74,
	OVBD_EXIT_TEMPORARY = 75, /* try again later */
	OVBD_EXIT_DENIED = 77,
	OVBD_EXIT_SIGNAL = 128, /* + the signal's number */
};

struct ovbd_option {
	int id;           /* the short option's letter, or OVBD_OPTION_LONG + n: it has none */
	const char *name; /* the long option, without dashes */
	const char *arg;  /* what its value is called: "SIZE"; "[=FILE]": it may have one, behind
	                   * "="; NULL: it takes none */
	const char *help; /* a sentence or two; wrapped as needed */
};

#define OVBD_OPTION_LONG 256

/* Two options that ovbd_cli_next() takes itself. */
#define OVBD_OPTION_CACHE      (OVBD_OPTION_LONG + 110)
#define OVBD_OPTION_CACHE_SIZE (OVBD_OPTION_LONG + 111)
#define OVBD_CACHE_OPTIONS                                                                         \
	{OVBD_OPTION_CACHE, "cache", "DIR",                                                        \
	 "Keep what is fetched of URLs in DIR, for all who name it; what is there is verified "    \
	 "and "                                                                                    \
	 "not fetched again."},                                                                    \
	{                                                                                          \
		OVBD_OPTION_CACHE_SIZE, "cache-size", "SIZE",                                      \
			"How much DIR may take (default 4G)."                                      \
	}

struct ovbd_example {
	const char *command;
	const char *what; /* it does */
};

struct ovbd_cli;

struct ovbd_verb {
	const char *name;
	const char *program;                 /* it is called by this name only, and no verb of
	                                      * ovbd: overlaybd.h; or NULL */
	const char *summary;                 /* a line, without a full stop */
	const char *usage;                   /* the operands: "SRC... DST" */
	const char *text;                    /* what one needs to know; paragraphs; may be NULL */
	const struct ovbd_option *options;   /* up to one with id 0; the common ones are added */
	const struct ovbd_example *examples; /* up to one without command; may be NULL */
	const char *exits;              /* what is special about the exit status; may be NULL */
	int (*run)(struct ovbd_cli *c); /* returns the exit status */
};

/* One run of one verb. */
struct ovbd_cli {
	const struct ovbd_verb *verb;
	const char *name; /* how messages begin: "ovbd: convert", or "ovbd-convert" */
	int argc;
	char **argv;
	bool quiet;
	unsigned verbose;
	bool json_lines; /* what is said on standard error is events: json.h */

	const char *cache_dir; /* of --cache and --cache-size, if the verb has them; or NULL */
	uint64_t cache_size;   /* 0: the default */

	struct ovbd_remote_options remote; /* of OVBD_REMOTE_OPTIONS, if the verb has them */

	const char *value;           /* of the option that ovbd_cli_next() returned; or NULL */
	int status;                  /* after it has returned -1 */
	const char *const *operands; /* after it has returned 0; ends with NULL */
	size_t noperands;

	struct ovbd_getopt *getopt; /* cli.c's own */
};

/* The verbs of the program (ovbd.c), in the order of the help; NULL at the end. */
extern const struct ovbd_verb *const ovbd_verbs[];

/* The options every verb has: --help, --version, -q, -v. */
extern const struct ovbd_option ovbd_common_options[];

/* The id of the next option, its value in c->value. 0: no more, the operands are there. -1: the
 * verb shall return c->status; what there is to say has been said. */
int ovbd_cli_next(struct ovbd_cli *c);

/* 0 if there are at most n operands; else -1, the first one too many has been told. */
int ovbd_cli_at_most(struct ovbd_cli *c, size_t n);

/* A mistake in how the verb was called: tells it and where help is; returns OVBD_EXIT_USAGE. */
int ovbd_cli_usage(struct ovbd_cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Tells err's sentence; returns the exit status for the negative errno code. remote: it happened
 * to a source over the network. After a signal (interrupt.h) that is what is told instead. */
int ovbd_cli_fail(const struct ovbd_cli *c, int code, bool remote, const struct ovbd_error *err);

/* Lines on standard error. A warning and a note are for people: not with -q. */
void ovbd_cli_error(const struct ovbd_cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void ovbd_cli_warning(const struct ovbd_cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void ovbd_cli_note(const struct ovbd_cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The exit status for code (0 or a negative errno). */
int ovbd_exit_status(int code, bool remote);

/* Programs that are called by names of their own (overlaybd.c); NULL at the end. */
extern const struct ovbd_verb *const ovbd_programs[];

/* help.c. On standard output. */
void ovbd_help_program(void);
void ovbd_help_verb(const struct ovbd_verb *v);
void ovbd_help_version(bool verbose);

/* completion.c. A script for bash, on standard output. */
void ovbd_completion_bash(void);

/* The candidate nearest to a mistyped word; NULL if none is near. */
const char *ovbd_nearest(const char *word, const char *const *candidates, size_t n);

#endif
