// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"

void bench_zfile(struct bench *b)
{
	(void)b;
}
