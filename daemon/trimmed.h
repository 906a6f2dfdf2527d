/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the users of a device do not need, as far as they have said so and not written there since,
 * in a file that the daemon which comes next finds, however this one ended. It means nothing after
 * the host was started anew: then nobody knows what of it had come to a disk.
 */
#ifndef OVBD_DAEMON_TRIMMED_H
#define OVBD_DAEMON_TRIMMED_H

#include "base/device.h"

struct ovbd_trimmed_params {
	const char *path;    /* of the file, which is made if need be */
	uint64_t size;       /* bytes, of the device */
	uint32_t block_size; /* what is not needed is so in whole blocks */
	bool anew;           /* what is there is of another device */
};

/* Over take_d, of p->size: discards it once more, then notes what is discarded and written. Without
 * a file *ret is take_d, err says why, and it returns 0. */
int ovbd_trimmed_open(struct ovbd_device *take_d, const struct ovbd_trimmed_params *p,
                      struct ovbd_device **ret, struct ovbd_error *err);

#endif
