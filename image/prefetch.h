/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: from a trace to what is fetched in the background. */
#ifndef OVBD_IMAGE_PREFETCH_H
#define OVBD_IMAGE_PREFETCH_H

#include "image/image.h"
#include "image/prefetch_list.h"
#include "image/refs.h"
#include "image/trace.h"
#include "remote/ahead.h"

/* What p->prefetch asks for, and refs where that lets them: loads the trace, or img's list of paths
 * in its place, or makes img's recorder and has p name it. *t, which is zero before, stays so if
 * there is none. */
int ovbd_image_prefetch_settle(struct ovbd_image_params *p, struct ovbd_refs *refs,
                               struct ovbd_image *img, struct ovbd_trace *t,
                               struct ovbd_error *err);

/* Begins, if there is something remote to fetch: with what is in img's list, if it has one, once
 * that is found. img is open. */
int ovbd_image_prefetch_begin(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                              const struct ovbd_trace *t, struct ovbd_error *err);

/* The same, of t alone. */
int ovbd_image_prefetch_start(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                              const struct ovbd_trace *t, struct ovbd_error *err);

/* Where the object has what a record names; false: it is not remote, or not there. */
bool ovbd_image_prefetch_place(const struct ovbd_image *img, const struct ovbd_trace_record *t,
                               struct ovbd_blob **ret, struct ovbd_range *ret_range);

#endif
