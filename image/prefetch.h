/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: from a trace to what is fetched in the background. */
#ifndef OVBD_IMAGE_PREFETCH_H
#define OVBD_IMAGE_PREFETCH_H

#include "image/image.h"
#include "image/trace.h"

/* The trace that how asks for; *t, which is zero before, stays so if it asks for none. */
int ovbd_image_trace_load(const struct ovbd_image_prefetch *how, struct ovbd_trace *t,
                          struct ovbd_error *err);

/* Begins, if there is something remote to fetch. img is open. */
int ovbd_image_prefetch_start(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                              const struct ovbd_trace *t, struct ovbd_error *err);

#endif
