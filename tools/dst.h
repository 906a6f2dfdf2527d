/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_TOOLS_DST_H
#define OVBD_TOOLS_DST_H

#include <stdbool.h>

#include "base/error.h"

/* Whether dst, a path or "-", may be written, told before the work and not after it. */
int ovbd_dst_check(const char *dst, bool force, struct ovbd_error *err);

#endif
