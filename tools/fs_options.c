// SPDX-License-Identifier: Apache-2.0
#include "tools/fs_options.h"

#include <stdlib.h>

#include "fs/fs.h"
#include "tools/size.h"

int ovbd_fs_size_option(struct ovbd_cli *c, uint64_t *ret)
{
	if (ovbd_size_parse(c->value, ret) < 0 || *ret < OVBD_FS_SIZE_MIN ||
	    *ret > OVBD_FS_SIZE_MAX || *ret % OVBD_FS_BLOCK != 0)
		return ovbd_cli_usage(c, "--fs-size %s: it is a multiple of 4K, from 1M to 16T",
		                      c->value);
	return 0;
}

int64_t ovbd_source_date(void)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;
	const long long v = text ? strtoll(text, &end, 10) : 0;

	return text && *text && *end == '\0' && v > 0 && v < UINT32_MAX ? v : 0;
}
