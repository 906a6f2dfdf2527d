// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/board.h"
#include "tools/interrupt.h"
#include "tools/size.h"

#define FIRST_NS  400000000u /* what is done before that needs no bar */
#define EVERY_NS  100000000u
#define BAR_MAX   40
#define LINE_TEXT (OVBD_PROGRESS_TEXT + 128)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void ovbd_progress_start(struct ovbd_progress *p, const struct ovbd_cli *c, bool wanted)
{
	*p = (struct ovbd_progress){.name = c->name, .start_ns = now_ns()};
	if (c->quiet)
		return;
	if (isatty(STDERR_FILENO))
		p->kind = OVBD_PROGRESS_BAR;
	else if (wanted)
		p->kind = OVBD_PROGRESS_LINES;
}

double ovbd_progress_seconds(const struct ovbd_progress *p)
{
	return (double)(now_ns() - p->start_ns) / 1e9;
}

static unsigned percent(uint64_t done, uint64_t total)
{
	if (done >= total)
		return 100;
	return (unsigned)((double)done * 100.0 / (double)total);
}

/* "5 s", "2:05", "1:02:05" */
static void duration_text(char *buf, size_t size, double seconds)
{
	const unsigned s = seconds < 1e7 ? (unsigned)(seconds + 0.5) : 10000000u;

	if (s < 60)
		snprintf(buf, size, "%u s", s);
	else if (s < 3600)
		snprintf(buf, size, "%u:%02u", s / 60, s % 60);
	else
		snprintf(buf, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
}

void ovbd_progress_text(char buf[OVBD_PROGRESS_TEXT], uint64_t done, uint64_t total, double seconds)
{
	char done_text[OVBD_SIZE_TEXT], total_text[OVBD_SIZE_TEXT], rate_text[OVBD_SIZE_TEXT];
	char left[16];
	const double rate = seconds > 0 ? (double)done / seconds : 0;

	ovbd_size_text(done_text, done);
	ovbd_size_text(total_text, total);
	ovbd_size_text(rate_text, (uint64_t)rate);
	if (done == 0 || done >= total) {
		snprintf(buf, OVBD_PROGRESS_TEXT, "%3u %%  %s of %s  %s/s", percent(done, total),
		         done_text, total_text, rate_text);
		return;
	}
	duration_text(left, sizeof(left), (double)(total - done) / rate);
	snprintf(buf, OVBD_PROGRESS_TEXT, "%3u %%  %s of %s  %s/s  %s left", percent(done, total),
	         done_text, total_text, rate_text, left);
}

static void line_text(const struct ovbd_progress *p, char ret[LINE_TEXT], uint64_t done,
                      uint64_t total, double seconds)
{
	char numbers[OVBD_PROGRESS_TEXT];

	ovbd_progress_text(numbers, done, total, seconds);
	snprintf(ret, LINE_TEXT, "%.120s%s%s", p->what ? p->what : "", p->what ? ": " : "",
	         numbers);
}

static void draw_bar(struct ovbd_progress *p, uint64_t done, uint64_t total, uint64_t now)
{
	char text[LINE_TEXT], bar[BAR_MAX + 1] = "";
	const int room = ovbd_board_width() - 1;
	int width, full;

	line_text(p, text, done, total, (double)(now - p->start_ns) / 1e9);
	width = room - (int)strlen(text) - 3;
	if (width > BAR_MAX)
		width = BAR_MAX;
	if (width >= 8) {
		full = width * (int)percent(done, total) / 100;
		memset(bar, '.', (size_t)width);
		memset(bar, '#', (size_t)full);
		bar[width] = '\0';
		fprintf(stderr, "\r\033[K[%s] %s", bar, text);
	} else {
		fprintf(stderr, "\r\033[K%.*s", room, text);
	}
	fflush(stderr);
	p->drawn = true;
	p->drawn_ns = now;
}

int ovbd_progress_update(void *arg, uint64_t done, uint64_t total)
{
	struct ovbd_progress *p = arg;
	uint64_t now;

	if (ovbd_interrupted())
		return 1;
	if (total == 0)
		return 0;
	if (p->kind == OVBD_PROGRESS_LINES && percent(done, total) / 10 > p->tenths) {
		char text[LINE_TEXT];

		p->tenths = percent(done, total) / 10;
		line_text(p, text, done, total, ovbd_progress_seconds(p));
		fprintf(stderr, "%s: %s\n", p->name, text);
	}
	if (p->kind == OVBD_PROGRESS_BAR) {
		now = now_ns();
		if (now - p->start_ns >= FIRST_NS && now - p->drawn_ns >= EVERY_NS)
			draw_bar(p, done, total, now);
	}
	return 0;
}

void ovbd_progress_end(struct ovbd_progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
