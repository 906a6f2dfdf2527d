// SPDX-License-Identifier: Apache-2.0
/*
 * Random pairs of images (blocks moved up, down, in circles, over each other, changed in part, by
 * single bytes, zeroed, repeated, new) become COWs of every version, compression and size of piece.
 * Each is written twice, with other numbers of threads: the bytes are equal. Our reader reads it as
 * the new image; merged in its order, block by block on the old one, in groups whose sources are
 * read before, and with the next group's read before this one is written, it becomes the new one;
 * and without a scratch area also after a power cut in the midst of that.
 *
 *     prop_ota_cow_create              all rounds
 *     prop_ota_cow_create SEED [DIR]   one, which leaves old, new and cow in DIR
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/cow_create.h"
#include "tests/lib/cow_cuts.h"
#include "tests/lib/kept.h"

#ifdef __SANITIZE_THREAD__ /* twenty times slower, and threads do the same in every round */
#define NROUNDS 30u
#else
#define NROUNDS 200u
#endif

#define BLOCK      4096u
#define NBLOCKS    700u
#define GROUP_MAX  510u
#define OLD_EXCESS 3u

static uint64_t seed;
static uint8_t old[NBLOCKS * BLOCK], target[NBLOCKS * BLOCK], merged[NBLOCKS * BLOCK];
static uint8_t got[NBLOCKS * BLOCK], group[2][GROUP_MAX * BLOCK];
static uint64_t nold, nnew, ncut;

static void die(const char *what)
{
	printf("seed %llu: %s\n", (unsigned long long)seed, what);
	exit(1);
}

static uint64_t random_of(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* ---- images ---- */

/* Kinds of blocks: bytes that do not compress (0, 1), words of one of two languages (2 to 4: these
 * compress better together), few bytes (5), zeros (6), one byte all over (7). */
static void fill(uint8_t *b, uint64_t kind, uint64_t *state)
{
	const uint64_t few = random_of(state);
	uint64_t language = few % 2;
	uint8_t words[64][16];

	memset(b, kind == 7 ? (int)(few & 0xff) : 0, BLOCK);
	if (kind >= 6)
		return;
	for (size_t i = 0; i < sizeof(words); i++)
		words[i / 16][i % 16] = (uint8_t)random_of(&language);
	for (size_t i = 0; i < BLOCK; i += 16) {
		if (kind < 2)
			for (size_t j = 0; j < 16; j += 8)
				ovbd_put_le64(b + i + j, random_of(state));
		else if (kind < 5)
			memcpy(b + i, words[random_of(state) % 64], 16);
		else if (random_of(state) % 16 == 0)
			b[i + few % 16] = (uint8_t)few;
	}
}

static uint64_t span(uint64_t *state, uint64_t most)
{
	const uint64_t n = 1 + random_of(state) % (random_of(state) % 4 ? 12 : most);

	return ovbd_min(n, most);
}

static void change_bytes(uint64_t *state)
{
	const uint64_t b = random_of(state) % nnew;
	const uint64_t n = 1 + random_of(state) % 300;

	for (uint64_t i = 0; i < n; i++)
		target[b * BLOCK + random_of(state) % BLOCK] ^= (uint8_t)random_of(state);
}

/* Two runs that change their places, or a run rotated by some blocks: cycles. */
static void rotate(uint64_t *state)
{
	const uint64_t n = ovbd_min(span(state, nnew), nnew),
		       at = random_of(state) % (nnew - n + 1);
	const uint64_t by = random_of(state) % n;

	memcpy(got, target + at * BLOCK, n * BLOCK);
	memcpy(target + at * BLOCK, got + by * BLOCK, (n - by) * BLOCK);
	memcpy(target + (at + n - by) * BLOCK, got, by * BLOCK);
}

/* A run of old somewhere in new, mostly near by and so over its own source; by bytes at times. */
static void move(uint64_t *state)
{
	const uint64_t most = ovbd_min(nold, nnew), n = span(state, most);
	uint64_t from = random_of(state) % (nold - n + 1), to = random_of(state) % (nnew - n + 1);
	uint64_t shift = 0;

	if (random_of(state) % 2)
		to = ovbd_min(from + random_of(state) % 9, nnew - n);
	else if (random_of(state) % 2)
		from = ovbd_min(to + random_of(state) % 9, nold - n);
	if (random_of(state) % 4 == 0)
		shift = random_of(state) % BLOCK;
	memcpy(target + to * BLOCK, old + from * BLOCK + shift, n * BLOCK - shift);
}

static void change(uint64_t *state)
{
	const uint64_t n = span(state, nnew), at = random_of(state) % (nnew - n + 1);
	const uint64_t kind = random_of(state) % 12;

	switch (random_of(state) % 6) {
	case 0:
		rotate(state);
		break;
	case 1:
	case 2:
		move(state);
		break;
	case 3:
		change_bytes(state);
		break;
	case 4:
		memset(target + at * BLOCK, 0, n * BLOCK);
		break;
	default:
		for (uint64_t i = at; i < at + n; i++)
			fill(target + i * BLOCK, kind < 8 ? kind : random_of(state) % 8, state);
	}
}

static void make_images(uint64_t *state)
{
	const uint64_t most = seed % 5 == 0 ? NBLOCKS : 90;
	uint64_t nchanges;

	nold = 1 + random_of(state) % most;
	nnew = random_of(state) % 4 ? nold : 1 + random_of(state) % most;
	for (uint64_t i = 0; i < NBLOCKS; i++) {
		if (i > 0 && random_of(state) % 16 == 0) /* what occurs several times */
			memcpy(old + i * BLOCK, old + random_of(state) % i * BLOCK, BLOCK);
		else
			fill(old + i * BLOCK, random_of(state) % 8, state);
	}
	memcpy(target, old, sizeof(target));
	nchanges = random_of(state) % (1 + most / 4);
	for (uint64_t i = 0; i < nchanges; i++)
		change(state);
	if (seed % 15 == 5) /* a long run of one kind */
		for (uint64_t i = nnew / 4; i < nnew; i++)
			fill(target + i * BLOCK, seed / 15 % 6, state);
}

/* ---- COWs ---- */

struct bytes {
	uint8_t *p;
	size_t len;
};

static struct bytes create(const struct ovbd_cow_create_params *p, bool with_old,
                           struct ovbd_cow_created *ret)
{
	AUTO_BLOB *o = NULL, *n = NULL;
	AUTO_SINK *sink = NULL;
	struct ovbd_error err;
	struct bytes out;

	if (ovbd_blob_open_mem(target, nnew * BLOCK, &n, &err) < 0 ||
	    ovbd_blob_open_mem(old, nold * BLOCK + seed % OLD_EXCESS, &o, &err) < 0 ||
	    ovbd_sink_create_mem(&sink, &err) < 0 ||
	    ovbd_cow_create(test_sink_kept(sink), n, with_old ? o : NULL, p, ret, &err) < 0)
		die(err.msg);
	out.p = ovbd_sink_mem_take(sink, &out.len);
	return out;
}

static struct ovbd_cow *open_cow(const struct bytes *b)
{
	struct ovbd_cow *c = NULL;
	AUTO_BLOB *blob = NULL;
	struct ovbd_error err;

	if (ovbd_blob_open_mem(b->p, b->len, &blob, &err) < 0 ||
	    ovbd_cow_open(OVBD_MOVE(blob), NULL, &c, &err) < 0 ||
	    ovbd_cow_check(c, NULL, NULL, &err) < 0)
		die(err.msg);
	return c;
}

/* ---- reading ---- */

/* The base is as long as the new image is to be: what is not written there is anything. */
static uint64_t base_blocks(void)
{
	return nold > nnew ? nold : nnew;
}

static struct ovbd_blob *open_view(const struct bytes *b, const uint8_t *base)
{
	struct ovbd_blob *view = NULL;
	AUTO_BLOB *blob = NULL;
	struct ovbd_error err;

	if (ovbd_blob_open_mem(base, base_blocks() * BLOCK, &blob, &err) < 0 ||
	    ovbd_cow_view_open(open_cow(b), OVBD_MOVE(blob), &view, &err) < 0)
		die(err.msg);
	return view;
}

static void check_view(const struct bytes *b, const uint8_t *base)
{
	AUTO_BLOB *view = open_view(b, base);
	struct ovbd_error err;

	if (ovbd_blob_pread(view, got, nnew * BLOCK, 0, &err) < 0)
		die(err.msg);
	if (memcmp(got, target, nnew * BLOCK) != 0)
		die("other bytes when read");
}

/* ---- merging ---- */

static bool is_ordered(const struct ovbd_cow_op *op)
{
	return op->type == OVBD_COW_COPY || op->type == OVBD_COW_XOR;
}

static const struct ovbd_cow_op *merged_at(const struct ovbd_cow *c, uint32_t i)
{
	return ovbd_cow_op(c, ovbd_cow_merge_order(c, i));
}

/* What op makes of the base as it is now. An xor's payload is had from the true images. */
static void make_block(const struct ovbd_cow_op *op, uint8_t *out)
{
	const uint8_t *src = merged + (op->type == OVBD_COW_XOR ? op->source : op->source * BLOCK);
	const uint8_t *true_src = old + op->source;

	memcpy(out, src, BLOCK);
	for (size_t i = 0; op->type == OVBD_COW_XOR && i < BLOCK; i++)
		out[i] = src[i] ^ target[(uint64_t)op->block * BLOCK + i] ^ true_src[i];
}

static void write_blocks(const struct ovbd_cow *c, uint32_t from, uint32_t n, const uint8_t *blocks)
{
	for (uint32_t i = 0; i < n; i++)
		memcpy(merged + (uint64_t)merged_at(c, from + i)->block * BLOCK, blocks + i * BLOCK,
		       BLOCK);
}

static void read_blocks(const struct ovbd_cow *c, uint32_t from, uint32_t n, uint8_t *blocks)
{
	for (uint32_t i = 0; i < n; i++)
		make_block(merged_at(c, from + i), blocks + i * BLOCK);
}

/* Copies and xors in groups of size blocks: a group's sources are read before it is written, and
 * the next one's too if early. */
static uint32_t merge_ordered(const struct ovbd_cow *c, uint32_t size, bool early)
{
	uint32_t n = 0, at = 0, which = 0;

	while (n < ovbd_cow_count(c) && is_ordered(merged_at(c, n)))
		n++;
	for (uint32_t i = n; i < ovbd_cow_count(c); i++)
		if (is_ordered(merged_at(c, i)))
			die("a copy or xor is merged behind what needs no base");
	if (n > 0)
		read_blocks(c, 0, (uint32_t)ovbd_min(size, n), group[0]);
	while (at < n) {
		const uint32_t here = (uint32_t)ovbd_min(size, n - at), next = at + here;

		if (!early && at > 0)
			read_blocks(c, at, here, group[which]);
		if (early && next < n)
			read_blocks(c, next, (uint32_t)ovbd_min(size, n - next), group[!which]);
		write_blocks(c, at, here, group[which]);
		at = next;
		which = !which;
	}
	return n;
}

static void check_merged(const struct ovbd_cow *c, uint32_t from, const char *what)
{
	for (uint32_t i = from; i < ovbd_cow_count(c); i++) {
		const struct ovbd_cow_op *op = merged_at(c, i);

		memcpy(merged + (uint64_t)op->block * BLOCK, target + (uint64_t)op->block * BLOCK,
		       (size_t)BLOCK << op->shift);
	}
	if (memcmp(merged, target, nnew * BLOCK) != 0)
		die(what);
}

static void check_merge(const struct bytes *b, bool scratch, uint64_t *state)
{
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = open_cow(b);
	uint32_t n;

	memcpy(merged, old, sizeof(old));
	n = merge_ordered(c, 1, false);
	check_merged(c, n, "other bytes when merged block by block");
	for (int early = 0; early < 2; early++) {
		memcpy(merged, old, sizeof(old));
		merge_ordered(c, 1 + (uint32_t)(random_of(state) % GROUP_MAX), early);
		check_merged(c, n, "other bytes when merged in groups");
	}
	if (scratch || n == 0)
		return;
	/* a power cut after some blocks of a group, whose counter was not written */
	memcpy(merged, old, sizeof(old));
	for (uint64_t i = random_of(state) % n + 1; i-- > 0;) {
		make_block(merged_at(c, (uint32_t)i), group[0]);
		write_blocks(c, (uint32_t)i, 1, group[0]);
	}
	merge_ordered(c, 1, false);
	check_merged(c, n, "other bytes after a power cut without a scratch area");
}

/* Merged by our own merge, with power cuts in it; without small groups, as they are not to be
 * needed. */
static void check_cuts(const struct bytes *b, uint64_t *state)
{
	struct test_cuts t = {
		.name = "created",
		.cow = b->p,
		.cow_size = b->len,
		.base = old,
		.want = merged,
		.base_size = base_blocks() * BLOCK,
		.how = {.nthreads = 1, .group_blocks = 64},
		.seed = random_of(state),
		.depth = 1,
		.nested = 4,
		.nrandom = 2,
		.nplaces = 8,
	};

	memcpy(merged, old, sizeof(old));
	memcpy(merged, target, nnew * BLOCK);
	test_cuts(&t);
	ncut += t.nstates;
}

/* ---- a round ---- */

static struct ovbd_cow_create_params random_params(uint64_t *state)
{
	struct ovbd_cow_create_params p = {
		.write = {.version = 2 + seed % 2,
	                  .algorithm = (enum ovbd_cow_algorithm)(random_of(state) % 5),
	                  .scratch_size = random_of(state) % 4 ? OVBD_COW_SCRATCH_SIZE : 0,
	                  .max_piece = BLOCK},
		.sequence = random_of(state) % 4 == 0,
		.no_xor = random_of(state) % 8 == 0,
		.label_every = random_of(state) % 2 ? random_of(state) % 40 : 0,
		.nthreads = 1,
	};

	if (p.write.version == 3)
		p.write.max_piece <<= seed % 30 == 5 ? 6 : random_of(state) % 7;
	else if (random_of(state) % 2)
		p.write.cluster_ops = 4 + (uint32_t)(random_of(state) % 200);
	if (p.write.algorithm == OVBD_COW_BROTLI) /* its usual level takes its time */
		p.level = 1 + (int)(random_of(state) % 6);
	return p;
}

static void leave(const char *dir, const char *name, const uint8_t *p, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (!f || fwrite(p, 1, len, f) != len || fclose(f) != 0)
		die(path);
}

static void round_of(const char *dir, struct ovbd_cow_created *total)
{
	uint64_t state = seed;
	struct ovbd_cow_create_params p;
	struct ovbd_cow_created made, again;
	struct bytes a, b;
	bool with_old;

	make_images(&state);
	p = random_params(&state);
	with_old = random_of(&state) % 8 != 0;
	a = create(&p, with_old, &made);
	p.nthreads = 2 + (unsigned)(seed % 3);
	b = create(&p, with_old, &again);
	if (a.len != b.len || memcmp(a.p, b.p, a.len) != 0)
		die("other bytes with other threads");
	if (a.len != made.size || memcmp(&made, &again, sizeof(made)) != 0)
		die("other counts");
	if (dir) {
		leave(dir, "old", old, base_blocks() * BLOCK);
		leave(dir, "new", target, nnew * BLOCK);
		leave(dir, "cow", a.p, a.len);
	}
	check_view(&a, old);
	check_merge(&a, p.write.scratch_size > 0, &state);
	if (seed % 4 == 0 && !dir)
		check_cuts(&a, &state);
	if (!with_old) { /* of anything it makes the new image */
		memset(merged, 0x5a, sizeof(merged));
		check_view(&a, merged);
	}
	for (size_t i = 0; i < 7; i++)
		total->nops[i] += made.nops[i];
	total->nbroken += made.nbroken;
	total->nblocks += made.nblocks;
	free(a.p);
	free(b.p);
}

int main(int argc, char **argv)
{
	struct ovbd_cow_created t = {0};
	uint64_t n = 0;

	if (argc > 1) {
		seed = strtoull(argv[1], NULL, 0);
		round_of(argc > 2 ? argv[2] : NULL, &t);
	}
	for (seed = 1; argc <= 1 && seed <= NROUNDS; seed++)
		round_of(NULL, &t);
	for (size_t i = 0; i < 7; i++)
		n += t.nops[i];
	printf("%llu operations on %llu blocks: %llu copies, %llu replacements, %llu zeros, "
	       "%llu xors; %llu broken; %llu states after power cuts\n",
	       (unsigned long long)n, (unsigned long long)t.nblocks,
	       (unsigned long long)t.nops[OVBD_COW_COPY],
	       (unsigned long long)t.nops[OVBD_COW_REPLACE],
	       (unsigned long long)t.nops[OVBD_COW_ZERO], (unsigned long long)t.nops[OVBD_COW_XOR],
	       (unsigned long long)t.nbroken, (unsigned long long)ncut);
	return 0;
}
