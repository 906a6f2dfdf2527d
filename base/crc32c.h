/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) with the register used as it is: no
 * inversion before or after. The formats of overlaybd want this variant, with seeds of their own.
 * (The standard's CRC-32C is ~ovbd_crc32c(~0, buf, len).)
 */
#ifndef OVBD_BASE_CRC32C_H
#define OVBD_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues crc over len bytes. len = 0 returns crc. Any thread. */
uint32_t ovbd_crc32c(uint32_t crc, const void *buf, size_t len);

/* The implementations ovbd_crc32c() chooses from at run time, for tests to compare:
 * NULL-terminated. supported() says whether this processor has it; the last one (the table) always
 * is. */
struct ovbd_crc32c_impl {
	const char *name;
	int (*supported)(void);
	uint32_t (*update)(uint32_t crc, const void *buf, size_t len);
};
extern const struct ovbd_crc32c_impl *const ovbd_crc32c_impls[];

#endif
