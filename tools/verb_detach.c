// SPDX-License-Identifier: Apache-2.0
/* detach and drain: one device, and all. */
#include "base/auto.h"
#include "tools/control.h"
#include "tools/verbs.h"

enum { OPTION_LAZY = OVBD_OPTION_LONG, OPTION_FORCE };

static const struct ovbd_option options[] = {
	{OPTION_LAZY, "lazy", NULL,
         "Also while it is in use: nobody new can open it, and who has it open is served to the "
         "end."},
	{OPTION_FORCE, "force", NULL, "Also while it is in use: who has it open gets errors."},
	OVBD_OPTION_SOCKET_ENTRY,
	{0},
};

struct arguments {
	const char *socket;
	bool lazy, force;
};

static int parse(struct ovbd_cli *c, struct arguments *a)
{
	int id;

	*a = (struct arguments){0};
	while ((id = ovbd_cli_next(c)) > 0)
		if (id == OPTION_LAZY)
			a->lazy = true;
		else if (id == OPTION_FORCE)
			a->force = true;
		else
			a->socket = c->value;
	if (id == 0 && a->lazy && a->force) {
		ovbd_cli_usage(c, "--lazy and --force exclude each other");
		return -1;
	}
	return id;
}

static int ask(struct ovbd_cli *c, const struct arguments *a, const char *method, const char *path,
               const char *id)
{
	AUTO_FREE char *whole = ovbd_control_path(path, id, a->lazy, a->force);
	json_t *answer, *why;
	const char *key;
	int status;

	if (!whole) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	if (ovbd_control_ask(c, a->socket, method, whole, NULL, &answer, &status) < 0)
		return status;
	if (json_is_string(json_object_get(answer, "state")) &&
	    strcmp(json_string_value(json_object_get(answer, "state")), "leaving") == 0)
		ovbd_cli_note(c, "%s: still in use: its users are served to the end", id);
	json_object_foreach(json_object_get(answer, "devices"), key, why)
		ovbd_cli_note(c, "%s", json_string_value(why));
	json_decref(answer);
	return OVBD_EXIT_OK;
}

static int run_detach(struct ovbd_cli *c)
{
	struct arguments a;
	int worst = OVBD_EXIT_OK;

	if (parse(c, &a) < 0)
		return c->status;
	if (c->noperands == 0)
		return ovbd_cli_usage(c, "ID is missing");
	for (size_t i = 0; i < c->noperands; i++) {
		const int status = ask(c, &a, "DELETE", "/v1/devices", c->operands[i]);

		worst = status != OVBD_EXIT_OK ? status : worst;
	}
	return worst;
}

static int run_drain(struct ovbd_cli *c)
{
	struct arguments a;

	if (parse(c, &a) < 0 || ovbd_cli_at_most(c, 0) < 0)
		return c->status;
	return ask(c, &a, "POST", "/v1/drain", "");
}

static const struct ovbd_example detach_examples[] = {
	{"ovbd detach web", "detach the device called web"},
	{"ovbd detach --lazy web", "also while it is mounted"},
	{NULL},
};

const struct ovbd_verb ovbd_verb_detach = {
	.name = "detach",
	.summary = "Have ovbdd take a device away",
	.usage = "ID...",
	.text = "Refuses while the device is in use, and says by whom: processes, loop devices, "
		"mounts.",
	.options = options,
	.examples = detach_examples,
	.run = run_detach,
};

const struct ovbd_verb ovbd_verb_drain = {
	.name = "drain",
	.summary = "Have ovbdd take all devices away",
	.usage = "",
	.text = "As 'ovbd detach' with each. Several at a time, and for 30 seconds at most. Fails, "
		"and names them, if some are left.",
	.options = options,
	.run = run_drain,
};
