// SPDX-License-Identifier: Apache-2.0
/* WWW-Authenticate of a server, and the answer of a token server. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "remote/http_impl.h"

static void parse_token(const uint8_t *data, size_t size)
{
	struct http_token t = {0};
	struct http_verdict v;

	if (http_token_parse((const char *)data, size, 1700000000, &t, &v) == 0) {
		if (t.life_ms < 1 || t.life_ms > 86400000 || t.fresh_ms > t.life_ms || !t.text[0] ||
		    strpbrk(t.text, "\r\n "))
			abort();
	} else if (v.code >= 0 || v.text[0] == '\0') {
		abort();
	}
	free(t.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char status[] = "HTTP/1.1 401 Unauthorized\r\n";
	struct http_answer a = {0};
	struct http_challenge c;
	char *line;

	parse_token(data, size);
	line = malloc(size + 18);
	if (!line)
		return 0;
	memcpy(line, "WWW-Authenticate: ", 18);
	memcpy(line + 18, data, size);
	http_answer_line(&a, status, sizeof(status) - 1);
	http_answer_line(&a, line, size + 18);
	http_answer_line(&a, line, size + 18);
	free(line);
	http_challenge_parse(a.challenge, &c);
	if (c.bearer != (c.realm[0] != '\0') || (!c.bearer && (c.service[0] || c.scope[0])))
		abort();
	for (const char *at = c.realm; *at; at++)
		if (*at < 0x20 || *at >= 0x7f)
			abort();
	return 0;
}
