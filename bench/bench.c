// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"
#include "bench/bench_main.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_DEFAULT 7
#define ROUNDS_MAX     101

struct bench {
	const struct bench_options *options;
	const char *group; /* of the row before */
	unsigned nrows;
	unsigned nmissed;
};

static volatile uint64_t kept;

void bench_keep(uint64_t value)
{
	kept += value;
}

static double now(bool wall)
{
	struct timespec t;

	clock_gettime(wall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double time_of(void (*fn)(void *arg), void *arg, bool wall)
{
	const double start = now(wall);

	fn(arg);
	return now(wall) - start;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(v[0]), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void print_row(struct bench *b, const struct bench_row *row, const double figure[3])
{
	const char *verdict = row->target <= 0 ? "" : figure[2] >= row->target ? "ok" : "MISSED";
	FILE *json = b->options->json;

	if (!b->group || strcmp(b->group, row->group) != 0) {
		printf("\n%-46s %10s %10s  %-13s %6s %6s\n", row->group, "ours", "limit", "unit",
		       "ratio", "want");
		b->group = row->group;
	}
	printf("  %-44s %10.1f %10.1f  %-13s %6.2f", row->name, figure[0], figure[1], row->unit,
	       figure[2]);
	if (row->target > 0)
		printf(" %6.2f %s", row->target, verdict);
	printf("\n");
	fflush(stdout);
	if (!json)
		return;
	fprintf(json,
	        "%s\n    {\"group\": \"%s\", \"name\": \"%s\", \"limit\": \"%s\", \"unit\": "
	        "\"%s\", "
	        "\"ours\": %.3f, \"limit_figure\": %.3f, \"ratio\": %.4f, \"target\": %.2f}",
	        b->nrows ? "," : "", row->group, row->name, row->limit, row->unit, figure[0],
	        figure[1], figure[2], row->target);
}

double bench_run(struct bench *b, const struct bench_row *row)
{
	const unsigned rounds = row->rounds ? row->rounds : ROUNDS_DEFAULT;
	double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratio[ROUNDS_MAX], figure[3];

	assert(rounds <= ROUNDS_MAX);
	row->ours(row->arg);
	row->theirs(row->arg);
	for (unsigned i = 0; i < rounds; i++) {
		ours[i] = time_of(row->ours, row->arg, row->wall);
		theirs[i] = time_of(row->theirs, row->arg, row->wall);
		ratio[i] = theirs[i] / ours[i];
	}
	figure[0] = row->work / median(ours, rounds);
	figure[1] = row->work / median(theirs, rounds);
	figure[2] = median(ratio, rounds);
	print_row(b, row, figure);
	b->nrows++;
	b->nmissed += row->target > 0 && figure[2] < row->target;
	return figure[2];
}

bool bench_wants(const struct bench *b, const char *group)
{
	if (b->options->ngroups == 0)
		return true;
	for (int i = 0; i < b->options->ngroups; i++)
		if (strcmp(b->options->groups[i], group) == 0)
			return true;
	return false;
}

unsigned bench_all(const struct bench_options *options)
{
	struct bench b = {.options = options};

	if (options->json)
		fprintf(options->json, "{\"schema\": \"ovbd.bench.v1\", \"rows\": [");
	bench_groups(&b);
	if (options->json)
		fprintf(options->json, "\n]}\n");
	printf("\n%u rows, %u below what is wanted\n", b.nrows, b.nmissed);
	return b.nmissed;
}
