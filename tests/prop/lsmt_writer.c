// SPDX-License-Identifier: Apache-2.0
/*
 * Random puts and zeros, in order and out of it, against an array of the device's sectors. Each
 * layer is written twice (the bytes are equal), checked and read back. The seed of a round is
 * printed when it fails.
 *
 *     prop_lsmt_writer                  all rounds
 *     prop_lsmt_writer SEED             one
 *     prop_lsmt_writer SEED LSMT RAW    writes the layer of this seed, and what it should read as,
 *                                       to files, for other readers
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/lib/lsmt_make.h"

#define NROUNDS    3000u
#define DEVICE_MAX (512u << 10)
#define BLOCK      4096u

/* What a sector of the layer is; as the index should say. */
enum state { HOLE, ZERO, DATA };

struct model {
	uint64_t seed;
	struct ovbd_layer_params params;
	size_t nsectors;
	uint8_t content[DEVICE_MAX]; /* whole sectors */
	uint8_t states[DEVICE_MAX / 512];
};

static void die(const struct model *m, const char *what)
{
	printf("seed %llu: %s\n", (unsigned long long)m->seed, what);
	exit(1);
}

static uint64_t random_of(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void model_set(struct model *m, uint64_t off, uint64_t len, enum state state)
{
	/* a zero hides nothing where nothing lies beneath the layer: it is as if never written */
	if (state == ZERO && !m->params.over_base)
		state = HOLE;
	memset(m->states + off / 512, (int)state, (size_t)((len + 511) / 512));
}

static void model_zero(struct model *m, uint64_t off, uint64_t len)
{
	memset(m->content + off, 0, (size_t)len);
	model_set(m, off, len, ZERO);
}

/* As promised: blocks of 4 KiB by the device's offset, or what there is of one, are not stored if
 * zero. */
static void model_put(struct model *m, uint64_t off, const uint8_t *buf, size_t len)
{
	memcpy(m->content + off, buf, len);
	for (size_t n; len > 0; off += n, buf += n, len -= n) {
		n = (size_t)ovbd_min(len, BLOCK - off % BLOCK);
		model_set(m, off, n, ovbd_is_zero(buf, n) ? ZERO : DATA);
	}
}

/* Random bytes with zero blocks, and blocks that are zero but for a byte. */
static void fill(uint8_t *buf, size_t len, uint64_t *state)
{
	for (size_t i = 0; i < len; i += 512) {
		const size_t n = (size_t)ovbd_min(512, len - i);

		memset(buf + i, 0, n);
		switch (random_of(state) % 8) {
		case 0:
			buf[i + random_of(state) % n] = 1;
			break;
		case 1:
			memset(buf + i, (int)(random_of(state) % 256), n);
			break;
		default:
			if (i >= 512) /* as the one before, so that there are long runs */
				memset(buf + i, buf[i - 1], n);
			break;
		}
	}
}

/* Every fourth layer is written in ascending order only, as that has a path of its own. */
static bool ascending(const struct model *m)
{
	return m->seed % 4 == 0;
}

/* One put or zero of the layer. next is where an ascending one begins. */
static uint64_t step(struct model *m, struct ovbd_layer_writer *w, uint64_t *state, uint64_t next)
{
	static uint8_t buf[DEVICE_MAX];
	const uint64_t most = random_of(state) % 4 ? 64 : m->nsectors;
	uint64_t first = random_of(state) % m->nsectors, n;
	struct ovbd_error err;
	size_t len;
	int r;

	if (next < m->nsectors && (ascending(m) || random_of(state) % 4 != 0))
		first = next;
	n = 1 + random_of(state) % ovbd_min(most, m->nsectors - first);
	len = (size_t)ovbd_min(n * 512, m->params.virtual_size - first * 512);
	if (random_of(state) % 4 == 0) {
		model_zero(m, first * 512, len);
		r = ovbd_layer_zero(w, first * 512, len, &err);
	} else {
		fill(buf, len, state);
		model_put(m, first * 512, buf, len);
		r = ovbd_layer_put(w, first * 512, buf, len, &err);
	}
	if (r < 0)
		die(m, err.msg);
	return first + n + (random_of(state) % 2 ? random_of(state) % 32 : 0);
}

static struct test_layer write_layer(struct model *m)
{
	uint64_t state = m->seed;
	struct test_writer w;
	uint64_t next = 0;
	unsigned nsteps;

	memset(m->content, 0, sizeof(m->content));
	memset(m->states, HOLE, sizeof(m->states));
	m->params = (struct ovbd_layer_params){
		.virtual_size = random_of(&state) % (m->seed % 16 ? DEVICE_MAX / 8 : DEVICE_MAX),
		.over_base = random_of(&state) % 2,
		.uuid = m->seed % 2 ? "0123abcd-4567-89ab-cdef-000000000001" : NULL,
		.tag = "random",
	};
	m->nsectors = (size_t)(m->params.virtual_size + 511) / 512;
	nsteps = (unsigned)(random_of(&state) % (m->seed % 64 == 3 ? 4000 : 60));
	if (m->nsectors == 0)
		nsteps = 0;
	w = test_writer_create(&m->params);
	for (unsigned i = 0; i < nsteps && !(ascending(m) && next >= m->nsectors); i++)
		next = step(m, w.w, &state, next);
	return test_writer_take(&w);
}

static void check_index(const struct model *m, struct ovbd_layer *l)
{
	for (size_t i = 0; i < m->nsectors; i++) {
		static const enum state state_of[] = {
			[OVBD_RUN_DATA] = DATA,
			[OVBD_RUN_ZERO] = ZERO,
			[OVBD_RUN_HOLE] = HOLE,
		};
		const struct ovbd_segment s = ovbd_index_at(ovbd_layer_index(l), i * 512, 512);

		if (state_of[s.kind] != m->states[i])
			die(m, "a sector is of another kind");
	}
}

static void check_layer(struct model *m, const struct test_layer *bytes)
{
	static uint8_t read[DEVICE_MAX];
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	struct ovbd_error err;

	if (test_layer_open(bytes, &l, &err) < 0 || ovbd_layer_check(l, NULL, NULL, &err) < 0)
		die(m, err.msg);
	if (ovbd_layer_info(l)->virtual_size != m->params.virtual_size)
		die(m, "another virtual size");
	/* the last sector as a whole: beyond the device's end it is padded with zeros */
	if (test_layer_read(l, read, m->nsectors * 512, 0, &err) < 0)
		die(m, err.msg);
	if (memcmp(read, m->content, m->nsectors * 512) != 0)
		die(m, "other bytes");
	check_index(m, l);
}

static void round_of(uint64_t seed)
{
	static struct model m;
	struct test_layer a, b;

	m.seed = seed;
	a = write_layer(&m);
	b = write_layer(&m);
	if (a.len != b.len || memcmp(a.p, b.p, a.len) != 0)
		die(&m, "other bytes when written again");
	check_layer(&m, &a);
	free(a.p);
	free(b.p);
}

static void save(const char *path, const uint8_t *p, size_t len)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(p, 1, len, f) != len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void save_round(uint64_t seed, const char *lsmt, const char *raw)
{
	static struct model m;
	struct test_layer l;

	m.seed = seed;
	l = write_layer(&m);
	save(lsmt, l.p, l.len);
	save(raw, m.content, (size_t)m.params.virtual_size);
	free(l.p);
}

int main(int argc, char **argv)
{
	if (argc == 4) {
		save_round(strtoull(argv[1], NULL, 0), argv[2], argv[3]);
		return 0;
	}
	if (argc > 1) {
		round_of(strtoull(argv[1], NULL, 0));
		return 0;
	}
	for (uint64_t seed = 0; seed < NROUNDS; seed++)
		round_of(seed);
	printf("%u rounds\n", NROUNDS);
	return 0;
}
