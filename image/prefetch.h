/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: from a trace to what is fetched in the background. */
#ifndef OVBD_IMAGE_PREFETCH_H
#define OVBD_IMAGE_PREFETCH_H

#include "image/image.h"
#include "image/refs.h"
#include "image/trace.h"

/* What p->prefetch asks for, and refs where that lets them: loads the trace, or makes img's
 * recorder and has p name it. *t, which is zero before, stays so if there is none. */
int ovbd_image_prefetch_settle(struct ovbd_image_params *p, struct ovbd_refs *refs,
                               struct ovbd_image *img, struct ovbd_trace *t,
                               struct ovbd_error *err);

/* Begins, if there is something remote to fetch. img is open. */
int ovbd_image_prefetch_start(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                              const struct ovbd_trace *t, struct ovbd_error *err);

#endif
