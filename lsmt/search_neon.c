// SPDX-License-Identifier: Apache-2.0
/* The search with NEON, which every 64-bit ARM has: a comparison gives -1 for each key <= x, and
 * the sum of these is what is wanted. */
#include "lsmt/search.h"

#include <arm_neon.h>

#define TARGET

static inline uint64_t count_narrow(const uint32_t *node, uint32_t x)
{
	const uint32x4_t v = vdupq_n_u32(x);
	const uint32x4_t a =
		vaddq_u32(vcleq_u32(vld1q_u32(node), v), vcleq_u32(vld1q_u32(node + 4), v));
	const uint32x4_t b =
		vaddq_u32(vcleq_u32(vld1q_u32(node + 8), v), vcleq_u32(vld1q_u32(node + 12), v));

	return 0u - vaddvq_u32(vaddq_u32(a, b));
}

static inline uint64_t count_wide(const uint64_t *node, uint64_t x)
{
	const uint64x2_t v = vdupq_n_u64(x);
	const uint64x2_t a =
		vaddq_u64(vcleq_u64(vld1q_u64(node), v), vcleq_u64(vld1q_u64(node + 2), v));
	const uint64x2_t b =
		vaddq_u64(vcleq_u64(vld1q_u64(node + 4), v), vcleq_u64(vld1q_u64(node + 6), v));

	return (unsigned)(0u - vaddvq_u64(vaddq_u64(a, b)));
}

static bool supported(void)
{
	return true;
}

OVBD_SEARCH(ovbd_search_neon, "neon", TARGET, count_narrow, count_wide);
