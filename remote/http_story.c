// SPDX-License-Identifier: Apache-2.0
/*
 * One sentence of all attempts, for who has to find out why. Attempts that came to the same are
 * one of them, with their number; where there is no room for all kinds, the first and the last
 * ones stay.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "remote/http_impl.h"

#define NKINDS                                                                                     \
	(sizeof(((struct http_story *)0)->kinds) / sizeof(((struct http_story *)0)->kinds[0]))

void http_story_add(struct http_story *s, const struct http_route *r, const struct http_got *got)
{
	char text[sizeof(s->kinds[0].text)];
	size_t i, n = s->nkinds < NKINDS ? s->nkinds : NKINDS;

	snprintf(text, sizeof(text), "%.*s%s%.120s", got->where[0] ? 240 : 383, got->verdict.text,
	         got->where[0] ? ", after a redirect to " : "", got->where);
	s->nattempts++;
	for (i = 0; i < n; i++)
		if (s->kinds[i].route == r && strcmp(s->kinds[i].text, text) == 0)
			break;
	if (i == n) {
		s->nkinds++;
		i = n < NKINDS ? n : NKINDS - 1;
		s->kinds[i].n = 0;
		s->kinds[i].route = r;
		memcpy(s->kinds[i].text, text, sizeof(text));
	}
	s->kinds[i].n++;
}

/* Where a text of at most max bytes may be cut: not within a character. */
static size_t cut(const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len <= max)
		return len;
	for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

void http_story_tell(const struct http_story *s, uint64_t took_ms, bool several,
                     char ret[HTTP_STORY_SIZE])
{
	const size_t n = s->nkinds < NKINDS ? s->nkinds : NKINDS;
	const size_t each = n > 0 ? (HTTP_STORY_SIZE - 50) / n - 56 : 0;
	size_t at = 0;

	ret[0] = '\0';
	if (s->nattempts > 1)
		at = (size_t)snprintf(ret, HTTP_STORY_SIZE,
		                      "gave up after %u attempts in %" PRIu64 ".%" PRIu64 " s: ",
		                      s->nattempts, took_ms / 1000, took_ms % 1000 / 100);
	for (size_t i = 0; i < n && at < HTTP_STORY_SIZE; i++) {
		const char *text = s->kinds[i].text;
		const bool gap = i == NKINDS - 1 && s->nkinds > NKINDS;
		const size_t len = cut(text, each);
		char name[36] = "", times[16] = "";

		if (several)
			snprintf(name, sizeof(name), "%.31s: ", s->kinds[i].route->name);
		if (s->kinds[i].n > 1 && (several || n > 1))
			snprintf(times, sizeof(times), " (%ux)", s->kinds[i].n);
		at += (size_t)snprintf(ret + at, HTTP_STORY_SIZE - at, "%s%s%s%.*s%s%s",
		                       i > 0 ? "; " : "", gap ? "…; " : "", name, (int)len, text,
		                       text[len] ? "…" : "", times);
	}
}
