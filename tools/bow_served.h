/* SPDX-License-Identifier: Apache-2.0 */
/* ovbd bow of a device that ovbdd serves. */
#ifndef OVBD_TOOLS_BOW_SERVED_H
#define OVBD_TOOLS_BOW_SERVED_H

#include "tools/cli.h"
#include "tools/json.h"

struct ovbd_bow_served {
	const char *what; /* "checkpoint", "commit", "abort", "free" or "status" */
	const char *id, *socket;
	bool json;
};

/* Whether what can be asked of a device that is served. */
bool ovbd_bow_is_served_verb(const char *what);

/* What a device's JSON says of it, for people. */
void ovbd_bow_print(const json_t *bow);

/* The exit status. */
int ovbd_bow_served(struct ovbd_cli *c, const struct ovbd_bow_served *a);

#endif
