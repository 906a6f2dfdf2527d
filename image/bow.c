// SPDX-License-Identifier: Apache-2.0
#include "image/bow.h"

#include <errno.h>
#include <stdlib.h>

#include "base/auto.h"
#include "image/upper.h"

int ovbd_image_bow_open(const char *path, const struct ovbd_bow_params *p, struct ovbd_device **ret,
                        struct ovbd_device **ret_bow, struct ovbd_error *err)
{
	struct ovbd_device *d;
	int r = ovbd_device_open_file_alone(path, &d, err);

	if (r < 0)
		return r;
	r = ovbd_bow_open(d, p, &d, err);
	if (r < 0)
		return ovbd_fail_named(err, r, path);
	*ret_bow = d;
	return ovbd_upper_open_bytes(d, ret, err);
}

int ovbd_image_bow_check_block_size(uint64_t n, struct ovbd_error *err)
{
	if (n != 0 && (n < 512 || n > 4096 || (n & (n - 1)) != 0))
		return ovbd_fail(err, -EINVAL, "%llu bytes: must be 512, 1024, 2048 or 4096",
		                 (unsigned long long)n);
	return 0;
}

void ovbd_image_bow_release(struct ovbd_image_bow *b)
{
	free(b->device);
	b->device = NULL;
}
