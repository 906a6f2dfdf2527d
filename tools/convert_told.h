/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of an image while it is converted, on standard error: on a terminal lines that are
 * drawn anew, elsewhere (if asked for) lines now and then, or events in JSON; and the result.
 *
 *     convert_told.c    for people
 *     convert_events.c  for programs
 */
#ifndef OVBD_TOOLS_CONVERT_TOLD_H
#define OVBD_TOOLS_CONVERT_TOLD_H

#include "oci/convert.h"
#include "tools/board.h"
#include "tools/convert_request.h"
#include "tools/json.h"
#include "tools/progress.h"

/* The layer that is made. */
struct ovbd_convert_current {
	bool on;
	char *platform; /* safe to show */
	char source[OVBD_OCI_DIGEST_SIZE];
	size_t number, n;
	uint64_t size;   /* of its source */
	uint64_t before; /* bytes that were done when it began */
	double begun_s;  /* when: ovbd_progress_seconds() */
	uint64_t done;   /* bytes of it */
};

struct ovbd_convert_told {
	const struct ovbd_cli *c;
	const struct ovbd_convert_request *q;
	struct ovbd_progress progress; /* its kind: whether it is a terminal, and what is wanted */
	bool events;
	struct ovbd_board board;
	double event_s; /* the last event of progress; 0: there was none */
	double drawn_s; /* the last time the lines were drawn, or one was printed */
	struct ovbd_oci_told_plan plan;
	double planned_s;
	size_t nmade; /* layers */
	uint64_t done;
	struct ovbd_convert_current current;
	json_t *images, *layers; /* with --output=json; layers: of the next image */
	uint64_t nlarge;
};

void ovbd_convert_told_start(struct ovbd_convert_told *t, struct ovbd_cli *c,
                             const struct ovbd_convert_request *q);
void ovbd_convert_told_free(struct ovbd_convert_told *t);

/* To be handed to ovbd_oci_convert(). */
struct ovbd_oci_tell ovbd_convert_told_calls(struct ovbd_convert_told *t);
/* An ovbd_progress_fn. */
int ovbd_convert_told_progress(void *t, uint64_t done, uint64_t total);

/* Takes the lines off the screen: something else is printed. */
void ovbd_convert_told_clear(struct ovbd_convert_told *t);
void ovbd_convert_told_result(struct ovbd_convert_told *t, const struct ovbd_oci_converted *done);

/* ---- convert_events.c ---- */

void ovbd_convert_event_plan(const struct ovbd_convert_told *t);
void ovbd_convert_event_begin(const struct ovbd_oci_told_layer *l);
void ovbd_convert_event_progress(struct ovbd_convert_told *t, uint64_t total);
void ovbd_convert_event_pushing(struct ovbd_convert_told *t, size_t n, uint64_t size);
void ovbd_convert_event_layer(const struct ovbd_convert_told *t,
                              const struct ovbd_oci_told_layer *l);
void ovbd_convert_event_image(const struct ovbd_oci_told_image *i);
void ovbd_convert_event_result(const struct ovbd_convert_told *t,
                               const struct ovbd_oci_converted *done);

/* For the object on standard output. */
void ovbd_convert_json_layer(struct ovbd_convert_told *t, const struct ovbd_oci_told_layer *l);
void ovbd_convert_json_image(struct ovbd_convert_told *t, const struct ovbd_oci_told_image *i);
void ovbd_convert_json_print(struct ovbd_convert_told *t, const struct ovbd_oci_converted *done);

#endif
