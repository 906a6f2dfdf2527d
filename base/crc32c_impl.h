/* SPDX-License-Identifier: Apache-2.0 */
/* Private to base/crc32c*.c: the build links exactly one definition of this. */
#ifndef OVBD_BASE_CRC32C_IMPL_H
#define OVBD_BASE_CRC32C_IMPL_H

#include "base/crc32c.h"

extern const struct ovbd_crc32c_impl ovbd_crc32c_hardware;

#endif
