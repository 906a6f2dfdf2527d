/* SPDX-License-Identifier: Apache-2.0 */
/* What the container snapshotter reads to learn why a disk could not be opened. */
#ifndef OVBD_DAEMON_RESULT_FILE_H
#define OVBD_DAEMON_RESULT_FILE_H

#include "base/error.h"

/*
 * Writes "success", or "failed:" and why, to the file that the image configuration at config names
 * as its resultFile, from the configuration's directory if it is relative. status is 0 or -errno. 0
 * also if it names none; -EBADMSG if it is no JSON.
 */
int ovbd_result_file_write(const char *config, int status, const char *why, struct ovbd_error *err);

#endif
