/* SPDX-License-Identifier: Apache-2.0 */
/* What verbs that make file systems are asked for. */
#ifndef OVBD_TOOLS_FS_OPTIONS_H
#define OVBD_TOOLS_FS_OPTIONS_H

#include "tools/cli.h"

#define OVBD_FS_SIZE_DEFAULT (UINT64_C(64) << 30)

/* The value of --fs-size. 0; a mistake is told, and not 0. */
int ovbd_fs_size_option(struct ovbd_cli *c, uint64_t *ret);

/* Seconds since 1970 that reproducible builds agree on: SOURCE_DATE_EPOCH. 0 if none are given. */
int64_t ovbd_source_date(void);

#endif
