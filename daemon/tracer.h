/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace of a device, as overlaybd's daemon makes it: beside the file PATH there is PATH.lock
 * while it is recorded. When somebody removes that, or the device ends, the trace is written to
 * PATH, and then PATH.ok is made.
 */
#ifndef OVBD_DAEMON_TRACER_H
#define OVBD_DAEMON_TRACER_H

#include <stdbool.h>

#include "image/recorder.h"

struct ovbd_tracer;

typedef void (*ovbd_tracer_told_fn)(void *arg, bool error, const char *sentence);

/* recorder outlives it. */
int ovbd_tracer_open(struct ovbd_recorder *recorder, const char *path, ovbd_tracer_told_fn told,
                     void *arg, struct ovbd_tracer **ret, struct ovbd_error *err);

/* Writes the trace, unless that has been done. NULL is fine. */
void ovbd_tracer_close(struct ovbd_tracer *take_t);

#endif
