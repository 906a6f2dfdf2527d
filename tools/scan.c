// SPDX-License-Identifier: Apache-2.0
/*
 * The device is cut into jobs: a gap (a long run that is known to be zeros: nothing to do) or a
 * window (up to the next multiple of 1 MiB). The calling thread cuts, which needs no reading; the
 * pool's threads read; the calling thread hands out, in order.
 *
 *     device   [ data | hole |data| data .......... hole ..............|data]
 *     jobs     [  window  |  window  |            gap               | window]
 *
 * A window is read run by run, so its holes are not read either.
 */
#include "tools/scan.h"

#include <errno.h>
#include <sched.h>

#include "base/bytes.h"
#include "base/pool.h"

#define SECTOR   512u
#define BLOCK    4096u
#define GAP_MIN  (64u << 10) /* shorter ones stay within their window */
#define RUNS_MAX (OVBD_SCAN_WINDOW / SECTOR)

struct run {
	uint32_t off; /* from the window's beginning */
	uint32_t len;
	enum ovbd_run_kind kind;
	bool below; /* it is that of what lies below, at src */
	uint64_t src;
};

/* What a window has of one device. */
struct view {
	uint8_t *buf; /* OVBD_SCAN_WINDOW bytes */
	struct run *runs;
	size_t nruns;
};

struct job {
	uint64_t off, len;
	bool gap;
	enum ovbd_run_kind kind; /* of the gap */
	struct view views[2];
	uint64_t ndata; /* bytes read */
	int result;
	struct ovbd_error err;
};

struct scan {
	struct ovbd_blob *blobs[2];
	unsigned nblobs;
	uint64_t size;
	const struct ovbd_scan_params *params;
	ovbd_scan_fn run;
	ovbd_scan_pair_fn pair;
	void *ctx;
	uint64_t done, total; /* bytes of data */
	unsigned njobs;
	struct job *jobs;
};

static void add_run(struct view *v, uint64_t off, uint64_t len, enum ovbd_run_kind kind)
{
	struct run *last = v->nruns > 0 ? &v->runs[v->nruns - 1] : NULL;

	if (len == 0)
		return;
	if (last && last->kind == kind && !last->below)
		last->len += (uint32_t)len;
	else
		v->runs[v->nruns++] = (struct run){(uint32_t)off, (uint32_t)len, kind, false, 0};
}

/* A file's holes may begin and end anywhere; ours do so at sectors, and what is cut off is data. */
static void add_zeros(struct view *v, uint64_t off, uint64_t len, enum ovbd_run_kind kind,
                      bool at_end)
{
	const uint64_t end = off + len;
	const uint64_t lo = ovbd_align_up(off, SECTOR);
	const uint64_t hi = at_end ? end : ovbd_align_down(end, SECTOR);

	if (lo >= hi) {
		add_run(v, off, len, OVBD_RUN_DATA);
		return;
	}
	add_run(v, off, lo - off, OVBD_RUN_DATA);
	add_run(v, lo, hi - lo, kind);
	add_run(v, hi, end - hi, OVBD_RUN_DATA);
}

/* The run of b at off, as the scan takes it: what is of below counts as that if somebody asks for
 * it, and is a hole where a part of a stack has it at its own place. */
static int scan_run(const struct ovbd_scan_params *p, struct ovbd_blob *b, uint64_t off,
                    uint64_t len, struct ovbd_run *ret, struct ovbd_error *err)
{
	const int r = ovbd_blob_run_at(b, off, len, ret, err);

	if (r < 0)
		return r;
	if (p->part && ret->below && ret->src == off)
		*ret = (struct ovbd_run){.len = ret->len, .kind = OVBD_RUN_HOLE};
	ret->below = ret->below && p->below;
	return 0;
}

static int find_runs(const struct ovbd_scan_params *p, struct ovbd_blob *b, uint64_t off,
                     uint64_t len, struct view *v, struct ovbd_error *err)
{
	struct ovbd_run run;

	v->nruns = 0;
	for (uint64_t at = 0; at < len; at += run.len) {
		const int r = scan_run(p, b, off + at, len - at, &run, err);

		if (r < 0)
			return r;
		if (run.below)
			v->runs[v->nruns++] = (struct run){(uint32_t)at, (uint32_t)run.len,
			                                   OVBD_RUN_DATA, true, run.src};
		else if (run.kind == OVBD_RUN_DATA)
			add_run(v, at, run.len, OVBD_RUN_DATA);
		else
			add_zeros(v, at, run.len, run.kind, off + at + run.len == b->size);
	}
	return 0;
}

static int read_view(const struct ovbd_scan_params *p, struct job *j, struct ovbd_blob *b,
                     struct view *v)
{
	const uint64_t len = j->off < b->size ? ovbd_min(j->len, b->size - j->off) : 0;
	int r = find_runs(p, b, j->off, len, v, &j->err);

	for (size_t i = 0; r == 0 && i < v->nruns; i++) {
		const struct run *run = &v->runs[i];

		if (run->below)
			continue;
		if (run->kind != OVBD_RUN_DATA) {
			memset(v->buf + run->off, 0, run->len);
			continue;
		}
		r = ovbd_blob_pread(b, v->buf + run->off, run->len, j->off + run->off, &j->err);
		j->ndata += run->len;
	}
	memset(v->buf + len, 0, (size_t)(j->len - len));
	return r;
}

static void work(void *ctx, unsigned job, unsigned thread)
{
	struct scan *s = ctx;
	struct job *j = &s->jobs[job];

	(void)thread;
	j->ndata = 0;
	j->result = 0;
	for (unsigned i = 0; !j->gap && j->result == 0 && i < s->nblobs; i++)
		j->result = read_view(s->params, j, s->blobs[i], &j->views[i]);
}

static int hand_out(struct scan *s, const struct job *j, struct ovbd_error *err)
{
	const struct view *v = &j->views[0];
	int r = 0;

	if (s->pair && j->gap)
		return 0;
	if (s->pair)
		return s->pair(s->ctx, j->off, (size_t)j->len, v->buf, j->views[1].buf, err);
	if (j->gap)
		return s->run(s->ctx, j->off, j->len, j->kind, NULL, err);
	for (size_t i = 0; r == 0 && i < v->nruns; i++) {
		const struct run *run = &v->runs[i];
		const uint8_t *buf = run->kind == OVBD_RUN_DATA ? v->buf + run->off : NULL;

		if (run->below)
			r = s->params->below(s->ctx, j->off + run->off, run->len, run->src, err);
		else
			r = s->run(s->ctx, j->off + run->off, run->len, run->kind, buf, err);
	}
	return r;
}

static int done(void *ctx, unsigned job, struct ovbd_error *err)
{
	struct scan *s = ctx;
	const struct job *j = &s->jobs[job];
	int r;

	if (j->result < 0)
		return ovbd_fail(err, j->result, "%s", j->err.msg);
	r = hand_out(s, j, err);
	if (r != 0)
		return r;
	s->done += j->ndata;
	if (s->params->progress && s->params->progress(s->params->arg, s->done, s->total) != 0)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	return 0;
}

/* The zeros of b at off, at most len: *ret_kind and their length, 0 if there is data. */
static int zeros_at(const struct ovbd_scan_params *p, struct ovbd_blob *b, uint64_t off,
                    uint64_t len, uint64_t *ret_len, enum ovbd_run_kind *ret_kind,
                    struct ovbd_error *err)
{
	struct ovbd_run run = {.len = len, .kind = OVBD_RUN_HOLE};
	int r = 0;

	if (off < b->size)
		r = scan_run(p, b, off, ovbd_min(len, b->size - off), &run, err);
	if (r < 0)
		return r;
	*ret_len = run.kind == OVBD_RUN_DATA ? 0 : run.len;
	*ret_kind = run.kind;
	return 0;
}

/* Fills j's place: a gap if there is one, otherwise a window. */
static int cut(const struct scan *s, uint64_t off, struct job *j, struct ovbd_error *err)
{
	uint64_t gap = s->size - off, len;
	int r = 0;

	for (unsigned i = 0; i < s->nblobs && gap > 0; i++) {
		r = zeros_at(s->params, s->blobs[i], off, gap, &len, &j->kind, err);
		if (r < 0)
			return r;
		gap = ovbd_min(gap, len);
	}
	if (off + gap < s->size)
		gap = ovbd_align_down(off + gap, BLOCK) > off
		              ? ovbd_align_down(off + gap, BLOCK) - off
		              : 0;
	j->off = off;
	j->gap = gap >= GAP_MIN || (gap > 0 && off + gap == s->size);
	j->len = j->gap ? gap : ovbd_min(s->size - off, OVBD_SCAN_WINDOW - off % OVBD_SCAN_WINDOW);
	return 0;
}

static int run_jobs(struct scan *s, struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {.work = work, .done = done};
	AUTO_POOL *pool = NULL;
	unsigned job;
	int r;

	r = ovbd_pool_create(&ops, s, s->params->nthreads, s->njobs, &pool, err);
	for (uint64_t off = 0; r == 0 && off < s->size; off += s->jobs[job].len) {
		r = ovbd_pool_next(pool, &job, err);
		if (r == 0)
			r = cut(s, off, &s->jobs[job], err);
		if (r < 0)
			return r;
		ovbd_pool_submit(pool, job);
	}
	return r < 0 ? r : ovbd_pool_drain(pool, err);
}

static int alloc_jobs(struct scan *s, struct ovbd_error *err)
{
	s->njobs = s->params->nthreads == 1 ? 1 : 2 * s->params->nthreads;
	s->jobs = ovbd_array_alloc(s->njobs, sizeof(s->jobs[0]));
	for (unsigned i = 0; s->jobs && i < s->njobs; i++) {
		for (unsigned k = 0; k < s->nblobs; k++) {
			struct view *v = &s->jobs[i].views[k];

			v->buf = malloc(OVBD_SCAN_WINDOW);
			v->runs = ovbd_array_alloc(RUNS_MAX, sizeof(v->runs[0]));
			if (!v->buf || !v->runs)
				return ovbd_fail(err, -ENOMEM, "out of memory");
		}
	}
	return s->jobs ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static void free_jobs(struct scan *s)
{
	for (unsigned i = 0; s->jobs && i < s->njobs; i++) {
		for (unsigned k = 0; k < s->nblobs; k++) {
			free(s->jobs[i].views[k].buf);
			free(s->jobs[i].views[k].runs);
		}
	}
	free(s->jobs);
}

static int run_scan(struct scan *s, struct ovbd_error *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < s->nblobs; i++) {
		uint64_t n, below;

		r = ovbd_scan_data_size(s->blobs[i], s->size, &n, &below, err);
		if (r == 0)
			s->total += n - (s->params->below ? below : 0);
	}
	if (r == 0)
		r = alloc_jobs(s, err);
	if (r == 0)
		r = run_jobs(s, err);
	free_jobs(s);
	return r;
}

int ovbd_scan(struct ovbd_blob *b, const struct ovbd_scan_params *p, ovbd_scan_fn run, void *ctx,
              struct ovbd_error *err)
{
	struct scan s = {
		.blobs = {b}, .nblobs = 1, .size = b->size, .params = p, .run = run, .ctx = ctx};

	return run_scan(&s, err);
}

int ovbd_scan_pair(struct ovbd_blob *a, struct ovbd_blob *b, uint64_t size,
                   const struct ovbd_scan_params *p, ovbd_scan_pair_fn pair, void *ctx,
                   struct ovbd_error *err)
{
	struct scan s = {
		.blobs = {a, b}, .nblobs = 2, .size = size, .params = p, .pair = pair, .ctx = ctx};

	return run_scan(&s, err);
}

int ovbd_scan_data_size(struct ovbd_blob *b, uint64_t size, uint64_t *ret, uint64_t *ret_below,
                        struct ovbd_error *err)
{
	const uint64_t end = ovbd_min(b->size, size);
	struct ovbd_run run;
	uint64_t sum = 0, below = 0;

	for (uint64_t off = 0; off < end; off += run.len) {
		const int r = ovbd_blob_run_at(b, off, end - off, &run, err);

		if (r < 0)
			return r;
		if (run.below && run.src == off)
			continue;
		sum += run.kind == OVBD_RUN_DATA ? run.len : 0;
		below += run.below ? run.len : 0;
	}
	*ret = sum;
	*ret_below = below;
	return 0;
}

unsigned ovbd_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 1)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}
