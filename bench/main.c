// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"
#include "bench/bench_main.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: ovbd-bench [--json FILE] [GROUP...]\n"
	"Prints what ovbd does a second, what the stated limit does in the same process, and the\n"
	"ratio. Groups: zfile lookup merge rw-index rw-space convert cow cow-create cow-merge "
	"verity "
	"cache bow.\n"
	"Exit 0 also where a wanted ratio is missed.\n";

void bench_groups(struct bench *b)
{
	static const struct {
		const char *name;
		void (*run)(struct bench *b);
	} groups[] = {
		{"zfile", bench_zfile},
		{"lookup", bench_lookup},
		{"merge", bench_merge},
		{"rw-index", bench_rw_index},
		{"rw-space", bench_rw_space},
		{"convert", bench_convert},
		{"cow", bench_cow},
		{"cow-create", bench_cow_create},
		{"cow-merge", bench_cow_merge},
		{"verity", bench_verity},
		{"cache", bench_cache},
		{"bow", bench_bow},
	};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (bench_wants(b, groups[i].name))
			groups[i].run(b);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct bench_options options = {0};
	int c;

	while ((c = getopt_long(argc, argv, "j:h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (c != 'j') {
			fputs(usage, stderr);
			return 2;
		}
		options.json = fopen(optarg, "w");
		if (!options.json) {
			perror(optarg);
			return 1;
		}
	}
	options.groups = argv + optind;
	options.ngroups = argc - optind;
	bench_all(&options);
	return options.json && fclose(options.json) != 0;
}
