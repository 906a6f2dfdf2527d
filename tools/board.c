// SPDX-License-Identifier: Apache-2.0
#include "tools/board.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLEAR_LINE  "\r\033[K"
#define CLEAR_BELOW "\r\033[J"

int ovbd_board_width(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return 80;
}

/* To the first of the lines. */
static void go_up(const struct ovbd_board *b)
{
	if (b->drawn > 1)
		fprintf(stderr, "\033[%zuA", b->drawn - 1);
}

void ovbd_board_draw(struct ovbd_board *b, const char lines[][OVBD_BOARD_WIDTH], size_t n)
{
	const int room = ovbd_board_width() - 1; /* the last column may wrap */

	go_up(b);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s" CLEAR_LINE "%.*s", i > 0 ? "\n" : "", room, lines[i]);
	if (n < b->drawn)
		fputs("\033[J", stderr);
	fflush(stderr);
	b->drawn = n;
}

void ovbd_board_clear(struct ovbd_board *b)
{
	if (b->drawn == 0)
		return;
	go_up(b);
	fputs(CLEAR_BELOW, stderr);
	fflush(stderr);
	b->drawn = 0;
}
