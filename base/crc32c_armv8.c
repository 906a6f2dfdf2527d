// SPDX-License-Identifier: Apache-2.0
/* CRC-32C with the crc32c instructions of ARMv8 (optional in 8.0, always there from 8.1 on). */
#include "base/crc32c_impl.h"

#include <arm_acle.h>
#include <string.h>
#include <sys/auxv.h>

#define HWCAP_CRC32_BIT (1ul << 7) /* HWCAP_CRC32 of asm/hwcap.h */

__attribute__((target("+crc"))) static uint32_t update(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		crc = __crc32cd(crc, v);
	}
	for (; len > 0; len--)
		crc = __crc32cb(crc, *p++);
	return crc;
}

static int supported(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_CRC32_BIT) != 0;
}

const struct ovbd_crc32c_impl ovbd_crc32c_hardware = {"armv8", supported, update};
