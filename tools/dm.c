// SPDX-License-Identifier: Apache-2.0
/*
 * The library tells its errors to a function, as text; the last one becomes the sentence, behind
 * what was to be done. What was done halfway is undone: a device without a live table, and a table
 * that waits for a device to be resumed.
 */
#include "tools/dm.h"

#include <errno.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

/* Of what the library says: the rest of a level are flags. */
enum { LEVEL = 7, ERROR = 3 };

static char said[256]; /* the last error */

static void listen(int level, const char *file, int line, int code, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void listen(int level, const char *file, int line, int code, const char *format, ...)
{
	va_list args;

	(void)file;
	(void)line;
	(void)code;
	if ((level & LEVEL) > ERROR)
		return;
	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

static struct dm_task *begin(int kind, const char *name)
{
	struct dm_task *t;

	dm_log_with_errno_init(listen);
	said[0] = '\0';
	t = dm_task_create(kind);
	if (t && name && !dm_task_set_name(t, name)) {
		dm_task_destroy(t);
		return NULL;
	}
	return t;
}

/* what: what was to be done. */
static int fail(struct dm_task *t, const char *what, const char *name, struct ovbd_error *err)
{
	const int code = t && dm_task_get_errno(t) ? dm_task_get_errno(t) : EIO;

	if (access("/sys/class/misc/device-mapper", F_OK) < 0) /* the library speaks of versions */
		return ovbd_fail(err, -ENOTSUP,
		                 "this kernel has no device mapper: modprobe dm_mod, as root");
	if (said[0])
		return ovbd_fail(err, -code, "device mapper: %s%s: %s", what, name, said);
	return ovbd_fail_errno(err, -code, "device mapper: %s%s", what, name);
}

/* Runs t, and waits until udev has done its part. */
static int run(struct dm_task *t, const char *what, const char *name, bool udev,
               struct ovbd_error *err)
{
	uint32_t cookie = 0;
	int r = 0;

	if (!t || (udev && !dm_task_set_cookie(t, &cookie, 0)) || !dm_task_run(t))
		r = fail(t, what, name, err);
	if (cookie)
		dm_udev_wait(cookie);
	if (r == 0 && udev)
		dm_task_update_nodes();
	if (t)
		dm_task_destroy(t);
	return r;
}

static struct dm_task *with_target(struct dm_task *t, const struct ovbd_dm_target *target)
{
	if (t && dm_task_add_target(t, 0, target->sectors, target->type, target->params) &&
	    (!target->read_only || dm_task_set_ro(t)))
		return t;
	if (t)
		dm_task_destroy(t);
	return NULL;
}

int ovbd_dm_has(const char *type, struct ovbd_error *err)
{
	struct dm_task *t = begin(DM_DEVICE_LIST_VERSIONS, NULL);
	const struct dm_versions *v;
	bool found = false;

	if (!t || !dm_task_run(t)) {
		const int r = fail(t, "listing its targets", "", err);

		if (t)
			dm_task_destroy(t);
		return r;
	}
	for (v = dm_task_get_versions(t); v && !found;
	     v = v->next ? (const void *)((const char *)v + v->next) : NULL)
		found = strcmp(v->name, type) == 0;
	dm_task_destroy(t);
	return found ? 0
	             : ovbd_fail(err, -ENOTSUP, "the kernel has no target '%s': modprobe dm-%.8s",
	                         type, type);
}

int ovbd_dm_create(const char *name, const struct ovbd_dm_target *t, struct ovbd_error *err)
{
	struct ovbd_error ignored;
	char *type, *status;
	int r;

	if (ovbd_dm_status(name, &type, &status, &ignored) == 0) {
		free(type);
		free(status);
		return ovbd_fail(err, -EEXIST, "device mapper: there is a device %s already", name);
	}
	r = run(with_target(begin(DM_DEVICE_CREATE, name), t), "creating ", name, true, err);
	if (r < 0) /* a device without a table may be left */
		ovbd_dm_remove(name, &ignored);
	return r;
}

int ovbd_dm_replace(const char *name, const struct ovbd_dm_target *t, struct ovbd_error *err)
{
	struct ovbd_error ignored;
	int r = run(with_target(begin(DM_DEVICE_RELOAD, name), t), "the new table of ", name, false,
	            err);

	if (r == 0)
		r = run(begin(DM_DEVICE_SUSPEND, name), "suspending ", name, false, err);
	if (r < 0) {
		run(begin(DM_DEVICE_CLEAR, name), "clearing ", name, false, &ignored);
		return r;
	}
	r = run(begin(DM_DEVICE_RESUME, name), "resuming ", name, true, err);
	if (r < 0) {
		run(begin(DM_DEVICE_CLEAR, name), "clearing ", name, false, &ignored);
		run(begin(DM_DEVICE_RESUME, name), "resuming ", name, true, &ignored);
	}
	return r;
}

int ovbd_dm_remove(const char *name, struct ovbd_error *err)
{
	return run(begin(DM_DEVICE_REMOVE, name), "removing ", name, true, err);
}

int ovbd_dm_status(const char *name, char **ret_type, char **ret_status, struct ovbd_error *err)
{
	struct dm_task *t = begin(DM_DEVICE_STATUS, name);
	char *type = NULL, *params = NULL;
	uint64_t start, length;
	struct dm_info info;
	int r = 0;

	if (!t || !dm_task_run(t) || !dm_task_get_info(t, &info))
		r = fail(t, "looking at ", name, err);
	else if (!info.exists)
		r = ovbd_fail(err, -ENOENT, "device mapper: there is no device %s", name);
	if (r == 0) {
		dm_get_next_target(t, NULL, &start, &length, &type, &params);
		*ret_type = strdup(type ? type : "");
		*ret_status = strdup(params ? params : "");
		if (!*ret_type || !*ret_status) {
			free(*ret_type);
			free(*ret_status);
			r = ovbd_fail(err, -ENOMEM, "out of memory");
		}
	}
	if (t)
		dm_task_destroy(t);
	return r;
}
