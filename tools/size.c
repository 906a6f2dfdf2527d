// SPDX-License-Identifier: Apache-2.0
#include "tools/size.h"

#include <inttypes.h>
#include <stdio.h>

static const char units[] = "KMGTPE";

const char *ovbd_size_text(char buf[OVBD_SIZE_TEXT], uint64_t bytes)
{
	double v = (double)bytes;
	size_t u = 0;

	if (bytes < 1024) {
		snprintf(buf, OVBD_SIZE_TEXT, "%" PRIu64 " B", bytes);
		return buf;
	}
	/* 1023.5 of a unit would be printed as 1024 of it */
	for (v /= 1024; v >= 1023.5 && u + 1 < sizeof(units) - 1; v /= 1024)
		u++;
	if ((bytes & ((1ULL << (10 * (u + 1))) - 1)) == 0)
		snprintf(buf, OVBD_SIZE_TEXT, "%.0f %ciB", v, units[u]);
	else
		snprintf(buf, OVBD_SIZE_TEXT, "%.*f %ciB",
		         v < 9.995   ? 2
		         : v < 99.95 ? 1
		                     : 0,
		         v, units[u]);
	return buf;
}

const char *ovbd_count_text(char buf[OVBD_COUNT_TEXT], uint64_t n, const char *what)
{
	snprintf(buf, OVBD_COUNT_TEXT, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
	return buf;
}

const char *ovbd_size_full(char buf[OVBD_SIZE_FULL], uint64_t bytes)
{
	char text[OVBD_SIZE_TEXT];

	if (bytes < 1024)
		ovbd_count_text(buf, bytes, "byte");
	else
		snprintf(buf, OVBD_SIZE_FULL, "%s (%" PRIu64 " bytes)", ovbd_size_text(text, bytes),
		         bytes);
	return buf;
}
