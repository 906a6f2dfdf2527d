// SPDX-License-Identifier: Apache-2.0
/* bow status: whether a device was left in its checkpoint, and what its log says. */
#include <errno.h>
#include <stdio.h>

#include "tools/bow.h"

static void print_none(bool json)
{
	json_t *obj;

	if (!json) {
		printf("state:       none\n");
		return;
	}
	obj = ovbd_json_create("bow");
	ovbd_json_set_text(obj, "state", "none");
	ovbd_json_print(obj);
}

int ovbd_bow_status_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a)
{
	AUTO_DEVICE *d = NULL;
	struct ovbd_bow_info info;
	struct ovbd_error err;
	int r = ovbd_bow_open_offline(a->path, false, &d, &err);

	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	r = ovbd_bow_inspect(d->blob, &info, &err);
	if (r == -ENOMSG) {
		print_none(a->json);
		return OVBD_EXIT_OK;
	}
	if (r < 0)
		return ovbd_cli_fail(c, ovbd_fail_named(&err, r, a->path), false, &err);
	if (a->json)
		ovbd_json_print(ovbd_bow_info_json(&info));
	else
		ovbd_bow_print_info(&info);
	return OVBD_EXIT_OK;
}
