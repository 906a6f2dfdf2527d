/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a verb is, on standard error: a bar with rate and time left where that is a terminal;
 * elsewhere, if asked for, a line per 10 %. It is also where long work learns of an interruption.
 */
#ifndef OVBD_TOOLS_PROGRESS_H
#define OVBD_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/cli.h"

struct ovbd_progress {
	const char *name; /* of the program and verb, before a line */
	enum { OVBD_PROGRESS_NONE, OVBD_PROGRESS_BAR, OVBD_PROGRESS_LINES } kind;
	const char *what;  /* is done, before the numbers; may be NULL */
	bool drawn;        /* the bar is on the screen */
	uint64_t start_ns; /* monotonic clock */
	uint64_t drawn_ns; /* the last bar */
	unsigned tenths;   /* the last line */
};

/* wanted: -p was given. */
void ovbd_progress_start(struct ovbd_progress *p, const struct ovbd_cli *c, bool wanted);

/* An ovbd_progress_fn; p is a struct ovbd_progress. Not 0 after a signal. */
int ovbd_progress_update(void *p, uint64_t done, uint64_t total);

/* Takes the bar off the screen; before anything else is printed. */
void ovbd_progress_end(struct ovbd_progress *p);

/* Since ovbd_progress_start(). */
double ovbd_progress_seconds(const struct ovbd_progress *p);

/* What the bar says, without the bar: " 42 %  1.30 GiB of 3.10 GiB  350 MiB/s  5 s left". */
#define OVBD_PROGRESS_TEXT 160
void ovbd_progress_text(char buf[OVBD_PROGRESS_TEXT], uint64_t done, uint64_t total,
                        double seconds);

#endif
