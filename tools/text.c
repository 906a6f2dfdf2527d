// SPDX-License-Identifier: Apache-2.0
#include "tools/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length of the well-formed UTF-8 sequence at p, which is NUL-terminated; 0 if it is none.
 * *ret is its code point. */
static size_t decode(const uint8_t *p, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* shorter would have done */
	const size_t n = p[0] < 0x80             ? 1
	                 : (p[0] & 0xe0) == 0xc0 ? 2
	                 : (p[0] & 0xf0) == 0xe0 ? 3
	                 : (p[0] & 0xf8) == 0xf0 ? 4
	                                         : 0;
	uint32_t c = n > 1 ? p[0] & (0x7fu >> n) : p[0];

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (n == 0 || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return n;
}

/* C0, DEL and C1; and what changes the direction of the text around it. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

char *ovbd_text_escape(const char *text)
{
	char *escaped = malloc(4 * strlen(text) + 1), *out = escaped;
	const uint8_t *p = (const uint8_t *)text;

	while (out && *p) {
		uint32_t c = 0;
		const size_t n = decode(p, &c);
		const bool keep = n > 0 && !is_control(c);

		for (size_t i = 0; i < (n > 0 ? n : 1); i++, p++)
			out += snprintf(out, 5, keep ? "%c" : "\\x%02x", *p);
	}
	if (out)
		*out = '\0';
	return escaped;
}
