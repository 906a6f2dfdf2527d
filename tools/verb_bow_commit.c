// SPDX-License-Identifier: Apache-2.0
/* bow commit: what a device reads as now is what it is, for good. */
#include "tools/bow.h"

int ovbd_bow_commit_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a)
{
	AUTO_DEVICE *d = NULL;
	struct ovbd_bow_info info;
	struct ovbd_error err;
	json_t *obj;
	int r = ovbd_bow_open_offline(a->path, true, &d, &err);

	if (r == 0 && (r = ovbd_bow_settle(d, &info, &err)) < 0)
		r = ovbd_fail_named(&err, r, a->path);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (!a->json) {
		ovbd_cli_note(c, "%s: committed%s", a->path,
		              info.committing ? ": a commit had been interrupted" : "");
		return OVBD_EXIT_OK;
	}
	obj = ovbd_bow_info_json(&info);
	ovbd_json_set_text(obj, "result", "committed");
	ovbd_json_print(obj);
	return OVBD_EXIT_OK;
}
