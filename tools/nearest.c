// SPDX-License-Identifier: Apache-2.0
/* Levenshtein's distance, one row at a time. */
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "tools/cli.h"

#define WORD_MAX 32

static size_t distance(const char *a, const char *b)
{
	const size_t na = strlen(a), nb = strlen(b);
	size_t row[WORD_MAX + 1];

	if (na > WORD_MAX || nb > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			const size_t replace = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = (size_t)ovbd_min(replace, ovbd_min(row[j], row[j - 1]) + 1);
		}
	}
	return row[nb];
}

const char *ovbd_nearest(const char *word, const char *const *candidates, size_t n)
{
	size_t best = strlen(word) / 3 + 2; /* more mistakes than that are another word */
	const char *near = NULL;

	for (size_t i = 0; i < n; i++) {
		const size_t d = distance(word, candidates[i]);

		if (d < best && d < strlen(candidates[i])) {
			best = d;
			near = candidates[i];
		}
	}
	return near;
}
