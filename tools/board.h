/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines at the end of a terminal, on standard error, that are drawn anew in their place: what is
 * printed between ovbd_board_clear() and the next drawing stays above them.
 */
#ifndef OVBD_TOOLS_BOARD_H
#define OVBD_TOOLS_BOARD_H

#include <stddef.h>

#define OVBD_BOARD_LINES 16
#define OVBD_BOARD_WIDTH 256

struct ovbd_board {
	size_t drawn; /* lines that are on the screen */
};

/* The columns of the terminal. */
int ovbd_board_width(void);

/* n lines of at most OVBD_BOARD_LINES; of each what fits. They hold no control characters. */
void ovbd_board_draw(struct ovbd_board *b, const char lines[][OVBD_BOARD_WIDTH], size_t n);

/* Takes them off the screen. */
void ovbd_board_clear(struct ovbd_board *b);

#endif
