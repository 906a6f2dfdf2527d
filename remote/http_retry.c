// SPDX-License-Identifier: Apache-2.0
/*
 * Whether and when to try again. The wait doubles with each attempt up to WAIT_MAX_MS, and then
 * varies by half of it either way, so that a thousand clients of a server that went down do not
 * come back in the same millisecond. A server that names a time is not asked before it.
 *
 * A wait that would end after the deadline is not begun: the failure is reported at once.
 */
#include "remote/http_impl.h"

#include <string.h>

#define WAIT_MAX_MS     5000
#define FEW_ATTEMPTS    3
#define RETRY_AFTER_MAX 86400 /* seconds; more is beyond any deadline */

static uint64_t backoff_ms(const struct http_retry_state *s)
{
	uint64_t wait = s->backoff_ms;

	for (unsigned i = 1; i < s->nattempts && wait < WAIT_MAX_MS; i++)
		wait *= 2;
	if (wait > WAIT_MAX_MS)
		wait = WAIT_MAX_MS;
	return wait / 2 + s->random % (wait + 1);
}

uint64_t http_retry_after_ms(const char *text, time_t now)
{
	const size_t digits = strspn(text, "0123456789");
	uint64_t seconds = 0;
	time_t when;

	if (digits > 0 && text[digits] == '\0') {
		for (size_t i = 0; i < digits && seconds < RETRY_AFTER_MAX; i++)
			seconds = seconds * 10 + (uint64_t)(text[i] - '0');
	} else if (text[0] != '\0') {
		when = curl_getdate(text, NULL);
		if (when > now)
			seconds = (uint64_t)(when - now);
	}
	return 1000 * (seconds < RETRY_AFTER_MAX ? seconds : RETRY_AFTER_MAX);
}

bool http_retry_helps(const struct http_verdict *v, unsigned nattempts)
{
	return v->retry == HTTP_ALWAYS || (v->retry == HTTP_FEW && nattempts < FEW_ATTEMPTS);
}

int64_t http_retry_wait(const struct http_retry_state *s, uint64_t asked_ms)
{
	uint64_t wait = backoff_ms(s);

	if (s->nattempts >= s->max_attempts)
		return -1;
	if (wait < asked_ms)
		wait = asked_ms;
	return wait < s->left_ms ? (int64_t)wait : -1;
}
