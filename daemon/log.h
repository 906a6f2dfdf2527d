/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's log: lines on standard error, which systemd's journal takes with their level, or in
 * a file. */
#ifndef OVBD_DAEMON_LOG_H
#define OVBD_DAEMON_LOG_H

#include "daemon/log_file.h"

/* As syslog's; a smaller one is more urgent. */
enum ovbd_log_level {
	OVBD_LOG_ERROR = 3,
	OVBD_LOG_WARNING = 4,
	OVBD_LOG_INFO = 6,
	OVBD_LOG_DEBUG = 7,
};

/* "error", "warning", "info", "debug"; -EINVAL if it is none. */
int ovbd_log_parse(const char *name, enum ovbd_log_level *ret);

/* What is less urgent is not written. Any thread. */
void ovbd_log_set(enum ovbd_log_level level);

/* Any thread; a line at a time. */
void ovbd_log(enum ovbd_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* What became of a device, or without an id ("") what somebody asked for, for the audit file,
 * whatever the level; nothing if there is none. Any thread. */
void ovbd_log_audit(const char *id, const char *sentence);

/* Where lines go from now on. NULL: to standard error; nowhere. Both must live as long as the
 * process. */
void ovbd_log_files(struct ovbd_log_file *log, struct ovbd_log_file *audit);

#endif
