// SPDX-License-Identifier: Apache-2.0
/* The text of a list of paths: what its lines say, whatever file system it is for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image/paths.h"

static bool is_blank(char c)
{
	return c == '\r' || c == ' ' || c == '\t';
}

/* The path of a line of len bytes; false: it has none. */
static bool parse_line(const char *line, size_t len, struct ovbd_paths_entry *ret)
{
	struct ovbd_paths_entry e = {.path = line};

	while (len > 0 && is_blank(line[len - 1]))
		len--;
	if (len > 1 && line[len - 1] == '*' && line[len - 2] == '/')
		len--;
	for (; len > 1 && line[len - 1] == '/'; len--)
		e.all = true;
	e.all |= len == 1 && line[0] == '/';
	e.len = len;
	*ret = e;
	return len > 0;
}

bool ovbd_paths_next(const char **text, size_t *len, struct ovbd_paths_entry *ret)
{
	bool found = false;

	while (!found && *len > 0) {
		const char *newline = memchr(*text, '\n', *len);
		const size_t n = newline ? (size_t)(newline - *text) : *len;
		const size_t taken = newline ? n + 1 : n;

		found = parse_line(*text, n, ret);
		*text += taken;
		*len -= taken;
	}
	return found;
}

bool ovbd_paths_is_list(const char *text, size_t len)
{
	const bool is_text = len > 0 && !memchr(text, 0, len);
	struct ovbd_paths_entry first;

	return is_text && ovbd_paths_next(&text, &len, &first) && first.path[0] == '/';
}

int ovbd_paths_load(const char *path, char **ret, size_t *ret_len, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	AUTO_BLOB *b = NULL;
	int r = ovbd_blob_open_file(path, &b, err);

	if (r < 0)
		return r;
	if (b->size > OVBD_PATHS_SIZE_MAX)
		return ovbd_fail(err, -E2BIG, "%s: a list of paths has at most %u bytes", path,
		                 OVBD_PATHS_SIZE_MAX);
	text = malloc((size_t)b->size + 1);
	if (!text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_blob_pread(b, text, (size_t)b->size, 0, err);
	if (r < 0)
		return r;
	*ret_len = (size_t)b->size;
	*ret = OVBD_MOVE(text);
	return 0;
}
