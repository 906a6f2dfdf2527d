/* SPDX-License-Identifier: Apache-2.0 */
/* One small file a device, ID.json in the state directory: what a restarted daemon attaches
 * again. */
#ifndef OVBD_DAEMON_STATE_FILE_H
#define OVBD_DAEMON_STATE_FILE_H

#include "daemon/spec.h"

/* Replaces the file as a whole: there is the old one or the new one at any time. */
int ovbd_state_file_write(const char *dir, const struct ovbd_spec *s, struct ovbd_error *err);

/* Where there is beside it what its users have trimmed (daemon/trimmed.h), if it has backup on
 * write; to be freed. NULL: no memory. */
char *ovbd_state_file_trimmed(const char *dir, const char *id);

/* With that. 0 also if there is none. */
int ovbd_state_file_remove(const char *dir, const char *id, struct ovbd_error *err);

/* Calls found() with each, in no order; it owns the spec. What is no state file is told to bad(),
 * and left alone. */
int ovbd_state_file_each(const char *dir, void (*found)(void *arg, struct ovbd_spec *take_s),
                         void (*bad)(void *arg, const struct ovbd_error *why), void *arg,
                         struct ovbd_error *err);

#endif
