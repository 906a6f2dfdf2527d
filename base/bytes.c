// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <string.h>

/* Words are or-ed 64 bytes at a time, so that the compiler vectorises and real data (which differ
 * from zero within the first line) leave after one step. */
bool ovbd_is_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t w[8];

	while (len >= sizeof(w)) {
		memcpy(w, p, sizeof(w));
		if ((w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) != 0)
			return false;
		p += sizeof(w);
		len -= sizeof(w);
	}
	for (; len > 0; len--)
		if (*p++ != 0)
			return false;
	return true;
}
