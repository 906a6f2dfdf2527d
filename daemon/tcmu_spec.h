/* SPDX-License-Identifier: Apache-2.0 */
/* What the name of a disk that others have made asks of the device manager. */
#ifndef OVBD_DAEMON_TCMU_SPEC_H
#define OVBD_DAEMON_TCMU_SPEC_H

#include "daemon/spec.h"
#include "daemon/tcmu.h"

/* Of a subtype that we serve; and not one of our own. */
bool ovbd_tcmu_is_asked_of_us(const struct ovbd_tcmu_name *name);

/* Its image is a configuration, whose resultFile is to be written. */
bool ovbd_tcmu_has_result(const struct ovbd_tcmu_name *name);

/* The path that a disk's configuration means; to be freed. */
char *ovbd_tcmu_image_of(const struct ovbd_tcmu_name *name);

/* By what its maker may call it besides, for snapshots; NULL: nothing. */
const char *ovbd_tcmu_alias_of(const struct ovbd_tcmu_name *name, const char *image);

/* in_use: it has been served before. */
int ovbd_tcmu_spec_of(const struct ovbd_tcmu_name *name, unsigned minor, bool in_use,
                      struct ovbd_spec **ret, struct ovbd_error *err);

#endif
