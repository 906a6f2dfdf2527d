/* SPDX-License-Identifier: Apache-2.0 */
/* A file of lines that is kept from growing: PATH, and older ones as PATH.1 (the newest) to
 * PATH.N. */
#ifndef OVBD_DAEMON_LOG_FILE_H
#define OVBD_DAEMON_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ovbd_log_file_params {
	const char *path;  /* copied */
	uint64_t size_max; /* bytes of a file; 0: no limit */
	unsigned nold;     /* older files that are kept */
};

struct ovbd_log_file;

/* Appends to what is there. */
int ovbd_log_file_open(const struct ovbd_log_file_params *p, struct ovbd_log_file **ret,
                       struct ovbd_error *err);

/* A line, with its end. Any thread; a line is never torn, nor lost between two files. One that
 * cannot be written (a full disk) is counted, and the next that can be says how many there were. */
void ovbd_log_file_write(struct ovbd_log_file *f, const char *line, size_t len);

/* Whoever has moved the file away (logrotate) wants a new one. Goes on with the old one after a
 * failure. */
int ovbd_log_file_reopen(struct ovbd_log_file *f, struct ovbd_error *err);

/* NULL is fine. */
void ovbd_log_file_close(struct ovbd_log_file *take_f);

#endif
