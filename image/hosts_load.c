// SPDX-License-Identifier: Apache-2.0
/* Where the settings of a registry are looked for, as containerd and docker do. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "image/hosts.h"

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static void free_names(struct dirent ***names)
{
	for (size_t i = 0; *names && (*names)[i]; i++)
		free((*names)[i]);
	free(*names);
}

static char *join(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static bool ends_in(const char *name, const char *end)
{
	const size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static int add_ca(struct ovbd_host *h, char *take_path)
{
	AUTO_FREE char *path = take_path;
	size_t n = 0;
	char **more;

	while (h->ca && h->ca[n])
		n++;
	more = path ? realloc(h->ca, (n + 2) * sizeof(*more)) : NULL;
	if (!more)
		return -ENOMEM;
	more[n] = OVBD_MOVE(path);
	more[n + 1] = NULL;
	h->ca = more;
	return 0;
}

/* NAME.cert, whose key must be there. */
static int add_client(struct ovbd_host *h, char *take_path, struct ovbd_error *err)
{
	AUTO_FREE char *path = take_path;

	if (!path)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (h->cert)
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: a second certificate for one host, besides %s: leave one",
		                 path, h->cert);
	h->key = strdup(path);
	if (!h->key)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	strcpy(h->key + strlen(h->key) - strlen(".cert"), ".key");
	if (access(h->key, F_OK) < 0)
		return ovbd_fail_errno(err, -errno, "%s, the key of %s", h->key, path);
	h->cert = OVBD_MOVE(path);
	return 0;
}

int ovbd_hosts_add_certificates(struct ovbd_host *h, const char *dir, struct ovbd_error *err)
{
	OVBD_AUTO(free_names) struct dirent **names = NULL;
	struct dirent **more;
	int n = scandir(dir, &names, NULL, alphasort), r = 0;

	if (n < 0)
		return ovbd_fail_errno(err, -errno, "%s", dir);
	more = realloc(names, ((size_t)n + 1) * sizeof(*names));
	if (!more)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	names = more;
	names[n] = NULL;
	for (int i = 0; r == 0 && i < n; i++) {
		const char *name = names[i]->d_name;

		if (ends_in(name, ".crt") && add_ca(h, join(dir, name)) < 0)
			r = ovbd_fail(err, -ENOMEM, "out of memory");
		if (ends_in(name, ".cert"))
			r = add_client(h, join(dir, name), err);
	}
	return r;
}

/* 1 and the text, to be freed; 0: there is no such file. */
static int read_text(const char *path, char **ret, size_t *ret_len, struct ovbd_error *err)
{
	OVBD_AUTO(close_file) FILE *f = fopen(path, "re");
	AUTO_FREE char *text = malloc(OVBD_HOSTS_SIZE_MAX + 1);

	if (!f)
		return errno == ENOENT ? 0 : ovbd_fail_errno(err, -errno, "%s", path);
	if (!text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret_len = fread(text, 1, OVBD_HOSTS_SIZE_MAX + 1, f);
	if (ferror(f))
		return ovbd_fail_errno(err, -EIO, "%s", path);
	if (*ret_len > OVBD_HOSTS_SIZE_MAX)
		return ovbd_fail(err, -E2BIG, "%s: has more than %u bytes", path,
		                 OVBD_HOSTS_SIZE_MAX);
	*ret = OVBD_MOVE(text);
	return 1;
}

static int load_dir(const char *dir, struct ovbd_hosts *hosts, struct ovbd_error *err)
{
	AUTO_FREE char *path = join(dir, "hosts.toml");
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r;

	if (!path)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = read_text(path, &text, &len, err);
	if (r > 0)
		return ovbd_hosts_parse(text, len, path, dir, hosts, err);
	if (r < 0)
		return r;
	hosts->server.resolve = hosts->server.pull = true;
	return ovbd_hosts_add_certificates(&hosts->server, dir, err);
}

/* DIR/HOST_PORT_, for those who want no colons in the names of files. */
static char *without_colon(const char *dir, const char *host)
{
	const char *colon = strrchr(host, ':');
	char *path;

	if (!colon || strchr(colon, ']'))
		return join(dir, host);
	return asprintf(&path, "%s/%.*s_%s_", dir, (int)(colon - host), host, colon + 1) < 0 ? NULL
	                                                                                     : path;
}

int ovbd_hosts_load(const char *dir, const char *host, struct ovbd_hosts *hosts,
                    struct ovbd_error *err)
{
	AUTO_FREE char *plain = without_colon(dir, host);
	AUTO_FREE char *own = join(dir, host);
	AUTO_FREE char *others = join(dir, "_default");
	const char *const places[] = {plain, own, others};
	struct stat st;

	memset(hosts, 0, sizeof(*hosts));
	hosts->server.resolve = hosts->server.pull = true;
	if (!plain || !own || !others)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (strchr(host, '/') || host[0] == '.' || host[0] == '_') /* no host's, but a path */
		return 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (stat(places[i], &st) == 0 && S_ISDIR(st.st_mode))
			return load_dir(places[i], hosts, err);
	return 0;
}
