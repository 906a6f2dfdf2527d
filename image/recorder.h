/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records what is read of the layers of one image, each page of 4 KiB once, in the order of the
 * first reads. It never fails a read: where its memory ends (24 MiB of records, 64 MiB of what was
 * seen) it records no more.
 *
 * Any thread. It outlives the blobs.
 */
#ifndef OVBD_IMAGE_RECORDER_H
#define OVBD_IMAGE_RECORDER_H

#include <stdbool.h>

#include "base/blob.h"
#include "image/trace.h"

struct ovbd_recorder;

int ovbd_recorder_create(struct ovbd_recorder **ret, struct ovbd_error *err);

/* take_b, whose reads are recorded as those of this layer. */
int ovbd_recorder_wrap(struct ovbd_recorder *r, uint32_t layer, struct ovbd_blob *take_b,
                       struct ovbd_blob **ret, struct ovbd_error *err);

/* What was recorded so far, to be freed; *t is zero before. *ret_whole: none was left out. */
int ovbd_recorder_copy(struct ovbd_recorder *r, struct ovbd_trace *t, bool *ret_whole,
                       struct ovbd_error *err);

/* Records nothing of what the calling thread reads: it is not one of the image's users. */
void ovbd_recorder_ignore_thread(void);

/* Records no more. */
void ovbd_recorder_stop(struct ovbd_recorder *r);

/* NULL is fine. */
void ovbd_recorder_close(struct ovbd_recorder *take_r);

static inline void ovbd_recorder_closep(struct ovbd_recorder **r)
{
	ovbd_recorder_close(*r);
}

#endif
