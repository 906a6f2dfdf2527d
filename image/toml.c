// SPDX-License-Identifier: Apache-2.0
/*
 * A recursive descent over the text, one byte at a time; a NUL stands for its end, and is refused
 * within it. A value is made and hung into its table at once, so that the root owns all there is.
 * Strings are checked to be UTF-8 when they become JSON.
 */
#include "image/toml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

#define DEPTH_MAX  16   /* of arrays and inline tables in each other, and of a dotted key */
#define STRING_MAX 4096 /* bytes of a string or a key */

struct toml {
	const char *p, *end;
	unsigned line, depth;
	const char *name;
	json_t *headers; /* the tables that have had a header, by its text */
	struct ovbd_error *err;
};

struct text {
	char s[STRING_MAX];
	size_t n;
};

/* A key, perhaps of several parts: the table that all but the last lead to, and the last. */
struct key {
	json_t *table; /* borrowed */
	struct text last;
};

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static int wrong(struct toml *t, const char *what)
{
	return ovbd_fail(t->err, -EBADMSG, "%s: line %u: %s", t->name, t->line, what);
}

static char peek(const struct toml *t)
{
	return t->p < t->end ? *t->p : '\0';
}

static bool accept(struct toml *t, char c)
{
	if (peek(t) != c || t->p == t->end)
		return false;
	t->p++;
	return true;
}

static void skip_blanks(struct toml *t)
{
	while (peek(t) == ' ' || peek(t) == '\t')
		t->p++;
}

static void skip_comment(struct toml *t)
{
	skip_blanks(t);
	if (peek(t) == '#')
		while (t->p < t->end && *t->p != '\n')
			t->p++;
	if (peek(t) == '\r' && t->end - t->p > 1 && t->p[1] == '\n')
		t->p++;
}

/* Blanks, comments and ends of lines. */
static void skip_lines(struct toml *t)
{
	for (skip_comment(t); accept(t, '\n'); skip_comment(t))
		t->line++;
}

static int add_char(struct toml *t, struct text *s, char c)
{
	if (s->n + 1 >= sizeof(s->s))
		return wrong(t, "a string is too long");
	s->s[s->n++] = c;
	s->s[s->n] = '\0';
	return 0;
}

/* A character by its number, as UTF-8. */
static int add_unicode(struct toml *t, struct text *s, unsigned ndigits)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	uint32_t c = 0;
	int r = 0;

	for (unsigned i = 0; i < ndigits; i++) {
		const char *d = peek(t) ? strchr(digits, peek(t)) : NULL;

		if (!d)
			return wrong(t, "\\u wants four hexadecimal digits, and \\U eight");
		c = c << 4 | ((uint32_t)(d - digits) & 15);
		t->p++;
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return wrong(t, "there is no such character");
	if (c < 0x80)
		return add_char(t, s, (char)c);
	if (c >= 0x10000)
		r = add_char(t, s, (char)(0xf0 | c >> 18));
	if (r == 0 && c >= 0x10000)
		r = add_char(t, s, (char)(0x80 | (c >> 12 & 0x3f)));
	else if (r == 0 && c >= 0x800)
		r = add_char(t, s, (char)(0xe0 | c >> 12));
	if (r == 0)
		r = add_char(t, s, (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6));
	return r < 0 ? r : add_char(t, s, (char)(0x80 | (c & 0x3f)));
}

static int add_escape(struct toml *t, struct text *s)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char c = peek(t);
	const char *found = c ? strchr(from, c) : NULL;

	if (!found && c != 'u' && c != 'U')
		return wrong(t, "an escape that TOML does not have");
	t->p++;
	return found ? add_char(t, s, to[found - from]) : add_unicode(t, s, c == 'u' ? 4 : 8);
}

/* "..." with escapes, or '...' without; its quote has been seen. */
static int parse_quoted(struct toml *t, struct text *ret)
{
	const char quote = *t->p++;
	int r = 0;

	ret->n = 0;
	ret->s[0] = '\0';
	if (peek(t) == quote && t->end - t->p > 1 && t->p[1] == quote)
		return wrong(t, "strings of several lines are not understood");
	while (r == 0 && !accept(t, quote)) {
		const unsigned char c = (unsigned char)peek(t);

		if (c == '\n' || c == '\r' || t->p == t->end)
			return wrong(t, "a string does not end on its line");
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return wrong(t, "a control character in a string");
		t->p++;
		r = c == '\\' && quote == '"' ? add_escape(t, ret) : add_char(t, ret, (char)c);
	}
	return r;
}

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

static int parse_key_part(struct toml *t, struct text *ret)
{
	int r = 0;

	if (peek(t) == '"' || peek(t) == '\'')
		return parse_quoted(t, ret);
	ret->n = 0;
	ret->s[0] = '\0';
	if (!is_bare(peek(t)))
		return wrong(t, "a key is missing");
	while (r == 0 && is_bare(peek(t)))
		r = add_char(t, ret, *t->p++);
	return r;
}

/* The table of this name in a table; made if it is not there. */
static int enter(struct toml *t, json_t *table, const struct text *name, json_t **ret)
{
	json_t *v = json_object_get(table, name->s);

	if (v && !json_is_object(v))
		return wrong(t, "a key that has a value already cannot be a table");
	if (!v) {
		v = json_object();
		if (json_object_set_new(table, name->s, v) < 0)
			return wrong(t, "a key is no UTF-8");
	}
	*ret = v;
	return 0;
}

/* The parts of a key: all but the last are tables, from table on. */
static int parse_key(struct toml *t, json_t *table, struct key *ret)
{
	int r = parse_key_part(t, &ret->last);

	ret->table = table;
	for (unsigned n = 1; r == 0; n++) {
		skip_blanks(t);
		if (!accept(t, '.'))
			return 0;
		if (n == DEPTH_MAX)
			return wrong(t, "a key of too many parts");
		skip_blanks(t);
		r = enter(t, ret->table, &ret->last, &ret->table);
		if (r == 0)
			r = parse_key_part(t, &ret->last);
	}
	return r;
}

/* true, false or a whole number. */
static int parse_word(struct toml *t, json_t **ret)
{
	const char *start = t->p;
	char word[32], *end;
	size_t n;

	while (is_bare(peek(t)) || peek(t) == '+' || peek(t) == '.' || peek(t) == ':')
		t->p++;
	n = (size_t)(t->p - start);
	if (n == 0)
		return wrong(t, "a value is missing");
	if (n >= sizeof(word))
		return wrong(t, "a value that is not understood");
	memcpy(word, start, n);
	word[n] = '\0';
	if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
		*ret = json_boolean(word[0] == 't');
		return 0;
	}
	if (strspn(word + (word[0] == '-' || word[0] == '+'), "0123456789") <
	            n - (word[0] == '-' || word[0] == '+') ||
	    n > 18)
		return wrong(t, "a value that is neither a string, a whole number, true nor false");
	*ret = json_integer(strtoll(word, &end, 10));
	return end == word ? wrong(t, "a value is missing") : 0;
}

static int parse_value(struct toml *t, json_t **ret);

static int parse_array(struct toml *t, json_t *array)
{
	int r = 0;

	for (skip_lines(t); r == 0 && !accept(t, ']'); skip_lines(t)) {
		OVBD_AUTO(release_jsonp) json_t *v = NULL;

		r = parse_value(t, &v);
		if (r < 0 || json_array_append(array, v) < 0)
			return r < 0 ? r : wrong(t, "out of memory");
		skip_lines(t);
		if (!accept(t, ',') && peek(t) != ']')
			return wrong(t, "an array has neither a comma nor its end here");
	}
	return r;
}

static int parse_pair(struct toml *t, json_t *table);

static int parse_inline_table(struct toml *t, json_t *table)
{
	int r = 0;

	skip_blanks(t);
	if (accept(t, '}'))
		return 0;
	while (r == 0) {
		skip_blanks(t);
		r = parse_pair(t, table);
		skip_blanks(t);
		if (r == 0 && accept(t, '}'))
			return 0;
		if (r == 0 && !accept(t, ','))
			return wrong(t, "an inline table has neither a comma nor its end here");
	}
	return r;
}

static int parse_string(struct toml *t, json_t **ret)
{
	struct text s;
	const int r = parse_quoted(t, &s);

	if (r < 0)
		return r;
	*ret = json_stringn(s.s, s.n);
	return *ret ? 0 : wrong(t, "a string is no UTF-8");
}

static int parse_value(struct toml *t, json_t **ret)
{
	OVBD_AUTO(release_jsonp) json_t *v = NULL;
	const char c = peek(t);
	int r;

	if (c == '"' || c == '\'')
		return parse_string(t, ret);
	if (c != '[' && c != '{')
		return parse_word(t, ret);
	if (++t->depth > DEPTH_MAX)
		return wrong(t, "arrays and tables are too deep in each other");
	t->p++;
	v = c == '[' ? json_array() : json_object();
	r = c == '[' ? parse_array(t, v) : parse_inline_table(t, v);
	t->depth--;
	if (r == 0)
		*ret = OVBD_MOVE(v);
	return r;
}

/* KEY = VALUE */
static int parse_pair(struct toml *t, json_t *table)
{
	OVBD_AUTO(release_jsonp) json_t *v = NULL;
	struct key key;
	int r = parse_key(t, table, &key);

	if (r < 0)
		return r;
	if (!accept(t, '='))
		return wrong(t, "a key without = and a value");
	if (json_object_get(key.table, key.last.s))
		return wrong(t, "a key is there twice");
	skip_blanks(t);
	r = parse_value(t, &v);
	if (r == 0 && json_object_set(key.table, key.last.s, v) < 0)
		r = wrong(t, "a key is no UTF-8");
	return r;
}

/* [TABLE], whose first bracket has been seen; the table is the current one then. */
static int parse_header(struct toml *t, json_t *root, json_t **ret)
{
	AUTO_FREE char *whole = NULL;
	const char *start;
	struct key key;
	json_t *table;
	int r;

	if (accept(t, '['))
		return wrong(t, "arrays of tables are not understood");
	skip_blanks(t);
	start = t->p;
	r = parse_key(t, root, &key);
	if (r < 0)
		return r;
	whole = strndup(start, (size_t)(t->p - start));
	if (!accept(t, ']'))
		return wrong(t, "a table's name does not end in ]");
	r = enter(t, key.table, &key.last, &table);
	if (r < 0)
		return r;
	if (!whole || json_object_get(t->headers, whole))
		return wrong(t, "a table is there twice");
	if (json_object_set_new(t->headers, whole, json_true()) < 0)
		return wrong(t, "a key is no UTF-8");
	*ret = table;
	return 0;
}

int ovbd_toml_parse(const char *text, size_t len, const char *name, json_t **ret,
                    struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *root = json_object();
	OVBD_AUTO(release_jsonp) json_t *headers = json_object();
	struct toml t = {
		.p = text,
		.end = text + len,
		.line = 1,
		.name = name,
		.headers = headers,
		.err = err,
	};
	json_t *table = root;
	int r = 0;

	if (!root || !headers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (skip_lines(&t); r == 0 && t.p < t.end; skip_lines(&t)) {
		r = accept(&t, '[') ? parse_header(&t, root, &table) : parse_pair(&t, table);
		skip_comment(&t);
		if (r == 0 && t.p < t.end && *t.p != '\n')
			r = wrong(&t, "something follows where the line should end");
	}
	if (r == 0)
		*ret = OVBD_MOVE(root);
	return r;
}
