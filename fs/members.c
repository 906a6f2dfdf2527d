// SPDX-License-Identifier: Apache-2.0
/*
 * An array of the members that have a name, sorted by it. Two files of one name are two different
 * archives to two readers, and neither is found; directories may be there as often as they like.
 */
#include "fs/members.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/tar.h"

#define NAME_MAX_LEN 4096u

struct member {
	char *name;
	char *link; /* of a link: what it says; else NULL */
	enum tar_type type;
	bool sparse;
	uint64_t off, size;
};

struct ovbd_fs_members {
	struct member *all;
	size_t n, room;
};

/* ---- names ---- */

/* Adds the components of text to name, which ends without a "/", of at most NAME_MAX_LEN bytes in
 * all; ".." takes one away. False: it leads out, or is too long. */
static bool walk(char *name, const char *text)
{
	size_t len = strlen(name);

	while (*text) {
		const size_t n = strcspn(text, "/");

		if (n == 2 && strncmp(text, "..", 2) == 0) {
			char *slash = strrchr(name, '/');

			if (len == 0)
				return false;
			len = slash ? (size_t)(slash - name) : 0;
			name[len] = '\0';
		} else if (n > 0 && !(n == 1 && text[0] == '.')) {
			if (len + 1 + n > NAME_MAX_LEN)
				return false;
			if (len > 0)
				name[len++] = '/';
			memcpy(name + len, text, n);
			len += n;
			name[len] = '\0';
		}
		text += n;
		text += strspn(text, "/");
	}
	return true;
}

static bool has_dots(const char *text)
{
	while (*text) {
		const size_t n = strcspn(text, "/");

		if (n == 2 && strncmp(text, "..", 2) == 0)
			return true;
		text += n;
		text += strspn(text, "/");
	}
	return false;
}

/* NULL: it names nothing within the archive; or no memory, and *ret_r. */
static char *name_of(const char *text, int *ret_r)
{
	AUTO_FREE char *name = calloc(1, NAME_MAX_LEN + 1);
	char *short_name;

	*ret_r = name ? 0 : -ENOMEM;
	if (!name || has_dots(text) || !walk(name, text) || name[0] == '\0')
		return NULL;
	short_name = strdup(name);
	*ret_r = short_name ? 0 : -ENOMEM;
	return short_name;
}

/* ---- reading ---- */

struct reading {
	struct ovbd_blob *b;
	uint64_t at;
};

static ssize_t read_blob(void *arg, void *buf, size_t len, struct ovbd_error *err)
{
	struct reading *in = arg;
	const size_t n = (size_t)ovbd_min(len, in->b->size - in->at);
	int r = 0;

	if (n > 0)
		r = ovbd_blob_pread(in->b, buf, n, in->at, err);
	in->at += n;
	return r < 0 ? r : (ssize_t)n;
}

static int pass(void *arg, uint64_t len, struct ovbd_error *err)
{
	struct reading *in = arg;

	(void)err;
	if (len > in->b->size - in->at)
		return 0;
	in->at += len;
	return 1;
}

static int grow(struct ovbd_fs_members *m, struct ovbd_error *err)
{
	struct member *all;

	if (m->n < m->room)
		return 0;
	if (m->n >= OVBD_FS_MEMBERS_MAX)
		return ovbd_fail(err, -E2BIG, "more than %u members", OVBD_FS_MEMBERS_MAX);
	m->room = m->room ? 2 * m->room : 64;
	all = realloc(m->all, m->room * sizeof(all[0]));
	if (!all)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->all = all;
	return 0;
}

static int take(struct ovbd_fs_members *m, const struct tar *t, const struct tar_entry *e,
                struct ovbd_error *err)
{
	struct member *f;
	int r = grow(m, err);

	if (r < 0)
		return r;
	f = &m->all[m->n];
	*f = (struct member){.type = e->type, .off = tar_at(t), .size = e->size};
	f->sparse = e->npieces > 1 || (e->npieces == 1 && e->pieces[0].len != e->size) ||
	            (e->npieces == 0 && e->size > 0);
	f->name = name_of(e->name, &r);
	if (!f->name)
		return r < 0 ? ovbd_fail(err, r, "out of memory") : 0;
	m->n++;
	if (e->type != TAR_SYMLINK && e->type != TAR_HARD_LINK)
		return 0;
	f->link = strdup(e->link);
	return f->link ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int compare(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	const int r = strcmp(x->name, y->name);

	if (r != 0)
		return r;
	return x->off < y->off ? -1 : x->off > y->off;
}

static int read_all(struct ovbd_fs_members *m, struct ovbd_blob *b, struct ovbd_error *err)
{
	struct reading in = {.b = b};
	OVBD_AUTO(tar_closep) struct tar *t = NULL;
	const struct tar_entry *e;
	int r = tar_open(read_blob, &in, &t, err);

	if (r < 0)
		return r;
	tar_set_pass(t, pass);
	while ((r = tar_next(t, &e, err)) > 0) {
		r = take(m, t, e, err);
		if (r < 0)
			return r;
	}
	if (m->n > 0)
		qsort(m->all, m->n, sizeof(m->all[0]), compare);
	return r;
}

int ovbd_fs_members_open(struct ovbd_blob *b, struct ovbd_fs_members **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_fs_members_closep) struct ovbd_fs_members *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = read_all(m, b, err);
	if (r == 0)
		*ret = OVBD_MOVE(m);
	return r;
}

void ovbd_fs_members_close(struct ovbd_fs_members *take_m)
{
	if (!take_m)
		return;
	for (size_t i = 0; i < take_m->n; i++) {
		free(take_m->all[i].name);
		free(take_m->all[i].link);
	}
	free(take_m->all);
	free(take_m);
}

/* ---- finding ---- */

static bool is_same(const struct member *a, const struct member *b)
{
	if (a->link || b->link)
		return a->link && b->link && a->type == b->type && strcmp(a->link, b->link) == 0;
	return a->type == TAR_DIR && b->type == TAR_DIR;
}

/* The member of this very name; NULL: there is none, or two: *ret_two. */
static const struct member *lookup(const struct ovbd_fs_members *m, const char *name, bool *ret_two)
{
	size_t low = 0, high = m->n;

	*ret_two = false;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (strcmp(m->all[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == m->n || strcmp(m->all[low].name, name) != 0)
		return NULL;
	for (size_t i = low + 1; i < m->n && strcmp(m->all[i].name, name) == 0; i++)
		*ret_two |= !is_same(&m->all[low], &m->all[i]);
	return *ret_two ? NULL : &m->all[low];
}

/* Where a link leads: a symbolic one from its directory, a hard one from the root. */
static bool follow(const struct member *f, char *name)
{
	if (f->type == TAR_SYMLINK && f->link[0] != '/') {
		char *slash = strrchr(name, '/');

		name[slash ? slash - name : 0] = '\0';
	} else {
		name[0] = '\0';
	}
	/* of a link of another root there is nothing here */
	return !(f->type == TAR_SYMLINK && f->link[0] == '/') && walk(name, f->link);
}

static int find(const struct ovbd_fs_members *m, const char *given, char *name,
                struct ovbd_fs_member *ret, struct ovbd_error *err)
{
	for (unsigned i = 0; i <= OVBD_FS_LINKS_MAX; i++) {
		bool two;
		const struct member *f = lookup(m, name, &two);

		if (two)
			return ovbd_fail(err, -EBADMSG, "%s: is in the archive more than once",
			                 name);
		if (!f && i > 0)
			return ovbd_fail(err, -EBADMSG,
			                 "%s: is a link to %s, which is not in the archive", given,
			                 name);
		if (!f)
			return ovbd_fail(err, -ENOENT, "%s: is not in the archive", given);
		if (f->link) {
			if (!follow(f, name))
				return ovbd_fail(err, -EBADMSG,
				                 "%s: is a link out of the archive: %s", given,
				                 f->link);
			continue;
		}
		if (f->type != TAR_FILE || f->sparse)
			return ovbd_fail(err, -EBADMSG, "%s: is no regular file%s", given,
			                 f->sparse ? ", but a sparse one" : "");
		*ret = (struct ovbd_fs_member){.name = f->name, .off = f->off, .size = f->size};
		return 0;
	}
	return ovbd_fail(err, -EBADMSG, "%s: is a link in a circle, or of more than %u links",
	                 given, OVBD_FS_LINKS_MAX);
}

int ovbd_fs_members_find(const struct ovbd_fs_members *m, const char *name,
                         struct ovbd_fs_member *ret, struct ovbd_error *err)
{
	AUTO_FREE char *at = calloc(1, NAME_MAX_LEN + 1);

	if (!at)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (has_dots(name) || !walk(at, name) || at[0] == '\0')
		return ovbd_fail(err, -EBADMSG, "%.200s: is no name within an archive", name);
	return find(m, name, at, ret, err);
}
