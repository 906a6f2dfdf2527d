// SPDX-License-Identifier: Apache-2.0
/*
 * The stream: headers that say something of the entry that follows (pax records, GNU's long names)
 * are gathered until that comes.
 *
 *     'x' 'g' 'L' 'K' ... header ─► content ─► padding ─► header ─► content ─► ... ─► zeros
 *
 * A tar ends with two blocks of zeros, or one, or just ends where a header might begin: all are
 * common. What follows the zeros is read to its end, as somebody may be writing it.
 */
#include "fs/tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define BUFFER_SIZE 65536u
#define GLOBALS_MAX 64u

struct tar {
	ovbd_fs_read_fn read;
	tar_pass_fn pass; /* or NULL */
	void *arg;
	uint8_t *buf; /* BUFFER_SIZE; what was read and not used: [at, end) */
	size_t at, end;
	uint64_t off; /* of the stream, used */
	bool ended;

	char *records, *long_name, *long_link; /* of this entry, owned */
	char *global_records[GLOBALS_MAX];     /* owned */
	unsigned nglobals;
	struct tar_pax pax, global;
	struct tar_header header;
	struct tar_entry entry;
	struct tar_piece whole;   /* of a file that is not sparse */
	struct tar_piece *pieces; /* owned, of one that is */
	size_t piece;             /* the one that is read, and how far */
	uint64_t piece_done;
	uint64_t left, padding; /* bytes of the entry in the stream */
};

int tar_open(ovbd_fs_read_fn read, void *arg, struct tar **ret, struct ovbd_error *err)
{
	OVBD_AUTO(tar_closep) struct tar *t = calloc(1, sizeof(*t));

	if (t)
		t->buf = malloc(BUFFER_SIZE);
	if (!t || !t->buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->read = read;
	t->arg = arg;
	*ret = OVBD_MOVE(t);
	return 0;
}

void tar_set_pass(struct tar *t, tar_pass_fn pass)
{
	t->pass = pass;
}

uint64_t tar_at(const struct tar *t)
{
	return t->off;
}

static void forget_entry(struct tar *t)
{
	free(t->records);
	free(t->long_name);
	free(t->long_link);
	free(t->pieces);
	t->records = t->long_name = t->long_link = NULL;
	t->pieces = NULL;
	tar_pax_free(&t->pax);
}

void tar_close(struct tar *take_t)
{
	if (!take_t)
		return;
	forget_entry(take_t);
	tar_pax_free(&take_t->global);
	for (unsigned i = 0; i < GLOBALS_MAX; i++)
		free(take_t->global_records[i]);
	free(take_t->buf);
	free(take_t);
}

/* ---- the stream ---- */

/* Makes sure that something is in the buffer. 1, 0 at the end of the stream, or -errno. */
static int fill(struct tar *t, struct ovbd_error *err)
{
	ssize_t n;

	if (t->at < t->end)
		return 1;
	n = t->ended ? 0 : t->read(t->arg, t->buf, BUFFER_SIZE, err);
	if (n < 0)
		return (int)n;
	t->ended |= n == 0;
	t->at = 0;
	t->end = (size_t)n;
	return n > 0;
}

static int cut_short(const struct tar *t, struct ovbd_error *err)
{
	return ovbd_fail(err, -EBADMSG, "the tar ends in the middle, after %" PRIu64 " bytes",
	                 t->off + (t->end - t->at));
}

int tar_fetch(struct tar *t, void *buf, size_t len, struct ovbd_error *err)
{
	uint8_t *to = buf;

	while (len > 0) {
		const int r = fill(t, err);
		size_t n;

		if (r <= 0)
			return r < 0 ? r : cut_short(t, err);
		n = (size_t)ovbd_min(len, t->end - t->at);
		memcpy(to, t->buf + t->at, n);
		t->at += n;
		t->off += n;
		to += n;
		len -= n;
	}
	return 0;
}

static int skip(struct tar *t, uint64_t len, struct ovbd_error *err)
{
	while (len > 0) {
		int r = t->at == t->end && t->pass ? t->pass(t->arg, len, err) : 0;
		size_t n;

		if (r > 0) {
			t->off += len;
			return 0;
		}
		if (r == 0)
			r = fill(t, err);
		if (r <= 0)
			return r < 0 ? r : cut_short(t, err);
		n = (size_t)ovbd_min(len, t->end - t->at);
		t->at += n;
		t->off += n;
		len -= n;
	}
	return 0;
}

static int drain(struct tar *t, struct ovbd_error *err)
{
	int r;

	while ((r = fill(t, err)) > 0) {
		t->off += t->end - t->at;
		t->at = t->end;
	}
	return r;
}

static uint64_t padding_of(uint64_t size)
{
	return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* ---- what comes before an entry ---- */

/* The content of a header, and a NUL behind it. */
static int fetch_text(struct tar *t, uint64_t size, char **ret, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	int r;

	if (size > TAR_EXTRA_MAX)
		return ovbd_fail(err, -E2BIG, "%" PRIu64 " bytes of names or pax records, not %u",
		                 size, TAR_EXTRA_MAX);
	text = malloc((size_t)size + 1);
	if (!text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = tar_fetch(t, text, (size_t)size, err);
	if (r == 0)
		r = skip(t, padding_of(size), err);
	if (r < 0)
		return r;
	text[size] = '\0';
	free(*ret);
	*ret = OVBD_MOVE(text);
	return 0;
}

/* Records for all entries that follow, beside those before. */
static int take_global(struct tar *t, uint64_t size, struct ovbd_error *err)
{
	char **records = &t->global_records[t->nglobals];
	int r;

	if (t->nglobals == GLOBALS_MAX)
		return ovbd_fail(err, -E2BIG, "more than %u global pax headers", GLOBALS_MAX);
	r = fetch_text(t, size, records, err);
	if (r < 0)
		return r;
	t->nglobals++;
	r = tar_pax_parse(*records, (size_t)size, &t->global, err);
	if (r < 0)
		return r;
	tar_pax_free(&t->pax);
	r = tar_pax_copy(&t->pax, &t->global);
	return r < 0 ? ovbd_fail(err, r, "out of memory") : 0;
}

/* 1: h is one of those; 0: it is an entry. */
static int take_extra(struct tar *t, const struct tar_header *h, struct ovbd_error *err)
{
	int r;

	switch (h->type) {
	case 'x':
	case 'X':
		tar_pax_free(&t->pax);
		r = tar_pax_copy(&t->pax, &t->global);
		if (r < 0)
			return ovbd_fail(err, r, "out of memory");
		r = fetch_text(t, h->size, &t->records, err);
		if (r == 0)
			r = tar_pax_parse(t->records, (size_t)h->size, &t->pax, err);
		break;
	case 'g':
		r = take_global(t, h->size, err);
		break;
	case 'L':
		r = fetch_text(t, h->size, &t->long_name, err);
		break;
	case 'K':
		r = fetch_text(t, h->size, &t->long_link, err);
		break;
	case 'V': /* the name of the tape */
		r = skip(t, h->size + padding_of(h->size), err);
		break;
	default:
		return 0;
	}
	return r < 0 ? r : 1;
}

/* ---- the entry ---- */

static int type_of(const struct tar_header *h, enum tar_type *ret, struct ovbd_error *err)
{
	switch (h->type) {
	case '0':
	case '7': /* contiguous */
	case 'S':
		*ret = TAR_FILE;
		/* before POSIX, a directory was a file whose name ends like that */
		if (h->type == '0' && h->name[0] && h->name[strlen(h->name) - 1] == '/')
			*ret = TAR_DIR;
		return 0;
	case '1':
		*ret = TAR_HARD_LINK;
		return 0;
	case '2':
		*ret = TAR_SYMLINK;
		return 0;
	case '3':
		*ret = TAR_CHAR;
		return 0;
	case '4':
		*ret = TAR_BLOCK_DEVICE;
		return 0;
	case '5':
	case 'D':
		*ret = TAR_DIR;
		return 0;
	case '6':
		*ret = TAR_FIFO;
		return 0;
	default:
		return ovbd_fail(err, -ENOTSUP, "an entry of type '%c' (0x%02x)",
		                 h->type >= ' ' && h->type < 0x7f ? h->type : '?',
		                 (unsigned char)h->type);
	}
}

/* What the header says, and then what counts more. */
static int describe(struct tar *t, struct ovbd_error *err)
{
	const struct tar_header *h = &t->header;
	const struct tar_pax *p = &t->pax;
	struct tar_entry *e = &t->entry;
	int r;

	*e = (struct tar_entry){
		.name = p->sparse_name ? p->sparse_name
	                : p->path      ? p->path
	                : t->long_name ? t->long_name
	                               : h->name,
		.link = p->link        ? p->link
	                : t->long_link ? t->long_link
	                               : h->link,
		.mode = (uint32_t)h->mode & 07777,
		.uid = p->has_uid ? p->uid : h->uid,
		.gid = p->has_gid ? p->gid : h->gid,
		.mtime = p->has_mtime ? p->mtime : (struct tar_time){.s = h->mtime},
		.major = h->major,
		.minor = h->minor,
		.xattrs = p->xattrs,
		.nxattrs = p->nxattrs,
	};
	e->atime = p->has_atime ? p->atime : e->mtime;
	r = type_of(h, &e->type, err);
	t->left = p->has_size ? p->size : h->size;
	if (t->left > INT64_MAX)
		return ovbd_fail(err, -EBADMSG, "%" PRIu64 " bytes", t->left);
	/* of these a size says how long the link is, or nothing: there is no content */
	if (r == 0 && e->type != TAR_FILE && e->type != TAR_HARD_LINK && h->type != 'D')
		t->left = 0;
	t->padding = padding_of(t->left);
	return r;
}

/* Old GNU: pieces in the header, and in blocks that follow it. */
static int gnu_pieces(struct tar *t, size_t *ret_n, struct ovbd_error *err)
{
	bool more = t->header.more;
	size_t n = t->header.npieces;

	t->pieces = malloc((n + 1) * sizeof(t->pieces[0]));
	if (!t->pieces)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	memcpy(t->pieces, t->header.pieces, n * sizeof(t->pieces[0]));
	while (more) {
		uint8_t raw[TAR_BLOCK];
		struct tar_piece *grown;
		unsigned k;
		int r = tar_fetch(t, raw, sizeof(raw), err);
		const char *wrong;

		if (r < 0)
			return r;
		if (n > TAR_PIECES_MAX)
			return ovbd_fail(err, -E2BIG,
			                 "its map of a sparse file has more than %u pieces",
			                 TAR_PIECES_MAX);
		grown = realloc(t->pieces, (n + 21) * sizeof(*grown));
		if (!grown)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		t->pieces = grown;
		wrong = tar_sparse_parse(raw, t->pieces + n, &k, &more);
		if (wrong)
			return ovbd_fail(err, -EBADMSG, "%s", wrong);
		n += k;
	}
	*ret_n = n;
	return 0;
}

/* Where the content belongs. */
static int place(struct tar *t, struct ovbd_error *err)
{
	struct tar_entry *e = &t->entry;
	struct tar_pax *p = &t->pax;
	uint64_t used = 0;
	size_t n = 0;
	int r = 0;

	e->size = t->left;
	t->piece = 0;
	t->piece_done = 0;
	if (e->type != TAR_FILE) {
		e->size = 0;
		return 0;
	}
	if (t->header.type == 'S') {
		e->size = t->header.real_size;
		r = gnu_pieces(t, &n, err);
	} else if (p->sparse_major == 1 && p->has_real_size) {
		e->size = p->real_size;
		r = tar_sparse_read_map(t, t->left, &t->pieces, &n, &used, err);
		t->left -= used;
	} else if (p->sparse_map && p->has_real_size) {
		e->size = p->real_size;
		r = tar_sparse_parse_map(p->sparse_map, &t->pieces, &n, err);
	} else if (p->npieces > 0 && p->has_real_size) {
		e->size = p->real_size;
		n = p->npieces;
		t->pieces = OVBD_MOVE(p->pieces);
		p->npieces = 0;
	} else {
		t->whole = (struct tar_piece){.len = t->left};
		e->pieces = &t->whole;
		e->npieces = t->left > 0;
		return 0;
	}
	if (r == 0)
		r = tar_sparse_check(t->pieces, &n, e->size, t->left, err);
	e->pieces = t->pieces;
	e->npieces = n;
	return r;
}

/* 1: t->header is one; 0: the tar ends here. */
static int next_header(struct tar *t, struct ovbd_error *err)
{
	uint8_t raw[TAR_BLOCK];
	const uint64_t at = t->off;
	const char *wrong;
	int r = fill(t, err);

	if (r <= 0)
		return r;
	r = tar_fetch(t, raw, sizeof(raw), err);
	if (r < 0)
		return r;
	if (ovbd_is_zero(raw, sizeof(raw)))
		return drain(t, err);
	wrong = tar_header_parse(raw, &t->header);
	if (wrong)
		return ovbd_fail(err, -EBADMSG, "the block at byte %" PRIu64 " %s", at, wrong);
	return 1;
}

int tar_next(struct tar *t, const struct tar_entry **ret, struct ovbd_error *err)
{
	bool begun = false;
	int r = skip(t, t->left, err);

	if (r == 0)
		r = skip(t, t->padding, err);
	t->left = t->padding = 0;
	forget_entry(t);
	if (r == 0 && (r = tar_pax_copy(&t->pax, &t->global)) < 0)
		ovbd_fail(err, r, "out of memory");
	if (r < 0)
		return r;
	do {
		r = next_header(t, err);
		if (r <= 0)
			return r == 0 && begun ? cut_short(t, err) : r;
		begun |= t->header.type != 'g' && t->header.type != 'V';
		r = take_extra(t, &t->header, err);
	} while (r > 0);
	if (r == 0)
		r = describe(t, err);
	if (r == 0)
		r = place(t, err);
	if (r < 0)
		return r;
	*ret = &t->entry;
	return 1;
}

int tar_read(struct tar *t, void *buf, size_t cap, uint64_t *ret_off, size_t *ret_len,
             struct ovbd_error *err)
{
	const struct tar_entry *e = &t->entry;
	const struct tar_piece *p;
	size_t n;
	int r;

	*ret_len = 0;
	if (t->piece == e->npieces)
		return 0;
	p = &e->pieces[t->piece];
	n = (size_t)ovbd_min(cap, p->len - t->piece_done);
	r = tar_fetch(t, buf, n, err);
	if (r < 0)
		return r;
	*ret_off = p->off + t->piece_done;
	*ret_len = n;
	t->left -= n;
	t->piece_done += n;
	if (t->piece_done == p->len) {
		t->piece++;
		t->piece_done = 0;
	}
	return 0;
}
