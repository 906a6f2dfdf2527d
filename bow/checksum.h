/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/checksum*.c: the build links exactly one definition of this. */
#ifndef OVBD_BOW_CHECKSUM_H
#define OVBD_BOW_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What folds whole lines of BOW_CHECKSUM_LINE bytes, at least two of them, into the 16 bytes at
 * folded: those, from a register of 0, have the checksum that the lines have from crc. False: this
 * processor cannot. */
#define BOW_CHECKSUM_LINE 64u
bool ovbd_bow_checksum_fold(uint32_t crc, const uint8_t *p, size_t nlines, uint8_t folded[16]);

#endif
