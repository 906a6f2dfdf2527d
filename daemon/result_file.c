// SPDX-License-Identifier: Apache-2.0
/*
 * Only this key of the configuration is looked at: the file is wanted most when the rest is wrong.
 * What is there, is written in place, as its reader may have it open. It is never waited for: a
 * fifo that nobody reads is an error.
 */
#include "daemon/result_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>

#include "base/auto.h"
#include "image/config.h"

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static int read_key(const char *config, char **ret, struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *object = NULL;
	AUTO_FREE char *text = malloc(OVBD_CONFIG_SIZE_MAX);
	AUTO_FD fd = open(config, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *name;
	json_error_t why;
	ssize_t n;

	if (!text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	n = fd < 0 ? -1 : read(fd, text, OVBD_CONFIG_SIZE_MAX);
	if (n < 0)
		return ovbd_fail_errno(err, -errno, "%s", config);
	object = json_loadb(text, (size_t)n, 0, &why);
	if (!object)
		return ovbd_fail(err, -EBADMSG, "%s: line %d column %d: %s", config, why.line,
		                 why.column, why.text);
	name = json_string_value(json_object_get(object, "resultFile"));
	if (name && name[0]) {
		*ret = strdup(name);
		if (!*ret)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

int ovbd_result_file_write(const char *config, int status, const char *why, struct ovbd_error *err)
{
	const char *slash = strrchr(config, '/');
	char text[OVBD_ERROR_SIZE + 16];
	AUTO_FREE char *name = NULL, *path = NULL;
	AUTO_FD fd = -1;
	int r = read_key(config, &name, err);

	if (r < 0 || !name)
		return r;
	if (name[0] == '/' || !slash)
		path = strdup(name);
	else if (asprintf(&path, "%.*s/%s", (int)(slash - config), config, name) < 0)
		path = NULL;
	if (!path)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	snprintf(text, sizeof(text), "%s%s",
	         status == 0 ? "success" : "failed:", status == 0 ? "" : why);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return ovbd_fail_errno(err, -errno, "%s: writing the result", path);
	return 0;
}
