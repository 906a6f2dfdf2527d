/* SPDX-License-Identifier: Apache-2.0 */
/* Between bench.c and main.c. */
#ifndef OVBD_BENCH_BENCH_MAIN_H
#define OVBD_BENCH_BENCH_MAIN_H

#include <stdio.h>

struct bench;

struct bench_options {
	char **groups; /* those to run; none: all */
	int ngroups;
	FILE *json; /* or NULL */
};

/* Runs everything asked for; returns how many rows missed their target. */
unsigned bench_all(const struct bench_options *options);

/* Calls every group of this folder that is asked for. */
void bench_groups(struct bench *b);

#endif
