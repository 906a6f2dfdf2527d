// SPDX-License-Identifier: Apache-2.0
/*
 * One request over a unix socket, by libcurl. No time limit: an attach takes as long as the image
 * takes to open, which ovbdd bounds.
 */
#include "tools/control.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "tools/text.h"

#define SOCKET_DEFAULT "/run/ovbd/ovbdd.sock"
#define ANSWER_MAX     (64u << 20)

struct answer {
	char *text;
	size_t len;
};

static void easy_freep(CURL **curl)
{
	curl_easy_cleanup(*curl);
}

static size_t take_answer(char *data, size_t one, size_t n, void *arg)
{
	struct answer *a = arg;
	char *more;

	(void)one; /* curl: always 1 */
	if (n > ANSWER_MAX - a->len || !(more = realloc(a->text, a->len + n + 1)))
		return 0;
	memcpy(more + a->len, data, n);
	a->text = more;
	a->len += n;
	return n;
}

static int refused(const char *socket, CURLcode code, int os_errno, struct ovbd_error *err)
{
	if (os_errno == ENOENT || os_errno == ECONNREFUSED)
		return ovbd_fail(err, -os_errno,
		                 "%s: nobody listens: is ovbdd running? (systemctl start ovbdd, or "
		                 "--socket PATH)",
		                 socket);
	if (os_errno == EACCES)
		return ovbd_fail(err, -EACCES, "%s: only root and the group ovbd may use it",
		                 socket);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return ovbd_fail(err, -ETIMEDOUT, "%s: ovbdd does not answer", socket);
	if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
		return ovbd_fail(err, -EIO,
		                 "%s: ovbdd has ended before it answered: ask again when it is "
		                 "back ('systemctl status ovbdd')",
		                 socket);
	return ovbd_fail(err, os_errno ? -os_errno : -EIO, "%s: %s", socket,
	                 os_errno ? strerror(os_errno) : curl_easy_strerror(code));
}

/* What the daemon says went wrong: {"error": {"code", "message"}}. */
static int failed(const char *socket, long http, const json_t *answer, struct ovbd_error *err)
{
	const json_t *error = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	if (message)
		return ovbd_fail(err, -EREMOTEIO, "%s", message);
	return ovbd_fail(err, -EREMOTEIO, "%s: an answer that is not ovbdd's (status %ld)", socket,
	                 http);
}

static void set_options(CURL *curl, const struct ovbd_control_request *q, const char *url,
                        const char *body, struct answer *a)
{
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ovbd_control_socket(q->socket));
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* none, whatever the environment says */
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, q->method);
	if (strcmp(q->method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
}

const char *ovbd_control_socket(const char *socket)
{
	if (!socket)
		socket = getenv("OVBD_SOCKET");
	return socket && socket[0] ? socket : SOCKET_DEFAULT;
}

int ovbd_control_call(const struct ovbd_control_request *q, json_t **ret, struct ovbd_error *err)
{
	OVBD_AUTO(easy_freep) CURL *curl = curl_easy_init();
	OVBD_AUTO(ovbd_control_releasep) json_t *answer = NULL;
	AUTO_FREE char *url = NULL, *text = q->body ? json_dumps(q->body, JSON_COMPACT) : NULL;
	const char *socket = ovbd_control_socket(q->socket);
	struct answer a = {0};
	long http = 0, os_errno = 0;
	CURLcode code;

	if (!curl || (q->body && !text) || asprintf(&url, "http://ovbdd%s", q->path) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	set_options(curl, q, url, text, &a);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
	answer = a.text ? json_loadb(a.text, a.len, 0, NULL) : NULL;
	free(a.text);
	if (code != CURLE_OK)
		return refused(socket, code, (int)os_errno, err);
	if (http >= 300 || !json_is_object(answer))
		return failed(socket, http, answer, err);
	*ret = OVBD_MOVE(answer);
	return 0;
}

int ovbd_control_ask(struct ovbd_cli *c, const char *socket, const char *method, const char *path,
                     const json_t *body, json_t **ret, int *ret_status)
{
	const struct ovbd_control_request q = {
		.socket = socket,
		.method = method,
		.path = path,
		.body = body,
	};
	struct ovbd_error err;
	const int r = ovbd_control_call(&q, ret, &err);

	*ret_status = OVBD_EXIT_OK;
	if (r == 0)
		return 0;
	ovbd_cli_error(c, "%s", err.msg);
	*ret_status = r == -EREMOTEIO || r == -ENOMEM ? OVBD_EXIT_FAILURE : OVBD_EXIT_UNAVAILABLE;
	return -EIO;
}

char *ovbd_control_path(const char *path, const char *id, bool lazy, bool force)
{
	const char *how = force ? "?force=1" : lazy ? "?lazy=1" : "";
	char *escaped = curl_easy_escape(NULL, id, 0), *whole = NULL;

	if (!escaped || asprintf(&whole, "%s%s%s%s", path, id[0] ? "/" : "", escaped, how) < 0)
		whole = NULL;
	curl_free(escaped);
	return whole;
}

char *ovbd_control_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return ovbd_text_escape(text ? text : "-");
}

char *ovbd_control_considered(const json_t *device, size_t i)
{
	const json_t *v = json_array_get(json_object_get(device, "considered"), i);
	AUTO_FREE char *name = ovbd_control_text(v, "transport");
	AUTO_FREE char *reason = ovbd_control_text(v, "reason");
	const bool taken = json_is_true(json_object_get(v, "taken"));
	char *text = NULL;

	if (!v || !name || !reason || asprintf(&text, "%s: %s", name, taken ? "taken" : reason) < 0)
		return NULL;
	return text;
}

int ovbd_control_parse(struct ovbd_cli *c, size_t noperands, struct ovbd_control_options *ret)
{
	int id;

	*ret = (struct ovbd_control_options){0};
	while ((id = ovbd_cli_next(c)) > 0)
		if (id == OVBD_OPTION_SOCKET)
			ret->socket = c->value;
		else if (ovbd_json_wanted(c, c->value, &ret->json) < 0)
			return -1;
	return id < 0 ? -1 : ovbd_cli_at_most(c, noperands);
}
