// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/cow_runs.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "tests/unit/test.h"

#define BLOCK TEST_COW_BLOCK

enum { COPY = 1, REPLACE = 2, ZERO = 3, XOR = 6 };

struct op {
	uint8_t type;
	bool placed;
	uint64_t source;
};

struct maker {
	struct test_cow *c;
	uint64_t state;
	int *nreaders;  /* of operations that have no place yet, by block */
	struct op *ops; /* by the block that they write; type 0: none */
};

static uint64_t below(struct maker *m, uint64_t n)
{
	return test_random(&m->state) % n;
}

static bool reads(const struct op *op, uint32_t block)
{
	if (op->type == COPY)
		return op->source == block;
	return op->type == XOR && op->source / BLOCK <= block &&
	       (op->source + BLOCK - 1) / BLOCK >= block;
}

/* Counts, or no longer, who reads what op does. */
static void count_reads(struct maker *m, const struct op *op, int n)
{
	const uint64_t from = op->type == COPY ? op->source : op->source / BLOCK;
	const uint64_t to = op->type == COPY ? from : (op->source + BLOCK - 1) / BLOCK;

	if (op->type == COPY || op->type == XOR)
		for (uint64_t i = from; i <= to; i++)
			m->nreaders[i] += n;
}

/* Runs, that are moved by the same distance, and single blocks. */
static void make_ops(struct maker *m)
{
	for (uint32_t at = 0; at < m->c->nblocks;) {
		const uint32_t run = (uint32_t)(1 + below(m, 1 + below(m, 60)));
		const uint8_t type =
			(uint8_t[]){0, COPY, COPY, COPY, REPLACE, ZERO, XOR}[below(m, 7)];
		const uint32_t source = (uint32_t)below(m, m->c->nblocks);

		for (uint32_t i = 0; i < run && at < m->c->nblocks; i++, at++) {
			struct op *op = &m->ops[at];

			*op = (struct op){.type = type, .source = (source + i) % m->c->nblocks};
			if (type == XOR)
				op->source = (uint64_t)(op->source % (m->c->nblocks - 1)) * BLOCK +
				             (run % 3 ? 0 : below(m, BLOCK));
			if (type == COPY && op->source == at)
				op->type = 0;
			if (type == XOR && m->c->scratch_size == 0 && reads(op, at))
				op->type = ZERO;
			m->c->nops += op->type != 0;
			count_reads(m, op, 1);
		}
	}
}

/* Whether another operation without a place yet reads what block's overwrites. */
static bool is_needed(const struct maker *m, uint32_t block)
{
	return m->nreaders[block] > reads(&m->ops[block], block);
}

static bool can_follow(const struct maker *m, int64_t block)
{
	return block >= 0 && block < m->c->nblocks && !m->ops[block].placed &&
	       (m->ops[block].type == COPY || m->ops[block].type == XOR) &&
	       !is_needed(m, (uint32_t)block);
}

/* The next in a safe order, a neighbour of the last if that can be; -1: there is none. */
static int64_t next_ordered(struct maker *m, int64_t last)
{
	const uint32_t start = (uint32_t)below(m, m->c->nblocks);

	if (last >= 0 && can_follow(m, last - 1))
		return last - 1;
	if (last >= 0 && can_follow(m, last + 1))
		return last + 1;
	for (uint32_t i = 0; i < m->c->nblocks; i++)
		if (can_follow(m, (start + i) % m->c->nblocks))
			return (start + i) % m->c->nblocks;
	return -1;
}

/* A cycle becomes safe when one of it needs no base. */
static bool break_cycle(struct maker *m)
{
	for (uint32_t i = 0; i < m->c->nblocks; i++) {
		struct op *op = &m->ops[i];

		if (!op->placed && (op->type == COPY || op->type == XOR)) {
			count_reads(m, op, -1);
			op->type = REPLACE;
			return true;
		}
	}
	return false;
}

static uint8_t *put_op(struct maker *m, uint8_t *p, uint32_t block)
{
	const struct op *op = &m->ops[block];
	const bool data = op->type == REPLACE || op->type == XOR;
	uint64_t source = op->source;

	if (op->type == REPLACE)
		source = (uint64_t)(p + 20 - m->c->cow);
	p[0] = op->type;
	p[1] = 0;
	ovbd_put_le16(p + 2, data ? BLOCK : 0);
	ovbd_put_le64(p + 4, block);
	ovbd_put_le64(p + 12, op->type == ZERO ? 0 : source);
	p += 20;
	for (uint32_t i = 0; data && i < BLOCK; i++)
		*p++ = (uint8_t)(test_random(&m->state) >> 9);
	return p;
}

static void make_target(struct maker *m, uint32_t block, const uint8_t *data)
{
	const struct op *op = &m->ops[block];
	uint8_t *to = m->c->want + (size_t)block * BLOCK;

	if (op->type == COPY)
		memcpy(to, m->c->base + op->source * BLOCK, BLOCK);
	else if (op->type == ZERO)
		memset(to, 0, BLOCK);
	else if (op->type == REPLACE)
		memcpy(to, data, BLOCK);
	else
		for (uint32_t i = 0; i < BLOCK; i++)
			to[i] = data[i] ^ m->c->base[op->source + i];
}

/* 2.0, without clusters. */
static void make_cow(struct maker *m)
{
	uint8_t *p = m->c->cow;
	int64_t last = -1;
	uint64_t n = 0;

	memset(p, 0, 38 + (size_t)m->c->scratch_size);
	ovbd_put_le64(p, UINT64_C(0x436f77634f572121));
	ovbd_put_le16(p + 8, 2);
	ovbd_put_le16(p + 12, 38);
	ovbd_put_le16(p + 14, 84);
	ovbd_put_le16(p + 16, 20);
	ovbd_put_le32(p + 18, BLOCK);
	ovbd_put_le32(p + 34, m->c->scratch_size);
	p += 38 + m->c->scratch_size;
	do {
		while ((last = next_ordered(m, last)) >= 0) {
			m->ops[last].placed = true;
			count_reads(m, &m->ops[last], -1);
			p = put_op(m, p, (uint32_t)last);
			make_target(m, (uint32_t)last, p - BLOCK);
			n++;
		}
	} while (break_cycle(m));
	for (uint32_t i = 0; i < m->c->nblocks; i++) {
		if (m->ops[i].placed || m->ops[i].type == 0)
			continue;
		p = put_op(m, p, i);
		make_target(m, i, p - BLOCK);
		n++;
	}
	assert_int_equal(n, m->c->nops);
	memset(p, 0, 84);
	p[0] = 255;
	ovbd_put_le16(p + 2, 64);
	ovbd_put_le64(p + 4, n * 20);
	ovbd_put_le64(p + 12, n);
	m->c->size = (size_t)(p + 84 - m->c->cow);
}

void test_cow_runs(uint64_t seed, uint32_t nblocks_max, struct test_cow *ret)
{
	static const uint32_t scratches[] = {0, 16384, 65536, 2u << 20};
	struct maker m = {.c = ret, .state = seed};
	size_t size;

	*ret = (struct test_cow){.layout = 'F', .safe = true};
	ret->nblocks = (uint32_t)(8 + below(&m, 1 + below(&m, nblocks_max - 8)));
	ret->scratch_size = scratches[below(&m, 4)];
	size = (size_t)ret->nblocks * BLOCK;
	ret->base = malloc(size);
	ret->want = malloc(size);
	ret->cow = malloc(size + ret->scratch_size + ret->nblocks * 20 + 256);
	m.ops = calloc(ret->nblocks, sizeof(m.ops[0]));
	m.nreaders = calloc(ret->nblocks + 1, sizeof(m.nreaders[0]));
	assert_true(ret->base && ret->want && ret->cow && m.ops && m.nreaders);
	for (size_t i = 0; i < size; i += 8)
		ovbd_put_le64(ret->base + i, test_random(&m.state));
	memcpy(ret->want, ret->base, size);
	make_ops(&m);
	make_cow(&m);
	free(m.ops);
	free(m.nreaders);
}
