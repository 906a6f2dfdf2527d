// SPDX-License-Identifier: Apache-2.0
/*
 * The choice of an implementation, and the portable one.
 *
 * The table implementation takes eight bytes a step with eight tables ("slicing by 8"); the tables
 * are computed once, at first use. The processor's own instructions are in crc32c_sse42.c and
 * crc32c_armv8.c, of which the build takes the one that fits.
 */
#include "base/crc32c.h"
#include "base/crc32c_impl.h"
#include "base/bytes.h"

#include <pthread.h>
#include <stdatomic.h>

#define POLYNOMIAL 0x82F63B78u

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
}

static uint32_t update_table(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	pthread_once(&table_once, make_table);
	for (; len >= 8; len -= 8, p += 8) {
		const uint32_t a = ovbd_get_le32(p) ^ crc, b = ovbd_get_le32(p + 4);

		crc = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^ table[5][a >> 16 & 0xff] ^
		      table[4][a >> 24] ^ table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^
		      table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
	}
	for (; len > 0; len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return crc;
}

static int always(void)
{
	return 1;
}

static const struct ovbd_crc32c_impl impl_table = {"table", always, update_table};

const struct ovbd_crc32c_impl *const ovbd_crc32c_impls[] = {
	&ovbd_crc32c_hardware,
	&impl_table,
	NULL,
};

uint32_t ovbd_crc32c(uint32_t crc, const void *buf, size_t len)
{
	/* Chosen by whoever comes first; two who come first choose the same. */
	static _Atomic(const struct ovbd_crc32c_impl *) chosen;
	const struct ovbd_crc32c_impl *impl = atomic_load_explicit(&chosen, memory_order_relaxed);

	if (!impl) {
		impl = ovbd_crc32c_hardware.supported() ? &ovbd_crc32c_hardware : &impl_table;
		atomic_store_explicit(&chosen, impl, memory_order_relaxed);
	}
	return impl->update(crc, buf, len);
}
