// SPDX-License-Identifier: Apache-2.0
/*
 * Operations are made in the order in which they shall be merged, so that one is safe if what it
 * reads has not been overwritten yet; how the layout can be brought to that order is then chosen.
 */
#include "tests/lib/cow_random.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/unit/test.h"

#define BLOCK   TEST_COW_BLOCK
#define OPS_MAX 64u

enum { COPY = 1, REPLACE = 2, ZERO = 3, LABEL = 4, CLUSTER = 5, XOR = 6, SEQUENCE = 7 };

struct op {
	unsigned type, shift;
	uint32_t block;
	uint64_t source; /* as in the file; of a replace not yet */
	uint8_t *data;   /* what is stored */
	uint32_t len;
};

struct maker {
	struct test_cow *c;
	uint64_t random;
	bool lz4;
	bool sequence;  /* there is one */
	bool all_of_it; /* and it has all operations; else those that read the base */
	unsigned cluster;
	struct op ops[OPS_MAX];
	uint32_t order[OPS_MAX]; /* of the file */
	bool written[256];       /* blocks */
	bool read[256];
	uint8_t *out;
	size_t len;
};

static uint64_t rnd(struct maker *m, uint64_t n)
{
	return test_random(&m->random) % n;
}

static void fill(struct maker *m, uint8_t *p, size_t len)
{
	const bool dull = rnd(m, 2);

	for (size_t i = 0; i < len; i += 8)
		ovbd_put_le64(p + i, dull && i % 64 ? 7 : test_random(&m->random));
}

static bool is_ordered(const struct op *op)
{
	return op->type == COPY || op->type == XOR;
}

/* ---- what there is ---- */

static void store(struct maker *m, struct op *op, const uint8_t *raw, uint32_t size)
{
	int n = 0;

	op->data = malloc(size);
	assert_non_null(op->data);
	if (m->lz4)
		n = LZ4_compress_default((const char *)raw, (char *)op->data, (int)size,
		                         (int)size - 1);
	op->len = n > 0 ? (uint32_t)n : size;
	if (n <= 0)
		memcpy(op->data, raw, size);
}

/* Whether a source of nsources blocks from first on may be read by what writes block. */
static void note_source(struct maker *m, const struct op *op, uint64_t first, unsigned n)
{
	if (op->type == COPY && first == op->block)
		return;
	for (uint64_t b = first; b < first + n; b++) {
		m->c->safe = m->c->safe && !m->written[b];
		m->c->own = m->c->own || b == op->block;
		m->read[b] = true;
	}
}

static bool find_source(struct maker *m, struct op *op, bool reckless)
{
	const uint64_t end = (uint64_t)m->c->nblocks * BLOCK;

	for (unsigned i = 0; i < 30; i++) {
		const uint64_t near = (uint64_t)op->block * BLOCK + rnd(m, 6 * BLOCK) - 3 * BLOCK;
		uint64_t at = rnd(m, 3) ? near : rnd(m, end);
		uint64_t first;
		unsigned n;

		if (op->type == COPY || rnd(m, 3) == 0)
			at -= at % BLOCK;
		if (at > end - BLOCK)
			continue;
		first = at / BLOCK;
		n = at % BLOCK ? 2 : 1;
		if (!reckless && (m->written[first] || m->written[first + n - 1]))
			continue;
		op->source = op->type == COPY ? first : at;
		note_source(m, op, first, n);
		return true;
	}
	return false;
}

static void make_data(struct maker *m, struct op *op)
{
	const struct test_cow *c = m->c;
	const uint32_t size = BLOCK << op->shift;
	uint8_t *raw = malloc(size), *to = c->want + (size_t)op->block * BLOCK;

	assert_non_null(raw);
	fill(m, raw, size);
	if (op->type == REPLACE || op->type == XOR)
		store(m, op, raw, size);
	if (op->type == REPLACE)
		memcpy(to, raw, size);
	else if (op->type == ZERO)
		memset(to, 0, BLOCK);
	else if (op->type == COPY)
		memcpy(to, c->base + op->source * BLOCK, BLOCK);
	for (uint32_t i = 0; op->type == XOR && i < BLOCK; i++)
		to[i] = raw[i] ^ c->base[op->source + i];
	free(raw);
}

/* One more operation, of those that read the base or the others; false: no room. */
static bool make_op(struct maker *m, bool ordered, bool reckless, uint32_t hint)
{
	struct test_cow *c = m->c;
	struct op *op = &m->ops[c->nops];
	const bool v3 = c->layout == 'H';
	uint32_t n;

	*op = (struct op){.block = hint < c->nblocks ? hint : (uint32_t)rnd(m, c->nblocks)};
	op->type = ordered ? (rnd(m, 2) && c->layout >= 'F' ? XOR : COPY)
	                   : (rnd(m, 3) ? REPLACE : ZERO);
	if (op->type == REPLACE && v3)
		op->shift = (unsigned)rnd(m, 4);
	n = 1u << op->shift;
	if (op->block + n > c->nblocks)
		return false;
	for (uint32_t b = op->block; b < op->block + n; b++)
		if (m->written[b])
			return false;
	if (ordered && !find_source(m, op, reckless))
		return false;
	for (uint32_t b = op->block; b < op->block + n; b++) {
		m->written[b] = true;
		c->overlapped = c->overlapped || m->read[b];
	}
	make_data(m, op);
	c->nops++;
	return true;
}

static int by_block(const void *a, const void *b)
{
	const struct op *x = a, *y = b;

	return (x->block > y->block) - (x->block < y->block);
}

static void make_ops(struct maker *m)
{
	struct test_cow *c = m->c;
	const bool mixed = m->all_of_it || (c->layout == 'H' && !m->sequence);
	const bool reckless = rnd(m, 10) == 0;
	const size_t n = rnd(m, 2) ? rnd(m, OPS_MAX) : rnd(m, 12);
	size_t nordered;
	uint32_t hint = UINT32_MAX;
	int step = 0;

	for (size_t i = 0; i < n; i++) {
		const bool ordered = mixed ? rnd(m, 4) != 0 : i < 2 * n / 3;

		if (rnd(m, 6) == 0)
			step = (int)rnd(m, 3) - 1;
		hint = step ? hint + (uint32_t)step : UINT32_MAX;
		make_op(m, ordered, reckless, hint);
		if (c->nops > 0)
			hint = m->ops[c->nops - 1].block;
		if (!mixed && i + 1 == 2 * n / 3)
			hint = UINT32_MAX;
	}
	for (nordered = 0; nordered < c->nops && is_ordered(&m->ops[nordered]);)
		nordered++;
	if (!mixed) /* which is the order they are in anyway */
		qsort(m->ops + nordered, c->nops - nordered, sizeof(m->ops[0]), by_block);
	for (uint32_t i = 0; i < c->nops; i++)
		m->order[i] = i;
	/* those whose place in the file does not matter */
	for (uint32_t i = m->sequence ? 0
	                  : mixed     ? (uint32_t)c->nops
	                              : (uint32_t)nordered;
	     i < c->nops; i++) {
		const uint32_t from = m->sequence ? 0 : (uint32_t)nordered;
		const uint32_t j = from + (uint32_t)rnd(m, c->nops - from), t = m->order[i];

		m->order[i] = m->order[j];
		m->order[j] = t;
	}
}

/* ---- the file ---- */

static void put(struct maker *m, const void *p, size_t len)
{
	m->out = realloc(m->out, m->len + len + 1);
	assert_non_null(m->out);
	if (p)
		memcpy(m->out + m->len, p, len);
	else
		memset(m->out + m->len, 0, len);
	m->len += len;
}

static void put_int(struct maker *m, uint64_t v, size_t len)
{
	uint8_t raw[8];

	ovbd_put_le64(raw, v);
	put(m, raw, len);
}

static void put_head(struct maker *m, unsigned major, unsigned header, unsigned op_size)
{
	put_int(m, UINT64_C(0x436f77634f572121), 8);
	put_int(m, major, 2);
	put_int(m, 0, 2);
	put_int(m, header, 2);
	put_int(m, major == 3 ? 0 : 84, 2);
	if (header >= 34)
		put_int(m, op_size, 2);
	put_int(m, BLOCK, 4);
	if (header >= 34)
		put_int(m, m->cluster, 4);
	if (header >= 28)
		put_int(m, 0, 8);
	if (header >= 38)
		put_int(m, m->c->scratch_size, 4);
}

static size_t sequence_count(const struct maker *m)
{
	size_t n = 0;

	while (m->sequence && n < m->c->nops && (m->all_of_it || is_ordered(&m->ops[n])))
		n++;
	return n;
}

static void put_sequence(struct maker *m)
{
	const size_t n = sequence_count(m);

	for (size_t i = 0; i < n; i++)
		put_int(m, m->ops[i].block, 4);
}

static void make_v3(struct maker *m)
{
	const struct test_cow *c = m->c;
	const size_t n = sequence_count(m), spare = rnd(m, 4);
	uint64_t data = 78 + c->scratch_size + 4 * n + 64 + 16 * (c->nops + spare);

	put_head(m, 3, 78, 16);
	put_int(m, n, 8);
	put_int(m, 0, 4);
	put_int(m, 4, 4);
	put_int(m, c->nops, 8);
	put_int(m, c->nops + spare, 8);
	put_int(m, m->lz4 ? 3 : 0, 4);
	put_int(m, BLOCK << 6, 4);
	put(m, NULL, c->scratch_size);
	put_sequence(m);
	put(m, NULL, 64);
	for (size_t i = 0; i < c->nops; i++) {
		const struct op *op = &m->ops[m->order[i]];
		const uint64_t source = op->type == REPLACE ? data : op->source;

		put_int(m, op->len, 4);
		put_int(m, op->block, 4);
		put_int(m, (uint64_t)op->type << 60 | (uint64_t)op->shift << 57 | source, 8);
		data += op->len;
	}
	put(m, NULL, 16 * spare);
	for (size_t i = 0; i < c->nops; i++)
		put(m, m->ops[m->order[i]].data, m->ops[m->order[i]].len);
}

static void put_slot(struct maker *m, unsigned type, const struct op *op, uint64_t source)
{
	put_int(m, type, 1);
	put_int(m, op && op->len && m->lz4 && type != SEQUENCE ? 3 : 0, 1);
	put_int(m, op ? op->len : 0, 2);
	put_int(m, op ? op->block : 0, 8);
	put_int(m, source, 8);
}

/* Slots from next on into one cluster, or, without clusters, all. Returns the slot behind. */
static size_t put_cluster(struct maker *m, const struct op *slots, size_t next, size_t n)
{
	const size_t room = m->cluster ? m->cluster - 1 : n;
	const size_t end = (size_t)ovbd_min(n, next + room);
	uint64_t data = m->len + (m->cluster ? m->cluster : 1) * 20;
	const uint64_t begin = m->len;

	for (size_t i = next; i < end; i++) {
		const struct op *op = &slots[i];
		const bool placed = op->type == REPLACE || op->type == SEQUENCE;

		put_slot(m, op->type, op, placed ? data : op->source);
		if (!m->cluster)
			put(m, op->data, op->len);
		data += m->cluster ? op->len : op->len + 20;
	}
	if (!m->cluster)
		return end;
	put_slot(m, CLUSTER, NULL, data - m->len - 20);
	put(m, NULL, begin + (size_t)m->cluster * 20 - m->len);
	for (size_t i = next; i < end; i++)
		put(m, slots[i].data, slots[i].len);
	return end;
}

static void make_log(struct maker *m)
{
	const struct test_cow *c = m->c;
	const unsigned header = c->layout == 'F'   ? 38
	                        : c->layout == 'E' ? 34
	                        : c->layout == 'D' ? 28
	                                           : 20;
	struct op slots[OPS_MAX + 1];
	size_t n = 0, nslots = 0;

	put_head(m, c->layout == 'F' ? 2 : 1, header, 20);
	put(m, NULL, c->scratch_size);
	if (sequence_count(m) > 0) {
		uint8_t *data = malloc(4 * OPS_MAX);
		const size_t count = sequence_count(m);

		assert_non_null(data);
		for (size_t i = 0; i < count; i++)
			ovbd_put_le32(data + 4 * i, m->ops[i].block);
		slots[n++] =
			(struct op){.type = SEQUENCE, .data = data, .len = 4 * (uint32_t)count};
	}
	for (size_t i = 0; i < c->nops; i++)
		slots[n++] = m->ops[m->order[i]];
	for (size_t i = 0; i < n;) {
		const size_t end = put_cluster(m, slots, i, n);

		nslots += end - i + (m->cluster > 0);
		i = end;
	}
	if (n > 0 && slots[0].type == SEQUENCE)
		free(slots[0].data);
	put_int(m, 255, 1);
	put_int(m, 0, 1);
	put_int(m, 64, 2);
	put_int(m, nslots * 20, 8);
	put_int(m, nslots, 8);
	put(m, NULL, 64);
}

void test_cow_random(uint64_t seed, uint32_t nblocks, struct test_cow *ret)
{
	static const char layouts[] = "FHFHFHFHEDC";
	static const uint32_t scratches[] = {0, 8192, 16384, 32768, 65536, 131072, 262144};
	struct maker *m = calloc(1, sizeof(*m));
	struct test_cow *c = ret;

	assert_non_null(m);
	assert_true(nblocks >= 16 && nblocks < 256);
	*c = (struct test_cow){.safe = true};
	m->c = c;
	m->random = seed;
	c->layout = layouts[rnd(m, sizeof(layouts) - 1)];
	c->nblocks = 8 + (uint32_t)rnd(m, nblocks - 8);
	m->lz4 = rnd(m, 2);
	m->cluster =
		c->layout >= 'E' && c->layout != 'H' && rnd(m, 2) ? 2 + (unsigned)rnd(m, 9) : 0;
	m->sequence = c->layout == 'H' || (c->layout == 'F' && m->cluster) ? rnd(m, 2) : false;
	m->all_of_it = m->sequence && rnd(m, 2);
	if (c->layout >= 'F')
		c->scratch_size = scratches[rnd(m, sizeof(scratches) / sizeof(scratches[0]))];
	c->base = malloc((size_t)c->nblocks * BLOCK);
	c->want = malloc((size_t)c->nblocks * BLOCK);
	assert_non_null(c->base);
	assert_non_null(c->want);
	fill(m, c->base, (size_t)c->nblocks * BLOCK);
	memcpy(c->want, c->base, (size_t)c->nblocks * BLOCK);
	make_ops(m);
	if (c->layout == 'H')
		make_v3(m);
	else
		make_log(m);
	c->cow = m->out;
	c->size = m->len;
	for (size_t i = 0; i < c->nops; i++)
		free(m->ops[i].data);
	free(m);
}

void test_cow_free(struct test_cow *c)
{
	free(c->base);
	free(c->want);
	free(c->cow);
}
