/* SPDX-License-Identifier: Apache-2.0 */
/* Private to ota/dm_snapshot*.c: the bytes of the kernel's persistent exception store. */
#ifndef OVBD_OTA_DM_SNAPSHOT_FORMAT_H
#define OVBD_OTA_DM_SNAPSHOT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
	SNAPSHOT_OFF_MAGIC = 0,
	SNAPSHOT_OFF_VALID = 4,
	SNAPSHOT_OFF_VERSION = 8,
	SNAPSHOT_OFF_CHUNK_SIZE = 12,
	SNAPSHOT_HEADER_SIZE = 16,
	/* of an exception */
	SNAPSHOT_OFF_OLD = 0,
	SNAPSHOT_OFF_NEW = 8,
	SNAPSHOT_EXCEPTION_SIZE = 16,
};

struct snapshot_header {
	uint32_t chunk_size; /* bytes, a power of two */
};

struct snapshot_exception {
	uint64_t old, new; /* chunks, of the origin and of the store; new 0: the list ends */
};

bool ovbd_snapshot_magic(const uint8_t buf[SNAPSHOT_HEADER_SIZE]);

/* -EBADMSG, -ENOTSUP */
int ovbd_snapshot_header_decode(const uint8_t buf[SNAPSHOT_HEADER_SIZE],
                                struct snapshot_header *ret, struct ovbd_error *err);
struct snapshot_exception
ovbd_snapshot_exception_decode(const uint8_t buf[SNAPSHOT_EXCEPTION_SIZE]);

#endif
