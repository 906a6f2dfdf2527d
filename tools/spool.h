/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input and output as what the rest of the house works with. */
#ifndef OVBD_TOOLS_SPOOL_H
#define OVBD_TOOLS_SPOOL_H

#include "base/blob.h"
#include "base/sink.h"

/* Reads standard input to its end into a file without a name in dir, with zero blocks as holes.
 * Needed because a layer begins with the size of its device. */
int ovbd_spool_stdin(const char *dir, struct ovbd_blob **ret, struct ovbd_error *err);

/* A sink that writes to standard output as it goes; it cannot patch. */
int ovbd_sink_create_stdout(struct ovbd_sink **ret, struct ovbd_error *err);

#endif
