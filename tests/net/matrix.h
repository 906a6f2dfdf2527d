/* SPDX-License-Identifier: Apache-2.0 */
/* The table of faults: how each is made, and what a read says to it. */
#ifndef OVBD_TESTS_NET_MATRIX_H
#define OVBD_TESTS_NET_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

struct fault_row {
	const char *name;  /* the first column of docs/remote.md's table */
	const char *proxy; /* a command of fault_proxy.c, or NULL */
	bool cut;          /* the command needs new connections */
	const char *lie;   /* of range-server.py, or NULL */
	int code;          /* of a read while it lasts; 0: it gives the right bytes */
	const char *text;  /* and what is in its sentence; the table has it, too */
	/* What a read says if it happens once. */
	enum { ONCE_PASSES, ONCE_FAILS, ONCE_NOT } once;
};

extern const struct fault_row fault_rows[];
extern const size_t fault_nrows;

#endif
