// SPDX-License-Identifier: Apache-2.0
/*
 * The search with AVX2: two comparisons for a node. AVX2 compares signed numbers only; 32-bit keys
 * get round that by a maximum (max(k, x) = x), 64-bit keys by turning the sign bits over.
 */
#include "lsmt/search.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,popcnt")))

TARGET static inline unsigned le_narrow(const uint32_t *keys, __m256i x)
{
	const __m256i k = _mm256_load_si256((const __m256i *)(const void *)keys);
	const __m256i le = _mm256_cmpeq_epi32(_mm256_max_epu32(k, x), x);

	return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(le));
}

TARGET static inline uint64_t count_narrow(const uint32_t *node, uint32_t x)
{
	const __m256i v = _mm256_set1_epi32((int)x);

	return (uint64_t)_mm_popcnt_u64(le_narrow(node, v) | le_narrow(node + 8, v) << 8);
}

/* Bits of the keys that are greater than x; x comes with its sign bits turned over. */
TARGET static inline unsigned gt_wide(const uint64_t *keys, __m256i x)
{
	const __m256i k = _mm256_load_si256((const __m256i *)(const void *)keys);
	const __m256i gt =
		_mm256_cmpgt_epi64(_mm256_xor_si256(k, _mm256_set1_epi64x(INT64_MIN)), x);

	return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(gt));
}

TARGET static inline uint64_t count_wide(const uint64_t *node, uint64_t x)
{
	const __m256i v = _mm256_set1_epi64x((long long)(x ^ UINT64_C(1) << 63));

	return INDEX_WIDE_KEYS -
	       (uint64_t)_mm_popcnt_u64(gt_wide(node, v) | gt_wide(node + 4, v) << 4);
}

static bool supported(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
}

OVBD_SEARCH(ovbd_search_avx2, "avx2", TARGET, count_narrow, count_wide);
