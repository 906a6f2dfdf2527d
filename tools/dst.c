// SPDX-License-Identifier: Apache-2.0
#include "tools/dst.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int ovbd_dst_check(const char *dst, bool force, struct ovbd_error *err)
{
	struct stat st;

	if (strcmp(dst, "-") == 0 || stat(dst, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return ovbd_fail(err, -EISDIR, "%s: is a directory", dst);
	if (!force && S_ISREG(st.st_mode))
		return ovbd_fail(err, -EEXIST, "%s: exists; use --force to replace it", dst);
	if (!force && S_ISBLK(st.st_mode))
		return ovbd_fail(err, -EEXIST,
		                 "%s: is a block device; use --force to overwrite what is on it",
		                 dst);
	return 0;
}
