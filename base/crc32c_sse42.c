// SPDX-License-Identifier: Apache-2.0
/*
 * CRC-32C with the crc32 instruction of SSE 4.2.
 *
 * The instruction takes 3 cycles but one can start in each: long buffers are cut into three
 * streams that run side by side. crc(A|B|C) follows from the three by "running" the first two over
 * the zeros that stand for what comes after them; over a fixed number of zeros that is one
 * carry-less multiplication by a constant and a reduction, which the crc32 instruction itself does.
 */
#include "base/crc32c_impl.h"

#include <nmmintrin.h>
#include <string.h>
#include <wmmintrin.h>

#define TARGET __attribute__((target("sse4.2,pclmul")))

/* A lap is 3 streams of STREAM bytes. */
#define STREAM 256

/* x^(8*n - 33) mod P, bit-reflected, for n = STREAM and 2*STREAM; see tests/unit/crc32c.c, which
 * compares every length up to several laps with the table. */
static const uint64_t shift_one = 0xb9e02b86;
static const uint64_t shift_two = 0xdd7e3b0c;

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The register after running over the zeros that k stands for. */
TARGET static uint32_t shift(uint32_t crc, uint64_t k)
{
	const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc),
	                                             _mm_cvtsi64_si128((long long)k), 0);

	return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

TARGET static uint32_t update_lap(uint32_t crc, const uint8_t *p)
{
	uint64_t a = crc, b = 0, c = 0;

	for (size_t i = 0; i < STREAM; i += 8) {
		a = _mm_crc32_u64(a, load(p + i));
		b = _mm_crc32_u64(b, load(p + STREAM + i));
		c = _mm_crc32_u64(c, load(p + 2 * STREAM + i));
	}
	return shift((uint32_t)a, shift_two) ^ shift((uint32_t)b, shift_one) ^ (uint32_t)c;
}

TARGET static uint32_t update(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t c = crc;

	for (; len >= 3 * STREAM; len -= 3 * STREAM, p += 3 * STREAM)
		c = update_lap((uint32_t)c, p);
	for (; len >= 8; len -= 8, p += 8)
		c = _mm_crc32_u64(c, load(p));
	for (; len > 0; len--)
		c = _mm_crc32_u8((uint32_t)c, *p++);
	return (uint32_t)c;
}

static int supported(void)
{
	return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

const struct ovbd_crc32c_impl ovbd_crc32c_hardware = {"sse4.2", supported, update};
