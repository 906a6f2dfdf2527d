/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX.1-2001 pax interchange format, as far as one wrapped file needs it. Pure. */
#ifndef OVBD_IMAGE_TAR_FORMAT_H
#define OVBD_IMAGE_TAR_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tar.h"

#define TAR_BLOCK OVBD_TAR_BLOCK

/* The two headers and the pax record that overlaybd writes before the data. */
#define TAR_WRAP_SIZE (3 * TAR_BLOCK)

struct tar_header {
	char type;     /* '0' a file, 'x' pax records for the next header, ... */
	uint64_t size; /* bytes of the member's data */
};

/* Whether raw is a tar header with a right checksum; if so, what it says. */
bool tar_header_decode(const uint8_t raw[TAR_BLOCK], struct tar_header *ret);

/* Looks for "size" in the pax records. 1: *ret is set; 0: it is not there; -EBADMSG: bad
 * records. */
int tar_pax_size(const uint8_t *records, size_t len, uint64_t *ret);

/* What stands before size bytes of data. */
void tar_wrap_encode(uint64_t size, uint8_t ret_raw[TAR_WRAP_SIZE]);

#endif
