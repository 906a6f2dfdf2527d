// SPDX-License-Identifier: Apache-2.0
/*
 * On a terminal the lines are one for all of it and one for each layer in work; what is done
 * scrolls past above them only as far as -v asks for it. Elsewhere -p has a line for each layer
 * that is done, and one in between where that takes long: who waits for a silent job may end it.
 */
#include "tools/convert_told.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/interrupt.h"
#include "tools/size.h"
#include "tools/text.h"

#define DRAW_FIRST_S 0.4 /* what is done before that needs no lines */
#define DRAW_EVERY_S 0.1
#define LINE_EVERY_S 15.0
#define DIGEST_SHOWN 19 /* "sha256:" and 12 digits */

static bool is_screen(const struct ovbd_convert_told *t)
{
	return !t->events && t->progress.kind == OVBD_PROGRESS_BAR;
}

static bool is_lines(const struct ovbd_convert_told *t)
{
	return !t->events && t->progress.kind == OVBD_PROGRESS_LINES;
}

void ovbd_convert_told_start(struct ovbd_convert_told *t, struct ovbd_cli *c,
                             const struct ovbd_convert_request *q)
{
	*t = (struct ovbd_convert_told){.c = c,
	                                .q = q,
	                                .images = json_array(),
	                                .layers = json_array()};
	c->json_lines = q->events;
	ovbd_progress_start(&t->progress, c, q->progress);
	t->events = q->events && !c->quiet;
}

void ovbd_convert_told_free(struct ovbd_convert_told *t)
{
	json_decref(t->images);
	json_decref(t->layers);
	free(t->current.platform);
}

void ovbd_convert_told_clear(struct ovbd_convert_told *t)
{
	ovbd_board_clear(&t->board);
}

/* ---- lines ---- */

/* "2 of 7 layers, 1 was there:  42 %  1.30 GiB of 3.10 GiB  350 MiB/s  5 s left" */
static void all_text(const struct ovbd_convert_told *t, char ret[OVBD_BOARD_WIDTH], double now)
{
	char numbers[OVBD_PROGRESS_TEXT];

	ovbd_progress_text(numbers, t->done, t->plan.total, now - t->planned_s);
	snprintf(ret, OVBD_BOARD_WIDTH, "%zu of %zu layers, %zu %s there: %s",
	         t->nmade + t->plan.nthere, t->plan.nlayers, t->plan.nthere,
	         t->plan.nthere == 1 ? "was" : "were", numbers);
}

/* "linux/amd64 layer 2 of 3, sha256:0123456789ab:  42 %  ..." */
static void layer_text(const struct ovbd_convert_current *l, char ret[OVBD_BOARD_WIDTH], double now)
{
	char numbers[OVBD_PROGRESS_TEXT];

	ovbd_progress_text(numbers, l->done, l->size, now - l->begun_s);
	snprintf(ret, OVBD_BOARD_WIDTH, "%.40s layer %zu of %zu, %.*s: %s",
	         l->platform ? l->platform : "", l->number, l->n, DIGEST_SHOWN, l->source, numbers);
}

static void draw(struct ovbd_convert_told *t, double now)
{
	char lines[2][OVBD_BOARD_WIDTH];
	size_t n = 1;

	all_text(t, lines[0], now);
	if (t->current.on)
		layer_text(&t->current, lines[n++], now);
	ovbd_board_draw(&t->board, (const char(*)[OVBD_BOARD_WIDTH])lines, n);
}

static void print_line(const struct ovbd_convert_told *t, double now)
{
	char line[OVBD_BOARD_WIDTH];

	if (!t->current.on)
		return;
	layer_text(&t->current, line, now);
	ovbd_cli_note(t->c, "%s", line);
}

int ovbd_convert_told_progress(void *arg, uint64_t done, uint64_t total)
{
	struct ovbd_convert_told *t = arg;
	const double now = ovbd_progress_seconds(&t->progress);

	if (ovbd_interrupted())
		return 1;
	if (total == 0)
		return 0;
	t->done = done;
	t->current.done = done - t->current.before;
	if (t->events)
		ovbd_convert_event_progress(t, total);
	if (is_screen(t) && now >= DRAW_FIRST_S && now - t->drawn_s >= DRAW_EVERY_S) {
		draw(t, now);
		t->drawn_s = now;
	}
	if (is_lines(t) && now - t->drawn_s >= LINE_EVERY_S) {
		print_line(t, now);
		t->drawn_s = now;
	}
	return 0;
}

/* ---- what is told on the way ---- */

static void on_plan(void *arg, const struct ovbd_oci_told_plan *p)
{
	struct ovbd_convert_told *t = arg;

	t->plan = *p;
	t->planned_s = ovbd_progress_seconds(&t->progress);
	if (t->events)
		ovbd_convert_event_plan(t);
}

static void on_begin(void *arg, const struct ovbd_oci_told_layer *l)
{
	struct ovbd_convert_told *t = arg;
	const double now = ovbd_progress_seconds(&t->progress);

	free(t->current.platform);
	t->current = (struct ovbd_convert_current){
		.on = true,
		.platform = ovbd_text_escape(l->platform),
		.number = l->number,
		.n = l->n,
		.size = l->source_size,
		.before = t->done,
		.begun_s = now,
	};
	snprintf(t->current.source, sizeof(t->current.source), "%s", l->source);
	if (t->events)
		ovbd_convert_event_begin(l);
}

static void print_layer(struct ovbd_convert_told *t, const struct ovbd_oci_told_layer *l)
{
	AUTO_FREE char *platform = ovbd_text_escape(l->platform);
	char from[OVBD_SIZE_TEXT], to[OVBD_SIZE_TEXT];

	ovbd_size_text(from, l->source_size);
	ovbd_size_text(to, l->size);
	if (t->q->images.dry_run) {
		printf("%s: layer %zu of %zu: %s, %s: %s\n", platform ? platform : "", l->number,
		       l->n, l->source, from, l->there ? "is there" : "would be converted");
	} else if (t->c->verbose > 0 || is_lines(t)) {
		ovbd_convert_told_clear(t);
		ovbd_cli_note(t->c, "%s: layer %zu of %zu: %s, %s: %s, %s%s", l->platform,
		              l->number, l->n, l->source, from, l->digest, to,
		              l->there ? ", was there" : "");
		t->drawn_s = ovbd_progress_seconds(&t->progress);
	}
}

static void on_layer(void *arg, const struct ovbd_oci_told_layer *l)
{
	struct ovbd_convert_told *t = arg;

	t->nlarge += l->nlarge;
	if (!l->there)
		t->nmade++;
	if (t->events)
		ovbd_convert_event_layer(t, l);
	if (t->q->json)
		ovbd_convert_json_layer(t, l);
	else if (!t->events)
		print_layer(t, l);
	t->current.on = false;
}

static void on_image(void *arg, const struct ovbd_oci_told_image *i)
{
	struct ovbd_convert_told *t = arg;
	char from[OVBD_SIZE_TEXT], to[OVBD_SIZE_TEXT], n[OVBD_COUNT_TEXT];

	if (t->events)
		ovbd_convert_event_image(i);
	if (t->q->json)
		ovbd_convert_json_image(t, i);
	if (t->q->json || t->events || t->q->images.dry_run)
		return;
	ovbd_convert_told_clear(t);
	ovbd_cli_note(t->c, "%s: %s of %s in %s; %zu of %zu %s there", i->platform,
	              ovbd_count_text(n, i->nlayers, "layer"), ovbd_size_text(from, i->source_size),
	              ovbd_size_text(to, i->size), i->nthere, i->nlayers,
	              i->nthere == 1 ? "was" : "were");
}

/* "2 of 7 layers, 1 was there", and "pushing: 2 layers, 1.30 GiB to go" */
static void on_waiting(void *arg, size_t n, uint64_t size)
{
	struct ovbd_convert_told *t = arg;
	const double now = ovbd_progress_seconds(&t->progress);
	char lines[2][OVBD_BOARD_WIDTH], count[OVBD_COUNT_TEXT], left[OVBD_SIZE_TEXT];

	if (t->events)
		ovbd_convert_event_pushing(t, n, size);
	snprintf(lines[1], sizeof(lines[1]), "pushing: %s, %s to go",
	         ovbd_count_text(count, n, "layer"), ovbd_size_text(left, size));
	if (is_screen(t) && now >= DRAW_FIRST_S && now - t->drawn_s >= DRAW_EVERY_S) {
		snprintf(lines[0], sizeof(lines[0]), "%zu of %zu layers, %zu %s there",
		         t->nmade + t->plan.nthere, t->plan.nlayers, t->plan.nthere,
		         t->plan.nthere == 1 ? "was" : "were");
		ovbd_board_draw(&t->board, (const char(*)[OVBD_BOARD_WIDTH])lines, 2);
		t->drawn_s = now;
	}
	if (is_lines(t) && now - t->drawn_s >= LINE_EVERY_S) {
		ovbd_cli_note(t->c, "%s", lines[1]);
		t->drawn_s = now;
	}
}

static void on_warning(void *arg, const char *text)
{
	struct ovbd_convert_told *t = arg;

	ovbd_convert_told_clear(t);
	ovbd_cli_warning(t->c, "%s", text);
}

struct ovbd_oci_tell ovbd_convert_told_calls(struct ovbd_convert_told *t)
{
	return (struct ovbd_oci_tell){
		.plan = on_plan,
		.begin = on_begin,
		.layer = on_layer,
		.image = on_image,
		.waiting = on_waiting,
		.warning = on_warning,
		.arg = t,
	};
}

/* ---- at the end ---- */

void ovbd_convert_told_result(struct ovbd_convert_told *t, const struct ovbd_oci_converted *done)
{
	const char *dst = t->c->operands[1];
	char n[OVBD_COUNT_TEXT];

	if (t->nlarge > 0)
		ovbd_cli_warning(t->c,
		                 "%s: %" PRIu64
		                 " blocks grew beyond 64 KiB when compressed, which overlaybd "
		                 "cannot read; use --block-size 32K if that matters",
		                 dst, t->nlarge);
	if (t->events)
		ovbd_convert_event_result(t, done);
	if (t->q->json)
		ovbd_convert_json_print(t, done);
	if (t->q->json || t->events)
		return;
	if (done->skipped)
		ovbd_cli_note(t->c, "%s: %s: is made of %s like this already: nothing is done", dst,
		              done->digest, t->c->operands[0]);
	else if (t->q->images.dry_run)
		printf("%s: %s; %zu of %zu layers are there\n", dst,
		       ovbd_count_text(n, done->nimages, "image"), done->nthere, done->nlayers);
	else
		ovbd_cli_note(t->c, "%s: %s; %s, %zu of %zu layers were there; %.1f s", dst,
		              done->digest, ovbd_count_text(n, done->nimages, "image"),
		              done->nthere, done->nlayers, ovbd_progress_seconds(&t->progress));
}
