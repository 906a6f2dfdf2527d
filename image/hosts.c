// SPDX-License-Identifier: Apache-2.0
/* What a hosts.toml says. Keys that are not known are ignored, as containerd does. */
#include "image/hosts.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "image/toml.h"

struct place {
	const char *name; /* of the file */
	const char *host; /* "" for what is said of the server */
	const char *dir;
	struct ovbd_error *err;
};

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static int wrong(const struct place *at, const char *key, const char *what)
{
	if (at->host[0] == '\0')
		return ovbd_fail(at->err, -EBADMSG, "%s: %s: %s", at->name, key, what);
	return ovbd_fail(at->err, -EBADMSG, "%s: host.\"%.200s\".%s: %s", at->name, at->host, key,
	                 what);
}

static int no_memory(const struct place *at)
{
	return ovbd_fail(at->err, -ENOMEM, "out of memory");
}

/* One more at the end of a list that ends with NULL. */
static int append(char ***list, char *take_s)
{
	AUTO_FREE char *s = take_s;
	size_t n = 0;
	char **more;

	while (*list && (*list)[n])
		n++;
	more = s ? realloc(*list, (n + 2) * sizeof(*more)) : NULL;
	if (!more)
		return -ENOMEM;
	more[n] = OVBD_MOVE(s);
	more[n + 1] = NULL;
	*list = more;
	return 0;
}

static char *resolve(const struct place *at, const char *path)
{
	char *whole;

	if (path[0] == '/')
		return strdup(path);
	return asprintf(&whole, "%s/%s", at->dir, path) < 0 ? NULL : whole;
}

static int parse_bool(const struct place *at, const json_t *table, const char *key, bool *ret)
{
	const json_t *v = json_object_get(table, key);

	if (v && !json_is_boolean(v))
		return wrong(at, key, "must be true or false");
	*ret = json_is_true(v);
	return 0;
}

static int parse_capabilities(const struct place *at, const json_t *table, struct ovbd_host *h)
{
	const json_t *v = json_object_get(table, "capabilities"), *name;
	size_t i;

	h->resolve = h->pull = !v;
	if (v && !json_is_array(v))
		return wrong(at, "capabilities", "must be an array of pull, resolve and push");
	json_array_foreach(v, i, name)
	{
		const char *s = json_is_string(name) ? json_string_value(name) : "";

		if (strcmp(s, "resolve") == 0)
			h->resolve = true;
		else if (strcmp(s, "pull") == 0)
			h->pull = true;
		else if (strcmp(s, "push") != 0)
			return wrong(at, "capabilities",
			             "must be an array of pull, resolve and push");
	}
	return 0;
}

/* A string, or an array of them. */
static int parse_ca(const struct place *at, const json_t *table, struct ovbd_host *h)
{
	const json_t *v = json_object_get(table, "ca"), *name;
	size_t i;

	if (json_is_string(v))
		return append(&h->ca, resolve(at, json_string_value(v))) < 0 ? no_memory(at) : 0;
	if (v && !json_is_array(v))
		return wrong(at, "ca", "must be the name of a file, or an array of them");
	json_array_foreach(v, i, name)
	{
		if (!json_is_string(name))
			return wrong(at, "ca", "must be the name of a file, or an array of them");
		if (append(&h->ca, resolve(at, json_string_value(name))) < 0)
			return no_memory(at);
	}
	return 0;
}

/* One certificate: "FILE" with the key in it, or ["CERTIFICATE", "KEY"]. */
static int set_client(const struct place *at, const json_t *v, struct ovbd_host *h)
{
	static const char what[] = "must be a file with certificate and key, or an array of such "
				   "files or of pairs [certificate, key]";
	const json_t *cert = v, *key = NULL;

	if (h->cert)
		return ovbd_fail(
			at->err, -ENOTSUP,
			"%s: host.\"%.200s\".client: several certificates for one host are "
			"not supported: leave one",
			at->name, at->host);
	if (json_is_array(v)) {
		cert = json_array_get(v, 0);
		key = json_array_get(v, 1);
		if (json_array_size(v) > 2)
			return wrong(at, "client", what);
	}
	if (!json_is_string(cert) || (key && !json_is_string(key)))
		return wrong(at, "client", what);
	h->cert = resolve(at, json_string_value(cert));
	if (key && json_string_value(key)[0])
		h->key = resolve(at, json_string_value(key));
	return h->cert && (h->key || !key || !json_string_value(key)[0]) ? 0 : no_memory(at);
}

static int parse_client(const struct place *at, const json_t *table, struct ovbd_host *h)
{
	const json_t *v = json_object_get(table, "client"), *one;
	int r = 0;
	size_t i;

	if (!v)
		return 0;
	if (!json_is_array(v))
		return set_client(at, v, h);
	json_array_foreach(v, i, one)
	{
		if (r == 0)
			r = set_client(at, one, h);
	}
	return r;
}

static bool is_field(const char *name, const char *value)
{
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
			return false;
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < ' ' && *c != '\t')
			return false;
	return name[0] != '\0';
}

static int add_header(const struct place *at, const char *name, const json_t *v,
                      struct ovbd_host *h)
{
	char *line;

	if (!json_is_string(v) || !is_field(name, json_string_value(v)))
		return wrong(at, "header",
		             "must be a table of names and strings, or arrays of them");
	if (asprintf(&line, "%s: %s", name, json_string_value(v)) < 0)
		line = NULL;
	return append(&h->headers, line) < 0 ? no_memory(at) : 0;
}

static int parse_headers(const struct place *at, json_t *table, struct ovbd_host *h)
{
	json_t *headers = json_object_get(table, "header"), *v, *one;
	const char *name;
	int r = 0;
	size_t i;

	if (headers && !json_is_object(headers))
		return wrong(at, "header",
		             "must be a table of names and strings, or arrays of them");
	json_object_foreach(headers, name, v)
	{
		if (r == 0 && !json_is_array(v))
			r = add_header(at, name, v, h);
		json_array_foreach(v, i, one)
		{
			if (r == 0)
				r = add_header(at, name, one, h);
		}
	}
	return r;
}

/* The URL of a registry's API: /v2 is put behind the path, unless override_path says that it is as
 * it shall be. Without a scheme it is https. */
static int set_base(const struct place *at, const char *key, const char *url, bool override,
                    struct ovbd_host *h)
{
	const char *scheme = strstr(url, "://");
	const char *host = scheme ? scheme + 3 : url;
	size_t len = strlen(url);
	bool v2;

	if ((scheme && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) ||
	    strcspn(host, "/") == 0 || url[strcspn(url, "?#@ \"\\<>")])
		return wrong(at, key, "must be a URL, http or https, of a host and perhaps a path");
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return wrong(at, key, "must be a URL of printable ASCII");
	while (len > 0 && url[len - 1] == '/')
		len--;
	v2 = override || (len > 3 && strncmp(url + len - 3, "/v2", 3) == 0);
	if (asprintf(&h->base, "%s%.*s%s", scheme ? "" : "https://", (int)len, url,
	             v2 ? "" : "/v2") < 0)
		h->base = NULL;
	return h->base ? 0 : no_memory(at);
}

/* What may be said of a host, and of the server in the same words. */
static int parse_host(const struct place *at, const char *key, const char *url, json_t *table,
                      struct ovbd_host *h)
{
	bool override = false;
	int r;

	r = parse_bool(at, table, "override_path", &override);
	if (r == 0)
		r = parse_bool(at, table, "skip_verify", &h->skip_verify);
	if (r == 0)
		r = parse_capabilities(at, table, h);
	if (r == 0)
		r = parse_ca(at, table, h);
	if (r == 0)
		r = parse_client(at, table, h);
	if (r == 0)
		r = parse_headers(at, table, h);
	if (r == 0 && url)
		r = set_base(at, key, url, override, h);
	return r;
}

static int parse_hosts(struct place *at, json_t *root, struct ovbd_hosts *ret)
{
	json_t *hosts = json_object_get(root, "host"), *table;
	const char *url;
	int r = 0;

	if (hosts && !json_is_object(hosts))
		return wrong(at, "host", "must be a table of URLs");
	ret->hosts = calloc(json_object_size(hosts) + 1, sizeof(ret->hosts[0]));
	if (!ret->hosts)
		return no_memory(at);
	json_object_foreach(hosts, url, table)
	{
		if (r < 0)
			break;
		at->host = url;
		r = json_is_object(table)
		            ? parse_host(at, "URL", url, table, &ret->hosts[ret->nhosts++])
		            : wrong(at, "URL", "must be a table");
	}
	at->host = "";
	return r;
}

int ovbd_hosts_parse(const char *text, size_t len, const char *name, const char *dir,
                     struct ovbd_hosts *hosts, struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *root = NULL;
	struct place at = {.name = name, .host = "", .dir = dir, .err = err};
	const json_t *server;
	int r;

	memset(hosts, 0, sizeof(*hosts));
	r = ovbd_toml_parse(text, len, name, &root, err);
	if (r < 0)
		return r;
	server = json_object_get(root, "server");
	if (server && !json_is_string(server))
		return wrong(&at, "server", "must be a URL");
	r = parse_host(&at, "server",
	               server && json_string_value(server)[0] ? json_string_value(server) : NULL,
	               root, &hosts->server);
	return r < 0 ? r : parse_hosts(&at, root, hosts);
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

void ovbd_host_clear(struct ovbd_host *h)
{
	free(h->base);
	free_list(h->ca);
	free(h->cert);
	free(h->key);
	free_list(h->headers);
	memset(h, 0, sizeof(*h));
}

void ovbd_hosts_free(struct ovbd_hosts *hosts)
{
	for (size_t i = 0; i < hosts->nhosts; i++)
		ovbd_host_clear(&hosts->hosts[i]);
	free(hosts->hosts);
	ovbd_host_clear(&hosts->server);
	memset(hosts, 0, sizeof(*hosts));
}
