// SPDX-License-Identifier: Apache-2.0
#include "image/image.h"

#include <assert.h>
#include <errno.h>

static const char *const names[] = {
	[OVBD_FORMAT_AUTO] = "auto",
	[OVBD_FORMAT_RAW] = "raw",
	[OVBD_FORMAT_LSMT] = "lsmt",
	[OVBD_FORMAT_ZFILE] = "zfile",
	[OVBD_FORMAT_OVBD] = "ovbd",
	[OVBD_FORMAT_IMAGE] = "image",
	[OVBD_FORMAT_ANDROID_COW] = "android-cow",
	[OVBD_FORMAT_DM_UPDATE] = "dm-update",
	[OVBD_FORMAT_DM_SNAPSHOT] = "dm-snapshot",
};

#define NNAMES (sizeof(names) / sizeof(names[0]))

const char *ovbd_format_name(enum ovbd_format f)
{
	assert(f < NNAMES);
	return names[f];
}

int ovbd_format_parse(const char *name, enum ovbd_format *ret)
{
	for (size_t i = 0; i < NNAMES; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret = (enum ovbd_format)i;
			return 0;
		}
	}
	return -EINVAL;
}
