// SPDX-License-Identifier: Apache-2.0
/*
 * Folding with the carry-less multiplication of x86-64: a register of 16 bytes that stands n bits
 * before another is the same, for the remainder by the polynomial, as its halves multiplied by
 * x^(n+32) and x^(n-32) (reflected; Gopal et al., "Fast CRC computation for generic polynomials").
 * Four registers run side by side, then become one.
 */
#include <stdbool.h>
#include <string.h>

#include <emmintrin.h>
#include <wmmintrin.h>

#include "bow/checksum.h"

#define TARGET __attribute__((target("sse2,pclmul")))

/* x^(n+32) and x^(n-32) by 0x1db710641, for n = 512 and 128 bits; unit_bow_format compares all
 * lengths with the definition. */
static const uint64_t by_512[2] = {0x154442bd4, 0x1c6e41596};
static const uint64_t by_128[2] = {0x1751997d0, 0x0ccaa009e};

TARGET static __m128i load(const void *p)
{
	__m128i v;

	memcpy(&v, p, sizeof(v));
	return v;
}

TARGET static __m128i fold(__m128i v, __m128i k, __m128i next)
{
	const __m128i low = _mm_clmulepi64_si128(v, k, 0x00);
	const __m128i high = _mm_clmulepi64_si128(v, k, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

TARGET static void fold_lines(uint32_t crc, const uint8_t *p, size_t nlines, uint8_t folded[16])
{
	const __m128i k = load(by_512), one = load(by_128);
	__m128i v[4];

	for (unsigned i = 0; i < 4; i++)
		v[i] = load(p + 16 * i);
	v[0] = _mm_xor_si128(v[0], _mm_cvtsi32_si128((int)crc));
	while (--nlines > 0) {
		p += BOW_CHECKSUM_LINE;
		for (unsigned i = 0; i < 4; i++)
			v[i] = fold(v[i], k, load(p + 16 * i));
	}
	for (unsigned i = 1; i < 4; i++)
		v[i] = fold(v[i - 1], one, v[i]);
	memcpy(folded, &v[3], 16);
}

bool ovbd_bow_checksum_fold(uint32_t crc, const uint8_t *p, size_t nlines, uint8_t folded[16])
{
	if (!__builtin_cpu_supports("pclmul"))
		return false;
	fold_lines(crc, p, nlines, folded);
	return true;
}
