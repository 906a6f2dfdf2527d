// SPDX-License-Identifier: Apache-2.0
/* list, status and reload: what asks ovbdd for itself. */
#include <inttypes.h>
#include <stdio.h>

#include "base/auto.h"
#include "tools/bow_served.h"
#include "tools/control.h"
#include "tools/size.h"
#include "tools/verbs.h"

static const struct ovbd_option options[] = {
	OVBD_OPTION_SOCKET_ENTRY,
	OVBD_OPTION_OUTPUT_ENTRY,
	{0},
};

static const struct ovbd_option reload_options[] = {
	OVBD_OPTION_SOCKET_ENTRY,
	{0},
};

static uint64_t number(const json_t *object, const char *key)
{
	const json_int_t v = json_integer_value(json_object_get(object, key));

	return v < 0 ? 0 : (uint64_t)v;
}

static void print_line(const json_t *d)
{
	AUTO_FREE char *id = ovbd_control_text(d, "id"), *state = ovbd_control_text(d, "state");
	AUTO_FREE char *transport = ovbd_control_text(d, "transport");
	AUTO_FREE char *path = ovbd_control_text(d, "path");
	const json_t *state_of_bow = json_object_get(json_object_get(d, "bow"), "state");
	const char *bow = json_string_value(state_of_bow);
	char size[OVBD_SIZE_TEXT] = "-";

	if (json_object_get(d, "size"))
		ovbd_size_text(size, number(d, "size"));
	if (id && state && transport && path)
		printf("%-16s %-8s %-6s %12s  %s%s%s\n", id, state, transport, size, path,
		       bow ? "  bow: " : "", bow ? bow : "");
}

static int run_list(struct ovbd_cli *c)
{
	struct ovbd_control_options a;
	json_t *answer;
	int status;

	if (ovbd_control_parse(c, 0, &a) < 0)
		return c->status;
	if (ovbd_control_ask(c, a.socket, "GET", "/v1/devices", NULL, &answer, &status) < 0)
		return status;
	if (a.json) {
		ovbd_json_print(answer);
		return OVBD_EXIT_OK;
	}
	if (!c->quiet)
		printf("%-16s %-8s %-6s %12s  %s\n", "ID", "STATE", "VIA", "SIZE", "PATH");
	for (size_t i = 0; i < json_array_size(json_object_get(answer, "devices")); i++)
		print_line(json_array_get(json_object_get(answer, "devices"), i));
	json_decref(answer);
	return OVBD_EXIT_OK;
}

static void print_field(const json_t *d, const char *key)
{
	AUTO_FREE char *text = ovbd_control_text(d, key);

	if (json_is_string(json_object_get(d, key)) && text)
		printf("%-12s %s\n", key, text);
}

static void print_numbers(const json_t *object)
{
	/* jansson's iterators do not change what they walk; their prototype does not say so. */
	json_t *o = (json_t *)(uintptr_t)object;

	for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at))
		printf("  %-14s %" JSON_INTEGER_FORMAT "\n", json_object_iter_key(at),
		       json_integer_value(json_object_iter_value(at)));
}

static void print_considered(const json_t *d)
{
	char *text;

	for (size_t i = 0; (text = ovbd_control_considered(d, i)); i++) {
		printf("%s  %s\n", i == 0 ? "considered\n" : "", text);
		free(text);
	}
}

static void print_device(const json_t *d)
{
	static const char *const keys[] = {"id", "state", "transport", "path", "format", "error"};
	const json_t *images = json_object_get(d, "images");

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		print_field(d, keys[i]);
	if (json_object_get(d, "size"))
		printf("%-12s %" PRIu64 "\n", "size", number(d, "size"));
	printf("images\n");
	for (size_t i = 0; i < json_array_size(images); i++)
		printf("  %s\n", json_string_value(json_array_get(images, i)));
	print_considered(d);
	if (json_object_get(d, "bow")) {
		printf("bow\n");
		ovbd_bow_print(json_object_get(d, "bow"));
	}
	printf("stats\n");
	print_numbers(json_object_get(d, "stats"));
}

static void print_confinement(const json_t *c)
{
	const json_t *caps = json_object_get(c, "capabilities");
	const uint64_t refused = number(c, "refused-calls");
	AUTO_FREE char *first = ovbd_control_text(c, "first-refused-call");

	printf("confinement\n  %-14s", "capabilities");
	for (size_t i = 0; i < json_array_size(caps); i++)
		printf(" %s", json_string_value(json_array_get(caps, i)));
	printf("\n  %-14s %s\n", "privileges",
	       json_is_true(json_object_get(c, "no-new-privileges")) ? "no new ones" : "as ever");
	printf("  %-14s %s\n", "system calls",
	       json_is_true(json_object_get(c, "system-call-filter")) ? "filtered" : "all");
	if (refused > 0 && first)
		printf("  %-14s %" PRIu64 " (%s first)\n", "refused", refused, first);
}

static void print_daemon(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "transports");

	print_field(answer, "version");
	printf("%-12s %" PRIu64 "\n", "pid", number(answer, "pid"));
	printf("%-12s %" PRIu64 " s\n", "uptime", number(answer, "uptime"));
	printf("devices\n");
	print_numbers(json_object_get(answer, "devices"));
	printf("transports\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *t = json_array_get(list, i);
		AUTO_FREE char *name = ovbd_control_text(t, "name");
		AUTO_FREE char *reason = ovbd_control_text(t, "reason");
		const bool there = json_is_true(json_object_get(t, "available"));

		if (name && reason)
			printf("  %-14s %s\n", name, there ? "available" : reason);
	}
	if (json_object_get(answer, "confinement"))
		print_confinement(json_object_get(answer, "confinement"));
}

static int run_status(struct ovbd_cli *c)
{
	AUTO_FREE char *path = NULL;
	struct ovbd_control_options a;
	json_t *answer;
	int status;

	if (ovbd_control_parse(c, 1, &a) < 0)
		return c->status;
	if (c->noperands == 1)
		path = ovbd_control_path("/v1/devices", c->operands[0], false, false);
	else
		path = strdup("/v1/status");
	if (!path) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	if (ovbd_control_ask(c, a.socket, "GET", path, NULL, &answer, &status) < 0)
		return status;
	if (a.json) {
		ovbd_json_print(answer);
		return OVBD_EXIT_OK;
	}
	if (c->noperands == 1)
		print_device(answer);
	else
		print_daemon(answer);
	json_decref(answer);
	return OVBD_EXIT_OK;
}

static int run_reload(struct ovbd_cli *c)
{
	struct ovbd_control_options a;
	json_t *answer;
	int status;

	if (ovbd_control_parse(c, 0, &a) < 0)
		return c->status;
	if (ovbd_control_ask(c, a.socket, "POST", "/v1/reload", NULL, &answer, &status) < 0)
		return status;
	json_decref(answer);
	return OVBD_EXIT_OK;
}

const struct ovbd_verb ovbd_verb_list = {
	.name = "list",
	.summary = "List the devices of ovbdd",
	.usage = "",
	.text = "A line for each: its id, its state (opening, serving, failed, leaving), its "
		"transport, its size and its path.",
	.options = options,
	.run = run_list,
};

const struct ovbd_verb ovbd_verb_status = {
	.name = "status",
	.summary = "Show how a device, or ovbdd itself, is doing",
	.usage = "[ID]",
	.text = "With ID: the device's images, its counters, and what went wrong last. Without: "
		"the "
		"daemon, and which transports this host has, or what they lack.",
	.options = options,
	.run = run_status,
};

const struct ovbd_verb ovbd_verb_reload = {
	.name = "reload",
	.summary = "Have ovbdd read its configuration again",
	.usage = "",
	.text = "Devices that have failed are tried again at once.",
	.options = reload_options,
	.run = run_reload,
};
