/* SPDX-License-Identifier: Apache-2.0 */
/* Random COWs of version 2.0 that are larger than those of cow_random.h, and whose operations come
 * in runs of neighbours that have been moved by the same distance. Always safe to merge. */
#ifndef OVBD_TESTS_LIB_COW_RUNS_H
#define OVBD_TESTS_LIB_COW_RUNS_H

#include "tests/lib/cow_random.h"

/* The same for the same seed. Up to nblocks_max blocks, and to be freed with test_cow_free(). */
void test_cow_runs(uint64_t seed, uint32_t nblocks_max, struct test_cow *ret);

#endif
