// SPDX-License-Identifier: Apache-2.0
/* bow check: whether all that was backed up is there, and could be restored. */
#include <stdio.h>

#include "tools/bow.h"

int ovbd_bow_check_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a)
{
	AUTO_DEVICE *d = NULL;
	struct ovbd_bow_info info;
	struct ovbd_error err;
	json_t *obj;
	int r = ovbd_bow_open_offline(a->path, false, &d, &err);

	if (r == 0)
		r = ovbd_bow_check_offline(c, a, d, &info, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (!a->json) {
		ovbd_bow_print_info(&info);
		printf("checked:     all of it is there\n");
		return OVBD_EXIT_OK;
	}
	obj = ovbd_bow_info_json(&info);
	ovbd_json_set_text(obj, "result", "ok");
	ovbd_json_print(obj);
	return OVBD_EXIT_OK;
}
