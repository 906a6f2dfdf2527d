// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/tar.h"

/* A list of pieces that grows by one number at a time: offset, length, offset, ... */
struct map {
	struct tar_piece *v;
	size_t n, cap; /* numbers; pieces */
};

static void free_map(struct map *m)
{
	free(m->v);
}

static int add_number(struct map *m, uint64_t v, struct ovbd_error *err)
{
	const size_t i = m->n / 2;

	if (i == m->cap) {
		struct tar_piece *more;

		if (i >= TAR_PIECES_MAX)
			return ovbd_fail(err, -E2BIG,
			                 "its map of a sparse file has more than %u pieces",
			                 TAR_PIECES_MAX);
		m->cap = 2 * m->cap + 16;
		more = realloc(m->v, m->cap * sizeof(*more));
		if (!more)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		m->v = more;
	}
	if (m->n % 2 == 0)
		m->v[i] = (struct tar_piece){.off = v};
	else
		m->v[i].len = v;
	m->n++;
	return 0;
}

static int bad_map(struct ovbd_error *err)
{
	return ovbd_fail(err, -EBADMSG, "its map of a sparse file is damaged");
}

/* A number, and the character that must follow. */
struct digits {
	uint64_t v;
	unsigned n;
};

static bool add_digit(struct digits *d, char c)
{
	d->n++;
	return c >= '0' && c <= '9' && d->n <= 19 && ovbd_mul(d->v, 10, &d->v) &&
	       ovbd_add(d->v, (uint64_t)(c - '0'), &d->v);
}

int tar_sparse_read_map(struct tar *t, uint64_t content_size, struct tar_piece **ret, size_t *ret_n,
                        uint64_t *ret_used, struct ovbd_error *err)
{
	OVBD_AUTO(free_map) struct map m = {0};
	struct digits d = {0};
	uint64_t npieces = UINT64_MAX, used = 0;
	char block[TAR_BLOCK];

	while (npieces == UINT64_MAX || m.n < 2 * npieces) {
		int r;

		if (used + TAR_BLOCK > content_size)
			return bad_map(err);
		r = tar_fetch(t, block, sizeof(block), err);
		if (r < 0)
			return r;
		used += TAR_BLOCK;
		for (size_t i = 0; i < TAR_BLOCK && (npieces == UINT64_MAX || m.n < 2 * npieces);
		     i++) {
			if (block[i] != '\n') {
				if (!add_digit(&d, block[i]))
					return bad_map(err);
				continue;
			}
			if (d.n == 0)
				return bad_map(err);
			if (npieces == UINT64_MAX)
				npieces = ovbd_min(d.v, TAR_PIECES_MAX + 1);
			else if (add_number(&m, d.v, err) < 0)
				return -E2BIG;
			d = (struct digits){0};
		}
	}
	*ret = OVBD_MOVE(m.v);
	*ret_n = m.n / 2;
	*ret_used = used;
	return 0;
}

int tar_sparse_parse_map(const char *text, struct tar_piece **ret, size_t *ret_n,
                         struct ovbd_error *err)
{
	OVBD_AUTO(free_map) struct map m = {0};
	struct digits d = {0};
	int r = 0;

	for (; *text && r == 0; text++) {
		if (!add_digit(&d, *text))
			return bad_map(err);
		if (text[1] == ',' || text[1] == '\0') {
			r = add_number(&m, d.v, err);
			d = (struct digits){0};
			text += text[1] == ',';
			if (text[0] == ',' && text[1] == '\0')
				return bad_map(err);
		}
	}
	if (r < 0)
		return r;
	if (m.n % 2)
		return bad_map(err);
	*ret = OVBD_MOVE(m.v);
	*ret_n = m.n / 2;
	return 0;
}

int tar_sparse_check(struct tar_piece *pieces, size_t *n, uint64_t real_size, uint64_t content_size,
                     struct ovbd_error *err)
{
	uint64_t end = 0, sum = 0;
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		const struct tar_piece *p = &pieces[i];

		if (!ovbd_within(p->off, p->len, real_size) || (p->len > 0 && p->off < end))
			return ovbd_fail(err, -EBADMSG,
			                 "its map of a sparse file of %" PRIu64
			                 " bytes has %" PRIu64 " of them at %" PRIu64,
			                 real_size, p->len, p->off);
		sum += p->len;
		if (p->len == 0)
			continue;
		end = p->off + p->len;
		pieces[kept++] = *p;
	}
	*n = kept;
	if (sum != content_size)
		return ovbd_fail(err, -EBADMSG,
		                 "its map of a sparse file has %" PRIu64
		                 " bytes, the entry %" PRIu64,
		                 sum, content_size);
	return 0;
}
