// SPDX-License-Identifier: Apache-2.0
/* The search in plain C, for any processor. */
#include "lsmt/search.h"

#define TARGET

static inline uint64_t count_narrow(const uint32_t *node, uint32_t x)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_NARROW_KEYS; i++)
		n += node[i] <= x;
	return n;
}

static inline uint64_t count_wide(const uint64_t *node, uint64_t x)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_WIDE_KEYS; i++)
		n += node[i] <= x;
	return n;
}

static bool supported(void)
{
	return true;
}

OVBD_SEARCH(ovbd_search_plain, "plain", TARGET, count_narrow, count_wide);
