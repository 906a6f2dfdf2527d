// SPDX-License-Identifier: Apache-2.0
#include "tools/cow_make.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/dst.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/scan.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/spool.h"

struct ovbd_cow_create_params ovbd_cow_make_defaults(void)
{
	return (struct ovbd_cow_create_params){
		.write = {.version = 3,
	                  .algorithm = OVBD_COW_LZ4,
	                  .scratch_size = OVBD_COW_SCRATCH_SIZE,
	                  .max_piece = 64u << 10},
		.nthreads = ovbd_cpus(),
	};
}

static int open_sink(const struct ovbd_cow_make *m, struct ovbd_sink **ret, struct ovbd_error *err)
{
	const struct ovbd_sink_file_params file = {.overwrite = m->force};
	const int r = ovbd_dst_check(m->dst, m->force, err);

	if (r < 0)
		return r;
	if (strcmp(m->dst, "-") == 0)
		return ovbd_sink_create_stdout(ret, err);
	return ovbd_sink_create_file(m->dst, &file, ret, err);
}

/* An update does not say how long the partition is: who merges it has to know. */
static void warn_of_sizes(const struct ovbd_cli *c, const struct ovbd_cow_make *m)
{
	const uint64_t new_size = m->src->size, old_size = m->old ? m->old->blob->size : 0;

	if (m->old && new_size > old_size)
		ovbd_cli_warning(c,
		                 "%s: makes %" PRIu64 " bytes of %" PRIu64
		                 ": before it is read or merged over the old image, that must be "
		                 "made as long (truncate -s %" PRIu64 ")",
		                 m->dst, new_size, old_size, new_size);
	if (m->old && new_size < old_size)
		ovbd_cli_warning(c,
		                 "%s: makes %" PRIu64 " bytes of %" PRIu64
		                 ": over the old image it leaves what lies behind them as it is",
		                 m->dst, new_size, old_size);
}

static void print_json(const struct ovbd_cow_make *m, const struct ovbd_cow_created *made)
{
	const struct ovbd_cow_write_params *w = &m->params.write;
	json_t *obj = ovbd_json_create("cow-create");

	ovbd_json_set_text(obj, "output", m->dst);
	ovbd_json_set_size(obj, "version", w->version);
	ovbd_json_set_text(obj, "compression", ovbd_cow_algorithm_name(w->algorithm));
	ovbd_json_set_size(obj, "new-size", m->src->size);
	if (m->old)
		ovbd_json_set_size(obj, "old-size", m->old->blob->size);
	ovbd_json_set_size(obj, "size", made->size);
	ovbd_json_set_size(obj, "data-size", made->data_size);
	ovbd_json_set_size(obj, "blocks", made->nblocks);
	ovbd_json_set_size(obj, "copies", made->nops[OVBD_COW_COPY]);
	ovbd_json_set_size(obj, "replacements", made->nops[OVBD_COW_REPLACE]);
	ovbd_json_set_size(obj, "zeros", made->nops[OVBD_COW_ZERO]);
	ovbd_json_set_size(obj, "xors", made->nops[OVBD_COW_XOR]);
	ovbd_json_set_size(obj, "not-copied-for-order", made->nbroken);
	ovbd_json_print(obj);
}

static void summarize(const struct ovbd_cli *c, const struct ovbd_cow_make *m,
                      const struct ovbd_cow_created *made, double seconds)
{
	const uint64_t *n = made->nops;
	char size[OVBD_SIZE_TEXT], written[OVBD_SIZE_TEXT];

	ovbd_size_text(size, made->size);
	ovbd_size_text(written, made->nblocks * OVBD_COW_BLOCK_SIZE);
	ovbd_cli_note(c,
	              "%s: %s for %s that change: %" PRIu64 " copies, %" PRIu64
	              " replacements, %" PRIu64 " zeros, %" PRIu64 " xors; %.1f s",
	              m->dst, size, written, n[OVBD_COW_COPY], n[OVBD_COW_REPLACE],
	              n[OVBD_COW_ZERO], n[OVBD_COW_XOR], seconds);
	if (c->verbose > 0 && made->nbroken > 0)
		ovbd_cli_note(c,
		              "%s: %" PRIu64 " blocks are stored although the old image has them: "
		              "no order of merging would have been safe",
		              m->dst, made->nbroken);
}

int ovbd_cow_make_run(const struct ovbd_cli *c, const struct ovbd_cow_make *m)
{
	const bool remote = (m->img && ovbd_source_is_remote(m->img)) ||
	                    (m->old && ovbd_source_is_remote(m->old));
	struct ovbd_cow_create_params p = m->params;
	struct ovbd_cow_created made;
	struct ovbd_progress progress;
	struct ovbd_error err;
	AUTO_SINK *sink = NULL;
	int r = open_sink(m, &sink, &err);

	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	ovbd_progress_start(&progress, c, m->progress);
	p.progress = ovbd_progress_update;
	p.progress_arg = &progress;
	r = ovbd_cow_create(OVBD_MOVE(sink), m->src, m->old ? m->old->blob : NULL, &p, &made, &err);
	ovbd_progress_end(&progress);
	if (r < 0)
		return ovbd_cli_fail(c, r, remote, &err);
	warn_of_sizes(c, m);
	if (m->json)
		print_json(m, &made);
	else
		summarize(c, m, &made, ovbd_progress_seconds(&progress));
	ovbd_source_note_fetched(c, m->old);
	ovbd_source_note_fetched(c, m->img);
	return OVBD_EXIT_OK;
}
