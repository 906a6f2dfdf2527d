// SPDX-License-Identifier: Apache-2.0
/* The search with AVX-512: one comparison for a whole node. */
#include "lsmt/search.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,popcnt")))

/* x >= keys, not keys <= x: so the keys can be an operand in memory. */
TARGET static inline uint64_t count_narrow(const uint32_t *node, uint32_t x)
{
	const __m512i v = _mm512_set1_epi32((int)x);

	return (uint64_t)_mm_popcnt_u64(_mm512_cmpge_epu32_mask(v, _mm512_load_si512(node)));
}

TARGET static inline uint64_t count_wide(const uint64_t *node, uint64_t x)
{
	const __m512i v = _mm512_set1_epi64((long long)x);

	return (uint64_t)_mm_popcnt_u64(_mm512_cmpge_epu64_mask(v, _mm512_load_si512(node)));
}

static bool supported(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("popcnt");
}

OVBD_SEARCH(ovbd_search_avx512, "avx512", TARGET, count_narrow, count_wide);
