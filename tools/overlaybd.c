// SPDX-License-Identifier: Apache-2.0
#include "tools/overlaybd.h"

#include <stdlib.h>
#include <string.h>

#include "tools/scan.h"

#define THREADS_MAX 256u

const struct ovbd_verb *const ovbd_programs[] = {
	&ovbd_overlaybd_create, &ovbd_overlaybd_commit,
	&ovbd_overlaybd_apply,  &ovbd_overlaybd_merge,
	&ovbd_overlaybd_zfile,  &ovbd_overlaybd_resize,
	&ovbd_overlaybd_turbo,  NULL,
};

static int refuse_turbo(struct ovbd_cli *c, int id)
{
	ovbd_cli_error(c, "--%s: layers of turboOCI are not made here; overlaybd's own tool does",
	               id == OVBD_OPTION_TURBO ? "turboOCI" : "fastoci");
	c->status = OVBD_EXIT_UNAVAILABLE;
	return -1;
}

/* The words are the original's. */
static int set_algorithm(struct ovbd_cli *c, struct ovbd_zfile_params *z)
{
	if (strcmp(c->value, "lz4") == 0)
		z->codec = OVBD_CODEC_LZ4;
	else if (strcmp(c->value, "zstd") == 0)
		z->codec = OVBD_CODEC_ZSTD;
	else
		return ovbd_cli_usage(c, "invalid '--algorithm' parameters: %s is not lz4 or zstd",
		                      c->value);
	return 0;
}

static int set_block_size(struct ovbd_cli *c, struct ovbd_zfile_params *z)
{
	static const unsigned sizes[] = {4, 8, 16, 32, 64};
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	for (size_t i = 0; *end == '\0' && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (n == sizes[i]) {
			z->block_size = (uint32_t)n * 1024;
			return 0;
		}
	return ovbd_cli_usage(c, "invalid '--bs' parameters: %s is not 4, 8, 16, 32 or 64 (KiB)",
	                      c->value);
}

int ovbd_overlaybd_option(struct ovbd_cli *c, int id, struct ovbd_zfile_params *z)
{
	switch (id) {
	case OVBD_OPTION_TURBO:
	case OVBD_OPTION_FASTOCI:
		return refuse_turbo(c, id);
	case OVBD_OPTION_ALGORITHM:
		return set_algorithm(c, z) ? -1 : 1;
	case OVBD_OPTION_BS:
		return set_block_size(c, z) ? -1 : 1;
	default:
		return 0;
	}
}

void ovbd_overlaybd_zfile_settle(struct ovbd_zfile_params *z)
{
	if (!z->codec)
		z->codec = OVBD_CODEC_LZ4;
	if (!z->block_size)
		z->block_size = OVBD_ZFILE_BLOCK_MIN;
	if (!z->nthreads)
		z->nthreads = ovbd_cpus();
	z->checksum = true;
}

int ovbd_overlaybd_threads(struct ovbd_cli *c, unsigned *ret)
{
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	if (c->value[0] < '0' || c->value[0] > '9' || *end || n == 0 || n > THREADS_MAX) {
		ovbd_cli_usage(c, "--compress_threads %s: a number from 1 to %u", c->value,
		               THREADS_MAX);
		return -1;
	}
	*ret = (unsigned)n;
	return 0;
}

int ovbd_overlaybd_operands(struct ovbd_cli *c, size_t least, const char *const *names)
{
	size_t most = 0;

	while (names[most])
		most++;
	if (c->noperands < least) {
		ovbd_cli_usage(c, "%s is missing", names[c->noperands]);
		return -1;
	}
	return ovbd_cli_at_most(c, most);
}
