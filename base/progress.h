/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_BASE_PROGRESS_H
#define OVBD_BASE_PROGRESS_H

#include <stdint.h>

/* Called now and then by what takes long, in the calling thread, with the bytes done of total (0:
 * unknown). A return other than 0 stops the work with -ECANCELED. */
typedef int (*ovbd_progress_fn)(void *arg, uint64_t done, uint64_t total);

#endif
