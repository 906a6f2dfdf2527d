// SPDX-License-Identifier: Apache-2.0
/*
 * Pax records: "LENGTH KEY=VALUE\n", LENGTH being that of the whole record in decimal digits. They
 * are cut up in place: '=' and '\n' become NULs, so that values are texts; what may hold NULs
 * itself (an extended attribute) has its length too. An access control list in words becomes one.
 *
 * Keys that say nothing of what a file is (comment, ctime, uname, ...) are passed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/tar.h"

#define XATTR "SCHILY.xattr."

/* Digits and nothing else. */
static bool parse_number(const char *text, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || !ovbd_mul(v, 10, &v) ||
		    !ovbd_add(v, (uint64_t)(*text - '0'), &v))
			return false;
	*ret = v;
	return true;
}

/* [-]SECONDS[.FRACTION] */
static bool parse_time(const char *text, struct tar_time *ret)
{
	const bool negative = *text == '-';
	char whole[24];
	const char *point;
	uint64_t s;
	uint32_t ns = 0, scale = 100000000;

	text += negative;
	point = strchr(text, '.');
	if (!point)
		point = text + strlen(text);
	if (point - text >= (long)sizeof(whole))
		return false;
	memcpy(whole, text, (size_t)(point - text));
	whole[point - text] = '\0';
	if (!parse_number(whole, &s) || s > INT64_MAX / 2)
		return false;
	for (const char *p = *point ? point + 1 : point; *p; p++, scale /= 10) {
		if (*p < '0' || *p > '9')
			return false;
		ns += scale * (uint32_t)(*p - '0');
	}
	*ret = (struct tar_time){.s = negative ? -(int64_t)s : (int64_t)s, .ns = ns};
	if (negative && ns > 0)
		*ret = (struct tar_time){.s = -(int64_t)s - 1, .ns = 1000000000 - ns};
	return true;
}

static int add_xattr(struct tar_pax *p, const char *name, const char *value, size_t len,
                     struct ovbd_error *err)
{
	const struct tar_xattr x = {name, (const uint8_t *)value, len};
	struct tar_xattr *more;

	for (size_t i = 0; i < p->nxattrs; i++)
		if (strcmp(p->xattrs[i].name, name) == 0) {
			p->xattrs[i] = x;
			return 0;
		}
	if (p->nxattrs == TAR_XATTRS_MAX)
		return ovbd_fail(err, -E2BIG, "it has more than %u extended attributes",
		                 TAR_XATTRS_MAX);
	more = realloc(p->xattrs, (p->nxattrs + 1) * sizeof(*more));
	if (!more)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	p->xattrs = more;
	p->xattrs[p->nxattrs++] = x;
	return 0;
}

/* GNU.sparse.offset and .numbytes, by turns (GNU's sparse format 0.0). */
static int add_piece(struct tar_pax *p, bool is_offset, uint64_t v, struct ovbd_error *err)
{
	struct tar_piece *more;

	if (is_offset == p->half)
		return ovbd_fail(err, -EBADMSG, "its map of a sparse file is incomplete");
	p->half = is_offset;
	if (!is_offset) {
		p->pieces[p->npieces - 1].len = v;
		return 0;
	}
	if (p->npieces == TAR_PIECES_MAX)
		return ovbd_fail(err, -E2BIG, "its map of a sparse file has more than %u pieces",
		                 TAR_PIECES_MAX);
	if ((p->npieces & (p->npieces - 1)) == 0) { /* full: it has room for a power of two */
		more = realloc(p->pieces, (p->npieces ? 2 * p->npieces : 1) * sizeof(*more));
		if (!more)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		p->pieces = more;
	}
	p->pieces[p->npieces++] = (struct tar_piece){.off = v};
	return 0;
}

struct number {
	const char *key;
	size_t off, has; /* of the fields; has may be SIZE_MAX */
};

#define AT(field)   offsetof(struct tar_pax, field)
#define NEVER       SIZE_MAX
#define COUNT(list) (sizeof(list) / sizeof(list[0]))

static const struct number numbers[] = {
	{"size", AT(size), AT(has_size)},
	{"uid", AT(uid), AT(has_uid)},
	{"gid", AT(gid), AT(has_gid)},
	{"GNU.sparse.realsize", AT(real_size), AT(has_real_size)},
	{"GNU.sparse.size", AT(real_size), AT(has_real_size)},
	{"GNU.sparse.major", AT(sparse_major), NEVER},
};

static const struct number texts[] = {
	{"path", AT(path), NEVER},
	{"linkpath", AT(link), NEVER},
	{"GNU.sparse.name", AT(sparse_name), NEVER},
	{"GNU.sparse.map", AT(sparse_map), NEVER},
};

static const struct number times[] = {
	{"mtime", AT(mtime), AT(has_mtime)},
	{"atime", AT(atime), AT(has_atime)},
};

static const struct number *find(const struct number *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].key, key) == 0)
			return &list[i];
	return NULL;
}

static void set_has(struct tar_pax *p, const struct number *n)
{
	if (n->has != NEVER)
		memcpy((char *)p + n->has, &(bool){true}, sizeof(bool));
}

static int take_acl(struct tar_pax *p, const char *key, char *value, size_t len,
                    struct ovbd_error *err)
{
	const bool access = strcmp(key, "SCHILY.acl.access") == 0;
	size_t acl_len;
	int r;

	if (!access && strcmp(key, "SCHILY.acl.default") != 0)
		return 0;
	r = tar_acl_parse(value, len, &acl_len, err);
	/* of owner, group and others the mode says it already */
	if (r < 0 || acl_len <= (access ? TAR_ACL_PLAIN : 0))
		return r;
	return add_xattr(p, access ? "system.posix_acl_access" : "system.posix_acl_default", value,
	                 acl_len, err);
}

static int take_record(struct tar_pax *p, const char *key, char *value, size_t len,
                       struct ovbd_error *err)
{
	const struct number *n;
	struct tar_time time;
	uint64_t v;

	if (strncmp(key, XATTR, strlen(XATTR)) == 0 && key[strlen(XATTR)])
		return add_xattr(p, key + strlen(XATTR), value, len, err);
	n = find(texts, COUNT(texts), key);
	if (n) {
		if (strlen(value) != len)
			return ovbd_fail(err, -EBADMSG, "its record %s has a NUL in it", key);
		memcpy((char *)p + n->off, &value, sizeof(value));
		return 0;
	}
	n = find(numbers, COUNT(numbers), key);
	if (n || strcmp(key, "GNU.sparse.offset") == 0 || strcmp(key, "GNU.sparse.numbytes") == 0) {
		if (!parse_number(value, &v))
			return ovbd_fail(err, -EBADMSG, "its record %s is no number: \"%.40s\"",
			                 key, value);
		if (!n)
			return add_piece(p, key[11] == 'o', v, err);
		memcpy((char *)p + n->off, &v, sizeof(v));
		set_has(p, n);
		return 0;
	}
	n = find(times, COUNT(times), key);
	if (n) {
		if (!parse_time(value, &time))
			return ovbd_fail(err, -EBADMSG, "its record %s is no time: \"%.40s\"", key,
			                 value);
		memcpy((char *)p + n->off, &time, sizeof(time));
		set_has(p, n);
		return 0;
	}
	return take_acl(p, key, value, len, err);
}

int tar_pax_parse(char *records, size_t len, struct tar_pax *p, struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && len > 0 && records[0]) {
		char *end, *equals;
		size_t n = 0, digits = 0;

		while (digits < len && digits < 9 && records[digits] >= '0' &&
		       records[digits] <= '9')
			n = n * 10 + (size_t)(records[digits++] - '0');
		if (digits == 0 || digits >= len || records[digits] != ' ' || n > len ||
		    n < digits + 4 || records[n - 1] != '\n')
			return ovbd_fail(err, -EBADMSG, "its pax records are damaged");
		end = records + n - 1;
		equals = memchr(records + digits + 1, '=', n - digits - 2);
		if (!equals)
			return ovbd_fail(err, -EBADMSG, "its pax records are damaged");
		*equals = '\0';
		*end = '\0';
		r = take_record(p, records + digits + 1, equals + 1, (size_t)(end - equals - 1),
		                err);
		records += n;
		len -= n;
	}
	return r;
}

int tar_pax_copy(struct tar_pax *to, const struct tar_pax *from)
{
	*to = *from;
	to->pieces = NULL;
	to->npieces = 0;
	to->half = false;
	to->xattrs = NULL;
	if (from->nxattrs > 0) {
		to->xattrs = malloc(from->nxattrs * sizeof(to->xattrs[0]));
		if (!to->xattrs) {
			*to = (struct tar_pax){0};
			return -ENOMEM;
		}
		memcpy(to->xattrs, from->xattrs, from->nxattrs * sizeof(to->xattrs[0]));
	}
	return 0;
}

void tar_pax_free(struct tar_pax *p)
{
	free(p->xattrs);
	free(p->pieces);
	*p = (struct tar_pax){0};
}
