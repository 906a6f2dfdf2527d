// SPDX-License-Identifier: Apache-2.0
/*
 * A line is words with one space between them; space, tab, newline and backslash inside a word are
 * written as a backslash and three octal digits. After the sixth word come optional ones, ended by
 * a word "-". Mounts stacked at one place stand in the order in which they were mounted.
 */
#include "daemon/mountinfo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/auto.h"

static void closep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

static void unescape(char *word)
{
	char *out = word;

	for (const char *in = word; *in;) {
		if (in[0] == '\\' && is_octal(in[1]) && is_octal(in[2]) && is_octal(in[3])) {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
}

int ovbd_mountinfo_decode(char *line, struct ovbd_mount *ret)
{
	enum { ID, PARENT, DEVICE, ROOT, PATH, OPTIONS, NFIXED };
	char *fixed[NFIXED] = {0}, *rest = line, *word;
	struct ovbd_mount m;
	char *fs_type, *source;

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < NFIXED; i++)
		fixed[i] = strsep(&rest, " ");
	do
		word = strsep(&rest, " ");
	while (word && strcmp(word, "-") != 0);
	fs_type = strsep(&rest, " ");
	source = strsep(&rest, " ");
	if (!source || sscanf(fixed[ID], "%" SCNu64, &m.id) != 1 ||
	    sscanf(fixed[DEVICE], "%" SCNu32 ":%" SCNu32, &m.major, &m.minor) != 2)
		return -EBADMSG;
	unescape(fixed[PATH]);
	unescape(fs_type);
	unescape(source);
	m.path = fixed[PATH];
	m.fs_type = fs_type;
	m.source = source;
	*ret = m;
	return 0;
}

int ovbd_mountinfo_find(const char *path, struct ovbd_mount *ret, char **ret_line,
                        struct ovbd_error *err)
{
	static const char file[] = "/proc/self/mountinfo";
	OVBD_AUTO(closep) FILE *f = fopen(file, "re");
	AUTO_FREE char *found = NULL;
	struct ovbd_mount top;

	if (!f)
		return ovbd_fail_errno(err, -errno, "%s", file);
	for (;;) {
		AUTO_FREE char *line = NULL;
		struct ovbd_mount m;
		size_t size = 0;

		errno = 0;
		if (getline(&line, &size, f) < 0)
			break;
		if (ovbd_mountinfo_decode(line, &m) < 0)
			return ovbd_fail(err, -EBADMSG, "%s: a line that is none of a mount: %s",
			                 file, line);
		if (strcmp(m.path, path) == 0) {
			char *old = found;

			found = line;
			line = old;
			top = m;
		}
	}
	if (errno != 0)
		return ovbd_fail_errno(err, -errno, "%s", file);
	if (!found)
		return 0;
	*ret = top;
	*ret_line = OVBD_MOVE(found);
	return 1;
}
