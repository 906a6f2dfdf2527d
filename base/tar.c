// SPDX-License-Identifier: Apache-2.0
#include "base/tar.h"

static bool parse_octal(const uint8_t *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 60)
			return false;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	*ret = v;
	return i == n || p[i] == ' ' || p[i] == '\0';
}

bool ovbd_tar_signed(const uint8_t *field, size_t n, int64_t *ret)
{
	const int64_t limit = INT64_C(1) << 55;
	uint64_t octal;
	int64_t v;

	if (!(field[0] & 0x80)) {
		if (!parse_octal(field, n, &octal))
			return false;
		*ret = (int64_t)octal;
		return true;
	}
	v = (field[0] & 0x7f) - (field[0] & 0x40 ? 0x80 : 0);
	for (size_t i = 1; i < n; i++) {
		if (v >= limit || v < -limit)
			return false;
		v = v * 256 + field[i];
	}
	*ret = v;
	return true;
}

bool ovbd_tar_number(const uint8_t *field, size_t n, uint64_t *ret)
{
	int64_t v;

	if (!ovbd_tar_signed(field, n, &v) || v < 0)
		return false;
	*ret = (uint64_t)v;
	return true;
}

bool ovbd_tar_has_checksum(const uint8_t header[OVBD_TAR_BLOCK])
{
	int64_t sum = 0, signed_sum = 0;
	uint64_t want;

	for (size_t i = 0; i < OVBD_TAR_BLOCK; i++) {
		const bool own = i >= OVBD_TAR_CHECKSUM && i < OVBD_TAR_CHECKSUM + OVBD_TAR_SHORT;
		const uint8_t c = own ? ' ' : header[i];

		sum += c;
		signed_sum += (int8_t)c;
	}
	return parse_octal(header + OVBD_TAR_CHECKSUM, OVBD_TAR_SHORT, &want) &&
	       ((int64_t)want == sum || (int64_t)want == signed_sum);
}
