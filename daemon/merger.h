/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A base and a COW that are served as what they read as together, and can be merged meanwhile, in
 * place, by a thread of its own (ota/merge.h). It begins when it is told to, and goes on where it
 * was left, also by an earlier process.
 */
#ifndef OVBD_DAEMON_MERGER_H
#define OVBD_DAEMON_MERGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"

enum ovbd_merger_state {
	OVBD_MERGER_WAITING, /* not told to merge */
	OVBD_MERGER_MERGING, /* or paused */
	OVBD_MERGER_COMPLETE,
	OVBD_MERGER_FAILED, /* until it is told to again; reads are right */
};

struct ovbd_merger_status {
	enum ovbd_merger_state state;
	uint64_t nmerged, nops;
};

struct ovbd_merger;

/* Of two paths. -EBUSY: one of them is in use. */
int ovbd_merger_open(const char *base, const char *cow, struct ovbd_merger **ret,
                     struct ovbd_error *err);

/* What they read as; the merger's. */
struct ovbd_blob *ovbd_merger_view(struct ovbd_merger *m);

/* All of these from any thread. start: again is fine; after a failure it is tried again. What is
 * paused goes on with its step, some MiB, at most. */
int ovbd_merger_start(struct ovbd_merger *m, struct ovbd_error *err);
void ovbd_merger_pause(struct ovbd_merger *m, bool pause);
void ovbd_merger_status(struct ovbd_merger *m, struct ovbd_merger_status *ret);

/* Ends its thread after the step that it is in. NULL is fine. */
void ovbd_merger_close(struct ovbd_merger *take_m);

#endif
