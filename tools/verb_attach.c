// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/auto.h"
#include "base/size.h"
#include "image/bow.h"
#include "image/registry.h"
#include "remote/http.h"
#include "tools/control.h"
#include "tools/source.h"
#include "tools/verbs.h"

enum {
	OPTION_ID = OVBD_OPTION_LONG,
	OPTION_PATH,
	OPTION_RW,
	OPTION_UPDATE,
	OPTION_BOW,
	OPTION_BLOCK_SIZE,
	OPTION_ON_FULL,
	OPTION_MIN_FREE
};

static const struct ovbd_option options[] = {
	{OPTION_ID, "id", "ID",
         "What the device is called, to ovbd detach and others (default: a free number). Letters, "
         "digits, dots, underscores and dashes."},
	{'t', "transport", "NAME",
         "How the kernel gets at it (default auto: the best that this host has for it; -v says "
         "why). 'ovbd status' lists what there is."},
	{OPTION_PATH, "path", "FILE",
         "Where a device that is a file (fuse) shall appear (default: in the daemon's directory)."},
	{OPTION_RW, "rw", NULL,
         "Take writes, which change SRC: a raw file, a block device, or the writable layer of an "
         "image "
         "configuration."},
	{OPTION_UPDATE, "update", "HOW",
         "SRC is a base and a COW, a phone's update of it: give the kernel what it needs to put "
         "them "
         "together. dm-snapshot: the exception store of a snapshot of the base; with --rw it can "
         "be "
         "merged. dm-snapshot-1: the same, in the order of the file. merge: the two put together, "
         "to be merged by ovbdd."},
	{OPTION_BOW, "bow", NULL,
         "SRC is a file or block device whose changes shall be undoable: backup on write (see ovbd "
         "bow). Implies --rw."},
	{OPTION_BLOCK_SIZE, "block-size", "SIZE",
         "With --bow: what is backed up at once, 512 to 4096 bytes (default: the largest that "
         "divides SRC's size); that of the file system or a smaller one."},
	{OPTION_ON_FULL, "on-full", "commit|abort|error",
         "With --bow: when a write needs a backup and no space is free for it, all that was "
         "written "
         "becomes final, or is taken back, or the write fails (default)."},
	{OPTION_MIN_FREE, "min-free", "SIZE",
         "With --bow: that is so when less than SIZE would be left (default 0)."},
	{OVBD_OPTION_TRACE, "trace", "FILE",
         "Fetch in the background what this trace, or list of paths, names (see ovbd trace)."},
	{OVBD_OPTION_PREFETCH, "prefetch", "none|trace|all",
         "What is fetched of remote layers before it is read: nothing, what the trace names, or "
         "all, beginning with that (default: as the daemon has it)."},
	OVBD_OPTION_FORMAT_ENTRY,
	OVBD_OPTION_SOCKET_ENTRY,
	OVBD_OPTION_OUTPUT_ENTRY,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd attach --id web base.ovbd delta.ovbd", "attach a stack of two layers"},
	{"mount -o loop,ro $(ovbd attach --id web image.json) /mnt", "and mount it"},
	{"ovbd detach web", "the end of it"},
	{NULL},
};

struct arguments {
	const char *id, *transport, *path, *socket, *update;
	struct ovbd_image_prefetch prefetch;
	enum ovbd_format format;
	bool rw, json;
	struct {
		bool on;
		const char *on_full;
		uint64_t block_size, min_free;
		const char *needs; /* an option that means nothing without it */
	} bow;
};

/* An option of backup on write. 0, or -1 with c->status set. */
static int parse_bow(struct ovbd_cli *c, int id, struct arguments *a)
{
	enum ovbd_bow_on_full on_full;

	if (id == OPTION_BOW) {
		a->bow.on = true;
		return 0;
	}
	a->bow.needs = id == OPTION_ON_FULL    ? "--on-full"
	               : id == OPTION_MIN_FREE ? "--min-free"
	                                       : "--block-size";
	a->bow.on_full = id == OPTION_ON_FULL ? c->value : a->bow.on_full;
	if (id == OPTION_ON_FULL) {
		if (ovbd_bow_on_full_parse(c->value, &on_full) == 0)
			return 0;
		ovbd_cli_usage(c, "--on-full must be commit, abort or error, not '%s'", c->value);
	} else if (id == OPTION_MIN_FREE) {
		if (ovbd_size_parse(c->value, &a->bow.min_free) == 0)
			return 0;
		ovbd_cli_usage(c, "--min-free: '%s' is no size", c->value);
	} else {
		if (ovbd_size_parse(c->value, &a->bow.block_size) == 0 && a->bow.block_size > 0 &&
		    ovbd_image_bow_check_block_size(a->bow.block_size, NULL) == 0)
			return 0;
		ovbd_cli_usage(c, "--block-size must be 512, 1024, 2048 or 4096, not '%s'",
		               c->value);
	}
	return -1;
}

/* 0, or -1 with c->status set. */
static int parse(struct ovbd_cli *c, struct arguments *a)
{
	int id, r = 0;

	while (r == 0 && (id = ovbd_cli_next(c)) > 0)
		switch (id) {
		case OPTION_ID:
			a->id = c->value;
			break;
		case 't':
			a->transport = c->value;
			break;
		case OPTION_PATH:
			a->path = c->value;
			break;
		case OPTION_RW:
			a->rw = true;
			break;
		case OPTION_UPDATE:
			a->update = c->value;
			break;
		case OPTION_BOW:
		case OPTION_BLOCK_SIZE:
		case OPTION_ON_FULL:
		case OPTION_MIN_FREE:
			r = parse_bow(c, id, a);
			break;
		case 'f':
			r = ovbd_source_format(c, c->value, &a->format);
			break;
		case OVBD_OPTION_TRACE:
		case OVBD_OPTION_PREFETCH:
			r = ovbd_source_prefetch_option(c, id, &a->prefetch) < 0 ? -1 : 0;
			break;
		case OVBD_OPTION_SOCKET:
			a->socket = c->value;
			break;
		default:
			r = ovbd_json_wanted(c, c->value, &a->json);
		}
	if (r < 0 || id < 0)
		return -1;
	if (c->noperands == 0) {
		ovbd_cli_usage(c, "SRC is missing");
		return -1;
	}
	if (a->bow.needs && !a->bow.on) {
		ovbd_cli_usage(c, "%s goes with --bow", a->bow.needs);
		return -1;
	}
	if (a->bow.on && (c->noperands > 1 || a->update)) {
		ovbd_cli_usage(c, "--bow takes one SRC, a file or block device");
		return -1;
	}
	return 0;
}

/* As the daemon, which is in another directory, has to name it. Also where there is no file: that
 * is for the daemon to say. */
static char *absolute(const char *name)
{
	AUTO_FREE char *cwd = NULL;
	char *whole;

	if (ovbd_http_is_url(name) || ovbd_registry_is_name(name) || name[0] == '/')
		return strdup(name);
	cwd = getcwd(NULL, 0);
	return cwd && asprintf(&whole, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, name) >= 0 ? whole
	                                                                                     : NULL;
}

/* A JSON string of name; no JSON can say what is no UTF-8. */
static json_t *json_name(struct ovbd_cli *c, const char *name)
{
	AUTO_FREE char *whole = absolute(name);
	json_t *v = whole ? json_string(whole) : NULL;

	if (!v)
		ovbd_cli_error(c, "%s: is not UTF-8, and cannot be told to ovbdd", name);
	return v;
}

static json_t *make_bow(const struct arguments *a)
{
	json_t *bow = json_object();

	ovbd_json_set_size(bow, "blockSize", a->bow.block_size);
	ovbd_json_set_size(bow, "minFree", a->bow.min_free);
	if (a->bow.on_full)
		ovbd_json_set_text(bow, "onFull", a->bow.on_full);
	return bow;
}

static int make_request(struct ovbd_cli *c, const struct arguments *a, json_t *request)
{
	json_t *images = json_array(), *path = NULL, *trace = NULL;

	ovbd_json_set(request, "images", images);
	for (size_t i = 0; i < c->noperands; i++) {
		json_t *v = json_name(c, c->operands[i]);

		if (!v)
			return -EINVAL;
		ovbd_json_append(images, v);
	}
	if (a->path && !(path = json_name(c, a->path)))
		return -EINVAL;
	if (path)
		ovbd_json_set(request, "path", path);
	if (a->prefetch.trace && !(trace = json_name(c, a->prefetch.trace)))
		return -EINVAL;
	if (trace)
		ovbd_json_set(request, "trace", trace);
	if (a->prefetch.mode != OVBD_PREFETCH_AUTO)
		ovbd_json_set_text(request, "prefetch", ovbd_prefetch_mode_name(a->prefetch.mode));
	if (a->id)
		ovbd_json_set_text(request, "id", a->id);
	if (a->transport)
		ovbd_json_set_text(request, "transport", a->transport);
	if (a->format != OVBD_FORMAT_AUTO)
		ovbd_json_set_text(request, "format", ovbd_format_name(a->format));
	if (a->update)
		ovbd_json_set_text(request, "update", a->update);
	if (a->bow.on)
		ovbd_json_set(request, "bow", make_bow(a));
	if (a->rw)
		ovbd_json_set_bool(request, "writable", true);
	return 0;
}

static void tell_considered(const struct ovbd_cli *c, const json_t *device)
{
	char *text;

	for (size_t i = 0; (text = ovbd_control_considered(device, i)); i++) {
		ovbd_cli_note(c, "transport %s", text);
		free(text);
	}
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_control_releasep) json_t *request = json_object();
	struct arguments a = {.format = OVBD_FORMAT_AUTO};
	const char *path;
	json_t *device;
	int status;

	if (parse(c, &a) < 0)
		return c->status;
	if (make_request(c, &a, request) < 0)
		return OVBD_EXIT_FAILURE;
	if (ovbd_control_ask(c, a.socket, "POST", "/v1/devices", request, &device, &status) < 0)
		return status;
	if (c->verbose > 0)
		tell_considered(c, device);
	path = json_string_value(json_object_get(device, "path"));
	if (!a.json)
		printf("%s\n", path ? path : "");
	if (a.json)
		ovbd_json_print(device);
	else
		json_decref(device);
	return OVBD_EXIT_OK;
}

const struct ovbd_verb ovbd_verb_attach = {
	.name = "attach",
	.summary = "Have ovbdd serve an image as a device, and print its path",
	.usage = "SRC...",
	.text = "SRC is a layer, a URL, an image configuration (JSON), or several layers, bottom "
		"first. Returns when the device is there; prints its path, and only that. With an "
		"id and images that are attached already it prints that device's path.\n\n"
		"The device stays until it is detached, also over a restart of ovbdd.",
	.options = options,
	.examples = examples,
	.run = run,
};
