// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot map, merge and unmap: a phone's update by dm-snapshot, from beginning to end. The daemon
 * has the exception store, a device called NAME; device mapper has the snapshot, of the same name.
 * What fails in the middle is undone, so that it can be tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/auto.h"
#include "tools/control.h"
#include "tools/dm.h"
#include "tools/interrupt.h"
#include "tools/snapshot_parts.h"

#define SECTOR  512u
#define LOOK_US 200000

struct snapshot {
	struct ovbd_cli *c;
	const char *name, *transport, *socket;
	char *base, *store; /* paths */
};

static void release(struct snapshot *s)
{
	free(s->base);
	free(s->store);
}

static int fail(const struct snapshot *s, const struct ovbd_error *err)
{
	ovbd_cli_error(s->c, "%s: %s", s->name, err->msg);
	return OVBD_EXIT_FAILURE;
}

/* ---- the store ---- */

static int take_store(struct snapshot *s, const json_t *device, struct ovbd_error *err)
{
	const char *base = json_string_value(json_array_get(json_object_get(device, "images"), 0));
	const char *store = json_string_value(json_object_get(device, "path"));
	const char *update = json_string_value(json_object_get(device, "update"));

	if (!base || !store || !update || strcmp(update, "dm-snapshot") != 0)
		return ovbd_fail(err, -EINVAL,
		                 "ovbdd's device of this name is no dm-snapshot's "
		                 "store, or is not served now");
	s->base = strdup(base);
	s->store = strdup(store);
	return s->base && s->store ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int call(const struct snapshot *s, const char *method, const json_t *body, json_t **ret,
                struct ovbd_error *err)
{
	AUTO_FREE char *path = ovbd_control_path("/v1/devices", body ? "" : s->name, false, false);
	const struct ovbd_control_request q = {
		.socket = s->socket,
		.method = method,
		.path = path,
		.body = body,
	};

	return path ? ovbd_control_call(&q, ret, err) : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int attach_store(struct snapshot *s, struct ovbd_error *err)
{
	AUTO_FREE char *base = realpath(s->c->operands[2], NULL);
	AUTO_FREE char *cow = realpath(s->c->operands[3], NULL);
	OVBD_AUTO(ovbd_control_releasep) json_t *body = NULL, *device = NULL;
	int r;

	if (!base || !cow)
		return ovbd_fail_errno(err, -errno, "%s", s->c->operands[base ? 3 : 2]);
	body = json_pack("{ss, s[ss], ss, ss, sb}", "id", s->name, "images", base, cow, "transport",
	                 s->transport, "update", "dm-snapshot", "writable", 1);
	if (!body)
		return ovbd_fail(err, -EINVAL, "a path is no UTF-8");
	r = call(s, "POST", body, &device, err);
	return r < 0 ? r : take_store(s, device, err);
}

static int find_store(struct snapshot *s, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_control_releasep) json_t *device = NULL;
	const int r = call(s, "GET", NULL, &device, err);

	return r < 0 ? r : take_store(s, device, err);
}

static int detach_store(const struct snapshot *s, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_control_releasep) json_t *answer = NULL;

	return call(s, "DELETE", NULL, &answer, err);
}

/* ---- tables ---- */

static int size_of(const char *path, uint64_t *ret, struct ovbd_error *err)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (ioctl(fd, BLKGETSIZE64, ret) < 0)
		return ovbd_fail(err, -ENOTBLK, "%s: is no disk, which device mapper needs", path);
	return 0;
}

/* create or replace, with the target of this type: "snapshot", "snapshot-merge" or "linear". */
static int set_table(const struct snapshot *s, const char *type,
                     int (*set)(const char *, const struct ovbd_dm_target *, struct ovbd_error *),
                     struct ovbd_error *err)
{
	AUTO_FREE char *params = NULL;
	const bool linear = strcmp(type, "linear") == 0;
	uint64_t size, store_size;
	int r = size_of(s->base, &size, err);

	if (r == 0 && !linear)
		r = size_of(s->store, &store_size, err);
	if (r < 0)
		return r;
	if (linear ? asprintf(&params, "%s 0", s->base) < 0
	           : asprintf(&params, "%s %s P 8", s->base, s->store) < 0) {
		params = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	const struct ovbd_dm_target t = {
		.sectors = size / SECTOR,
		.type = type,
		.params = params,
		.read_only = true,
	};

	return set(s->name, &t, err);
}

/* "A/B C": A sectors of the store in use, C of them for metadata. What is left to merge. */
static int left_of(const struct snapshot *s, uint64_t *ret, struct ovbd_error *err)
{
	AUTO_FREE char *type = NULL, *status = NULL;
	uint64_t used, all, metadata;
	int r = ovbd_dm_status(s->name, &type, &status, err);

	if (r < 0)
		return r;
	if (strcmp(type, "snapshot-merge") != 0 ||
	    sscanf(status, "%" SCNu64 "/%" SCNu64 " %" SCNu64, &used, &all, &metadata) != 3)
		return ovbd_fail(err, -EIO, "is a %s, and says: %s", type, status);
	*ret = used - metadata;
	return 0;
}

/* ---- what is asked for ---- */

static int map(struct snapshot *s)
{
	struct ovbd_error err, ignored;
	int r = ovbd_dm_has("snapshot", &err);

	if (r == 0)
		r = attach_store(s, &err);
	if (r < 0)
		return fail(s, &err);
	r = set_table(s, "snapshot", ovbd_dm_create, &err);
	if (r < 0) {
		if (r != -EEXIST) /* it is mapped already, with this store */
			detach_store(s, &ignored);
		return fail(s, &err);
	}
	printf("/dev/mapper/%s\n", s->name);
	return OVBD_EXIT_OK;
}

/* Interrupted, the kernel goes on by itself. */
static int wait_for_merge(const struct snapshot *s, struct ovbd_error *err)
{
	uint64_t left = 1;
	int r = 0;

	while (r == 0 && left > 0) {
		if (ovbd_interrupted())
			return ovbd_fail(err, -EINTR,
			                 "interrupted; the kernel merges all the same: 'ovbd "
			                 "snapshot merge' waits for it again");
		r = left_of(s, &left, err);
		if (r == 0 && left > 0)
			usleep(LOOK_US);
	}
	return r;
}

static int merge(struct snapshot *s)
{
	AUTO_FREE char *type = NULL, *status = NULL;
	struct ovbd_error err;
	int r = ovbd_dm_has("snapshot-merge", &err);

	ovbd_interrupt_catch();
	if (r == 0)
		r = find_store(s, &err);
	if (r == 0)
		r = ovbd_dm_status(s->name, &type, &status, &err);
	if (r == -ENOENT) /* after a reboot */
		r = set_table(s, "snapshot-merge", ovbd_dm_create, &err);
	else if (r == 0 && strcmp(type, "snapshot-merge") != 0)
		r = set_table(s, "snapshot-merge", ovbd_dm_replace, &err);
	if (r == 0)
		r = wait_for_merge(s, &err);
	if (r == 0)
		r = set_table(s, "linear", ovbd_dm_replace, &err);
	if (r == 0)
		r = detach_store(s, &err);
	return r < 0 ? fail(s, &err) : OVBD_EXIT_OK;
}

static int unmap(struct snapshot *s)
{
	OVBD_AUTO(ovbd_control_releasep) json_t *device = NULL;
	struct ovbd_error err;
	int r = ovbd_dm_remove(s->name, &err), r2;

	if (r < 0 && r != -ENOENT && r != -ENXIO)
		return fail(s, &err);
	r2 = call(s, "GET", NULL, &device, &err);
	if (r2 == -EREMOTEIO && r == 0) /* there is none: it was merged */
		return OVBD_EXIT_OK;
	if (r2 < 0)
		return fail(s, &err);
	r = take_store(s, device, &err);
	if (r == 0)
		r = detach_store(s, &err);
	return r < 0 ? fail(s, &err) : OVBD_EXIT_OK;
}

int ovbd_snapshot_dm(struct ovbd_cli *c, const struct ovbd_snapshot_dm *how)
{
	OVBD_AUTO(release)
	struct snapshot s = {
		.c = c,
		.name = c->operands[1],
		.transport = how->transport,
		.socket = how->socket,
	};
	const char *what = c->operands[0];

	if (strcmp(what, "map") == 0)
		return map(&s);
	return strcmp(what, "merge") == 0 ? merge(&s) : unmap(&s);
}
