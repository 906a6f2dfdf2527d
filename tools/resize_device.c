// SPDX-License-Identifier: Apache-2.0
/* resize --id: a client of POST /v1/devices/ID/resize, and then what is on the disk. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "tools/control.h"
#include "tools/resize.h"
#include "tools/size.h"

static char *path_of(const char *id, const char *then)
{
	char *path;

	return asprintf(&path, "/v1/devices/%s%s", id, then) < 0 ? NULL : path;
}

/* As the users of the device know it: a disk, a file, a URI. */
static int find_place(struct ovbd_cli *c, const struct ovbd_resize_device *q, char **ret,
                      int *ret_status)
{
	OVBD_AUTO(ovbd_control_releasep) json_t *device = NULL;
	AUTO_FREE char *path = path_of(q->id, "");
	const char *place;

	if (path && ovbd_control_ask(c, q->socket, "GET", path, NULL, &device, ret_status) < 0)
		return -1;
	place = json_string_value(json_object_get(device, "path"));
	*ret = strdup(place ? place : "");
	if (*ret)
		return 0;
	ovbd_cli_error(c, "%s: out of memory", q->id);
	*ret_status = OVBD_EXIT_FAILURE;
	return -1;
}

static int ask(struct ovbd_cli *c, const struct ovbd_resize_device *q, uint64_t *ret_before)
{
	OVBD_AUTO(ovbd_control_releasep) json_t *done = NULL;
	OVBD_AUTO(ovbd_control_releasep)
	json_t *body = json_pack("{sI}", "size", (json_int_t)q->size);
	AUTO_FREE char *path = path_of(q->id, "/resize");
	int status = OVBD_EXIT_FAILURE;

	if (!path || !body)
		ovbd_cli_error(c, "%s: out of memory", q->id);
	else if (ovbd_control_ask(c, q->socket, "POST", path, body, &done, &status) == 0)
		status = OVBD_EXIT_OK;
	if (status == OVBD_EXIT_OK)
		*ret_before = (uint64_t)json_integer_value(json_object_get(done, "before"));
	return status;
}

/* What its users do not see by themselves. */
static void advise(struct ovbd_cli *c, const struct ovbd_resize_device *q, const char *place)
{
	struct stat st;

	if (strncmp(place, "nbd", 3) == 0)
		ovbd_cli_note(c,
		              "%s: clients that are connected have the old size until they connect "
		              "again",
		              q->id);
	else if (stat(place, &st) == 0 && S_ISREG(st.st_mode)) /* who asks has the kernel see it */
		ovbd_cli_note(c, "%s: a loop device over it sees it with losetup -c", q->id);
}

int ovbd_resize_device(struct ovbd_cli *c, const struct ovbd_resize_device *q)
{
	char from[OVBD_SIZE_FULL], to[OVBD_SIZE_FULL];
	AUTO_FREE char *place = NULL;
	struct ovbd_error err;
	struct stat st;
	uint64_t before = 0;
	int status = OVBD_EXIT_OK;

	if (find_place(c, q, &place, &status) < 0)
		return status;
	if (q->fs && (stat(place, &st) < 0 || !S_ISBLK(st.st_mode))) {
		ovbd_cli_error(c,
		               "%s: --fs: %s is no disk of this host: have its users grow the file "
		               "system",
		               q->id, place[0] ? place : "it");
		return OVBD_EXIT_FAILURE;
	}
	status = ask(c, q, &before);
	if (status != OVBD_EXIT_OK)
		return status;
	ovbd_cli_note(c, "%s: from %s to %s", q->id, ovbd_size_full(from, before),
	              ovbd_size_full(to, q->size));
	if (!q->fs)
		advise(c, q, place);
	else if (ovbd_resize_fs_on(place, &err) < 0)
		return ovbd_cli_fail(c, -EIO, false, &err);
	return OVBD_EXIT_OK;
}
