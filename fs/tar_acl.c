// SPDX-License-Identifier: Apache-2.0
/*
 * Access control lists as text ("user::rw-", "group:1000:r-x", "mask::r--", ..., each behind a
 * comma or on a line of its own; star adds ":1000" to an entry with a name) become the attribute
 * that the kernel has of them: a version u32, then kind u16, permissions u16 and id u32 of each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/tar.h"

#define VERSION    2u
#define HEAD_SIZE  4u
#define ENTRY_SIZE 8u
#define NO_ID      UINT32_MAX

enum kind {
	OWNER = 1,
	USER = 2,
	OWNING_GROUP = 4,
	GROUP = 8,
	MASK = 16,
	OTHER = 32,
};

struct entry {
	unsigned kind, permissions;
	uint32_t id;
};

/* Cuts the next part off *text, which then is behind it; NULL: there is none. */
static char *cut(char **text, const char *ends)
{
	char *part = *text;

	if (!part)
		return NULL;
	*text = strpbrk(part, ends);
	if (*text)
		*(*text)++ = '\0';
	return part;
}

static bool parse_permissions(const char *text, unsigned *ret)
{
	static const char letters[] = "rwx";

	*ret = 0;
	for (unsigned i = 0; i < 3; i++) {
		if (text[i] != letters[i] && text[i] != '-')
			return false;
		*ret = *ret << 1 | (text[i] != '-');
	}
	return text[3] == '\0';
}

static bool parse_id(const char *text, uint32_t *ret)
{
	uint64_t v = 0;

	if (!text || !*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v >= NO_ID)
			return false;
	}
	*ret = (uint32_t)v;
	return true;
}

static unsigned kind_of(const char *word, bool named)
{
	if (strcmp(word, "user") == 0)
		return named ? USER : OWNER;
	if (strcmp(word, "group") == 0)
		return named ? GROUP : OWNING_GROUP;
	if (named)
		return 0;
	return strcmp(word, "mask") == 0 ? MASK : strcmp(word, "other") == 0 ? OTHER : 0;
}

static int parse_entry(char *text, struct entry *ret, struct ovbd_error *err)
{
	char *rest = text;
	const char *word = cut(&rest, ":"), *who = cut(&rest, ":");
	const char *permissions = cut(&rest, ":"), *id = rest;

	ret->id = NO_ID;
	ret->kind = who ? kind_of(word, *who != '\0') : 0;
	if (!ret->kind || !permissions || !parse_permissions(permissions, &ret->permissions))
		return ovbd_fail(err, -EBADMSG, "its access control list has an entry \"%.40s\"",
		                 text);
	if (*who && !parse_id(who, &ret->id) && !parse_id(id, &ret->id)) {
		if (strcmp(who, "root") != 0)
			return ovbd_fail(err, -ENOTSUP,
			                 "its access control list names %s \"%.40s\", not a "
			                 "number (make the tar with --xattrs --xattrs-include=* "
			                 "rather than --acls)",
			                 word, who);
		ret->id = 0;
	}
	return 0;
}

static int by_kind(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/* One of each that there must be; a mask if somebody is named; nobody twice. Sorted. */
static bool is_whole(const struct entry *v, size_t n)
{
	unsigned kinds = 0;

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && by_kind(&v[i - 1], &v[i]) == 0)
			return false;
		kinds |= v[i].kind;
	}
	return (kinds & (OWNER | OWNING_GROUP | OTHER)) == (OWNER | OWNING_GROUP | OTHER) &&
	       (!(kinds & (USER | GROUP)) || kinds & MASK);
}

static void encode(const struct entry *v, size_t n, uint8_t *ret)
{
	ovbd_put_le32(ret, VERSION);
	for (size_t i = 0; i < n; i++) {
		uint8_t *at = ret + HEAD_SIZE + i * ENTRY_SIZE;

		ovbd_put_le16(at, (uint16_t)v[i].kind);
		ovbd_put_le16(at + 2, (uint16_t)v[i].permissions);
		ovbd_put_le32(at + 4, v[i].id);
	}
}

int tar_acl_parse(char *text, size_t len, size_t *ret_len, struct ovbd_error *err)
{
	/* the shortest entry, "user::---", is longer than what it becomes */
	AUTO_FREE struct entry *v = calloc(len / ENTRY_SIZE + 1, sizeof(*v));
	char *rest = text, *part;
	size_t n = 0;
	int r = 0;

	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (r == 0 && (part = cut(&rest, ",\n"))) {
		part[strcspn(part, " \t#")] = '\0'; /* "#effective:r--" */
		if (*part)
			r = parse_entry(part, &v[n++], err);
	}
	if (r < 0)
		return r;
	qsort(v, n, sizeof(*v), by_kind);
	if (n > 0 && !is_whole(v, n))
		return ovbd_fail(err, -EBADMSG, "its access control list is not whole");
	*ret_len = n > 0 ? HEAD_SIZE + n * ENTRY_SIZE : 0;
	if (n > 0)
		encode(v, n, (uint8_t *)text);
	return 0;
}
