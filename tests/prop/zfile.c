// SPDX-License-Identifier: Apache-2.0
/*
 * Random content through writer and reader, against the content itself. The seed of a round is
 * printed when it fails; "prop_zfile SEED" runs that round alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/lib/zfile_make.h"

#define NROUNDS      300u
#define SIZE_MAX_RAW 400000u

static void die(uint64_t seed, const char *what)
{
	printf("seed %llu: %s\n", (unsigned long long)seed, what);
	exit(1);
}

/* Lengths around the edges of blocks are more likely than others. */
static size_t random_len(uint64_t *state, uint32_t block_size)
{
	const uint64_t any = test_random(state) % SIZE_MAX_RAW;

	switch (test_random(state) % 4) {
	case 0:
		return (size_t)ovbd_align_down(any, block_size);
	case 1:
		return (size_t)ovbd_align_down(any, block_size) + 1;
	case 2:
		return (size_t)ovbd_align_up(any + 1, block_size) - 1;
	default:
		return (size_t)any;
	}
}

static void read_ranges(struct ovbd_blob *b, const struct test_bytes *raw, uint64_t *state,
                        uint64_t seed)
{
	uint8_t *buf = malloc(raw->len + 1);

	for (int i = 0; i < 20; i++) {
		const uint64_t off = test_random(state) % (raw->len + 1);
		const uint64_t most = i % 2 ? raw->len : 5000;
		const size_t len =
			(size_t)(test_random(state) % (ovbd_min(most, raw->len - off) + 1));

		if (ovbd_blob_pread(b, buf, len, off, NULL) < 0)
			die(seed, "a read fails");
		if (memcmp(buf, raw->p + off, len) != 0)
			die(seed, "a read gives other bytes");
	}
	free(buf);
}

static void round_of(uint64_t seed)
{
	uint64_t state = seed;
	const struct ovbd_zfile_params p = {
		.codec = test_random(&state) % 2 ? OVBD_CODEC_LZ4 : OVBD_CODEC_ZSTD,
		.block_size = 4096u << test_random(&state) % 5,
		.checksum = test_random(&state) % 4 != 0,
		.trailer_only = test_random(&state) % 2,
		.nthreads = 1 + (unsigned)(test_random(&state) % 3),
	};
	struct test_bytes raw = test_mixed(random_len(&state, p.block_size), seed);
	struct test_bytes z = test_zfile_make(&raw, &p);
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	if (test_zfile_open(&z, &b, &err) < 0 || ovbd_zfile_check(b, NULL, NULL, &err) < 0)
		die(seed, err.msg);
	if (b->size != raw.len)
		die(seed, "another size");
	read_ranges(b, &raw, &state, seed);
	free(raw.p);
	free(z.p);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		round_of(strtoull(argv[1], NULL, 0));
		return 0;
	}
	for (uint64_t seed = 0; seed < NROUNDS; seed++)
		round_of(seed);
	printf("%u rounds\n", NROUNDS);
	return 0;
}
