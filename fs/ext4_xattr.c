// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext4.h"

struct names {
	char **v;
	size_t n;
	bool failed;
};

static void free_names(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static int note_name(char *name, char *value, size_t len, void *arg)
{
	struct names *l = arg;
	char **more = realloc(l->v, (l->n + 1) * sizeof(*more));

	(void)value;
	(void)len;
	if (more)
		l->v = more;
	l->failed |= !more;
	if (!more)
		return XATTR_ABORT;
	l->v[l->n] = strdup(name);
	l->failed |= !l->v[l->n];
	l->n += l->v[l->n] != NULL;
	return l->failed ? XATTR_ABORT : 0;
}

static errcode_t remove_others(struct ext2_xattr_handle *h, const struct tar_xattr *v, size_t n)
{
	OVBD_AUTO(free_names) struct names l = {0};
	errcode_t code = ext2fs_xattrs_iterate(h, note_name, &l);

	if (!code && l.failed)
		code = EXT2_ET_NO_MEMORY;
	for (size_t i = 0; !code && i < l.n; i++) {
		bool kept = false;

		for (size_t k = 0; k < n; k++)
			kept |= strcmp(v[k].name, l.v[i]) == 0;
		if (!kept)
			code = ext2fs_xattr_remove(h, l.v[i]);
	}
	return code;
}

static int set_all(struct ext4 *x, struct ext2_xattr_handle *h, const struct tar_xattr *v, size_t n,
                   struct ovbd_error *err)
{
	errcode_t code = ext2fs_xattrs_read(h);

	if (!code)
		code = remove_others(h, v, n);
	if (code)
		return ext4_fail(x, code, err, "extended attributes");
	for (size_t i = 0; i < n; i++) {
		code = ext2fs_xattr_set(h, v[i].name, v[i].value, v[i].len);
		if (code == EXT2_ET_EA_NO_SPACE)
			return ovbd_fail(
				err, -ENOSPC,
				"its extended attributes need more than %u bytes, which is "
				"all that ext4 has for them (%s)",
				OVBD_FS_BLOCK, v[i].name);
		if (code)
			return ext4_fail(x, code, err, "the extended attribute %s", v[i].name);
	}
	return 0;
}

int ext4_xattrs_set(struct ext4 *x, ext2_ino_t ino, const struct tar_xattr *v, size_t n,
                    struct ovbd_error *err)
{
	struct ext2_xattr_handle *h;
	const errcode_t code = ext2fs_xattrs_open(x->fs, ino, &h);
	int r;

	if (code)
		return ext4_fail(x, code, err, "extended attributes");
	r = set_all(x, h, v, n, err);
	ext2fs_xattrs_close(&h);
	return r;
}
