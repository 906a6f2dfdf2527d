// SPDX-License-Identifier: Apache-2.0
#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

static const char units[] = "KMGTPE";

/* The factor of the unit that text is ("", "B", "k", "KiB"); 0 if it is none. */
static uint64_t unit_of(const char *text)
{
	const char *u;

	if (*text == '\0' || strcmp(text, "B") == 0)
		return 1;
	u = strchr(units, toupper((unsigned char)*text));
	text++;
	if (!u || (*text != '\0' && strcmp(text, "iB") != 0))
		return 0;
	return 1ULL << (10 * (u - units + 1));
}

/* Adds .digits of unit to *v. */
static int add_fraction(const char *digits, size_t n, uint64_t unit, uint64_t *v)
{
	uint64_t scale = 1, value = 0;

	if (n == 0 || n > 9)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		value = value * 10 + (uint64_t)(digits[i] - '0');
		scale *= 10;
	}
	/* value / scale of unit, exactly: no rounding behind anybody's back */
	while (scale % 2 == 0 && unit % 2 == 0) {
		scale /= 2;
		unit /= 2;
	}
	if (value % scale != 0)
		return -EINVAL;
	return ovbd_mul(value / scale, unit, &value) && ovbd_add(*v, value, v) ? 0 : -ERANGE;
}

int ovbd_size_parse(const char *text, uint64_t *ret)
{
	const char *fraction = NULL;
	size_t nfraction = 0;
	char *end;
	uint64_t v, unit;

	if (!isdigit((unsigned char)*text)) /* strtoull takes signs and blanks */
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, strncasecmp(text, "0x", 2) == 0 ? 16 : 10);
	if (errno != 0)
		return -errno;
	if (*end == '.') {
		fraction = end + 1;
		nfraction = strspn(fraction, "0123456789");
		end += 1 + nfraction;
	}
	unit = unit_of(end);
	if (unit == 0)
		return -EINVAL;
	if (!ovbd_mul(v, unit, &v))
		return -ERANGE;
	if (fraction) {
		const int r = add_fraction(fraction, nfraction, unit, &v);

		if (r < 0)
			return r;
	}
	*ret = v;
	return 0;
}
