// SPDX-License-Identifier: Apache-2.0
#include "tools/apply_device.h"

#include <errno.h>

int ovbd_apply_device(const struct ovbd_apply_device *a, struct ovbd_error *err)
{
	(void)a;
	return ovbd_fail(err, -ENOTSUP, "this ovbd was built without libext2fs");
}
