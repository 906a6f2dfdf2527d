// SPDX-License-Identifier: Apache-2.0
#include "tools/bow_served.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "tools/control.h"
#include "tools/size.h"

static const char *const moves[] = {"checkpoint", "commit", "abort"};

static bool is_move(const char *what)
{
	bool is = false;

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		is |= strcmp(what, moves[i]) == 0;
	return is;
}

bool ovbd_bow_is_served_verb(const char *what)
{
	return is_move(what) || strcmp(what, "free") == 0 || strcmp(what, "status") == 0;
}

static uint64_t number(const json_t *bow, const char *key)
{
	const json_int_t v = json_integer_value(json_object_get(bow, key));

	return v < 0 ? 0 : (uint64_t)v;
}

void ovbd_bow_print(const json_t *bow)
{
	static const char *const texts[] = {"state", "on-full", "policy"};
	static const char *const sizes[] = {"block-size", "min-free", "free", "backed-up",
	                                    "memory"};
	static const char *const counts[] = {"free-extents", "log-blocks", "log-entries",
	                                     "log-writes"};
	char size[OVBD_SIZE_FULL];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		AUTO_FREE char *text = ovbd_control_text(bow, texts[i]);

		if (json_object_get(bow, texts[i]) && text)
			printf("  %-14s %s\n", texts[i], text);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		printf("  %-14s %s\n", sizes[i], ovbd_size_full(size, number(bow, sizes[i])));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		printf("  %-14s %" PRIu64 "\n", counts[i], number(bow, counts[i]));
}

/* "/v1/devices/ID", or "/v1/devices/ID/bow". */
static char *path_of(const char *id, bool bow)
{
	AUTO_FREE char *device = ovbd_control_path("/v1/devices", id, false, false);
	char *path;

	if (!device || asprintf(&path, "%s%s", device, bow ? "/bow" : "") < 0)
		return NULL;
	return path;
}

static void print(const struct ovbd_bow_served *a, const json_t *device)
{
	const json_t *bow = json_object_get(device, "bow");
	char size[OVBD_SIZE_FULL];

	if (strcmp(a->what, "free") == 0)
		printf("%s\n", ovbd_size_full(size, number(bow, "free")));
	else if (strcmp(a->what, "status") == 0)
		ovbd_bow_print(bow);
}

int ovbd_bow_served(struct ovbd_cli *c, const struct ovbd_bow_served *a)
{
	const bool moves_it = is_move(a->what);
	OVBD_AUTO(ovbd_control_releasep) json_t *request = NULL;
	AUTO_FREE char *path = path_of(a->id, moves_it);
	json_t *device;
	int status;

	if (moves_it)
		request = json_pack("{ss}", "do", a->what);
	if (!path || (moves_it && !request)) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	if (ovbd_control_ask(c, a->socket, moves_it ? "POST" : "GET", path, request, &device,
	                     &status) < 0)
		return status;
	if (!json_object_get(device, "bow")) {
		ovbd_cli_error(c, "device %s: has no backup on write: attach it with --bow", a->id);
		json_decref(device);
		return OVBD_EXIT_FAILURE;
	}
	if (a->json) {
		ovbd_json_print(device);
		return OVBD_EXIT_OK;
	}
	print(a, device);
	json_decref(device);
	return OVBD_EXIT_OK;
}
