// SPDX-License-Identifier: Apache-2.0
/* For processors whose CRC instruction we do not know: the table is always taken. */
#include "base/crc32c_impl.h"

static int supported(void)
{
	return 0;
}

static uint32_t update(uint32_t crc, const void *buf, size_t len)
{
	(void)buf;
	(void)len;
	return crc;
}

const struct ovbd_crc32c_impl ovbd_crc32c_hardware = {"none", supported, update};
