// SPDX-License-Identifier: Apache-2.0
/*
 * A copy of the parameters, with defaults filled in: one piece of memory, the struct first, then
 * what it points to. The same walk is made twice: once to count, and once to copy.
 */
#include "remote/http_impl.h"

#include <string.h>

#include "base/bytes.h"

struct arena {
	char *at; /* NULL while counting */
	size_t len;
};

/* n bytes for anything, as they are at from; from itself while counting. */
static const void *place(struct arena *a, const void *from, size_t n)
{
	void *to = a->at ? a->at + a->len : NULL;

	a->len += (size_t)ovbd_align_up(n, sizeof(max_align_t));
	return to && n > 0 ? memcpy(to, from, n) : from;
}

static void place_text(struct arena *a, const char **text)
{
	if (*text)
		*text = place(a, *text, strlen(*text) + 1);
}

static void place_headers(struct arena *a, const char *const **headers)
{
	const char **copy;
	size_t n = 0;

	if (!*headers)
		return;
	while ((*headers)[n])
		n++;
	*headers = place(a, *headers, (n + 1) * sizeof(**headers));
	copy = (const char **)(uintptr_t)*headers;
	for (size_t i = 0; i < n; i++) {
		const char *text = copy[i];

		place_text(a, &text);
		if (a->at)
			copy[i] = text;
	}
}

static void place_tls(struct arena *a, struct ovbd_http_tls *tls)
{
	place_text(a, &tls->ca_file);
	place_text(a, &tls->ca_dir);
	place_text(a, &tls->cert_file);
	place_text(a, &tls->key_file);
}

static void place_host(struct arena *a, struct ovbd_http_host *h)
{
	place_text(a, &h->base);
	place_text(a, &h->ns);
	place_tls(a, &h->tls);
	place_headers(a, &h->headers);
}

static void place_all(struct arena *a, struct ovbd_http_params *p)
{
	place_text(a, &p->user_agent);
	place_text(a, &p->proxy);
	place_text(a, &p->unix_socket);
	place_tls(a, &p->tls);
	place_headers(a, &p->headers);
	p->hosts = place(a, p->hosts, p->nhosts * sizeof(*p->hosts));
	for (size_t i = 0; i < p->nhosts; i++) {
		struct ovbd_http_host h = p->hosts[i];

		place_host(a, &h);
		if (a->at)
			((struct ovbd_http_host *)(uintptr_t)p->hosts)[i] = h;
	}
}

static unsigned or_default(unsigned v, unsigned otherwise)
{
	return v ? v : otherwise;
}

struct ovbd_http_params *http_params_copy(const struct ovbd_http_params *p)
{
	static const struct ovbd_http_params none;
	struct ovbd_http_params all = p ? *p : none;
	struct ovbd_http_params *copy;
	struct arena a = {.len = 0};

	all.connect_timeout_ms = or_default(all.connect_timeout_ms, 10000);
	all.stall_timeout_ms = or_default(all.stall_timeout_ms, 5000);
	all.deadline_ms = or_default(all.deadline_ms, 30000);
	all.max_attempts = or_default(all.max_attempts, 12);
	all.open_attempts = or_default(all.open_attempts, 3);
	all.backoff_ms = or_default(all.backoff_ms, 100);
	if (!all.user_agent)
		all.user_agent = "ovbd/" OVBD_VERSION;
	place(&a, &all, sizeof(all));
	place_all(&a, &all);
	copy = malloc(a.len);
	if (!copy)
		return NULL;
	a = (struct arena){.at = (char *)copy};
	place(&a, &all, sizeof(all));
	place_all(&a, copy);
	return copy;
}
