// SPDX-License-Identifier: Apache-2.0
/* bow restore: a device goes back to what it was at its checkpoint. */
#include <errno.h>
#include <inttypes.h>

#include "tools/bow.h"
#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/size.h"

static const char *result_text(const struct ovbd_bow_arguments *a, const struct ovbd_bow_info *info,
                               int r)
{
	if (a->dry_run)
		return "ok";
	if (r == -EAGAIN)
		return "limit";
	return info->committing ? "committed" : "restored";
}

static void tell(const struct ovbd_cli *c, const struct ovbd_bow_arguments *a,
                 const struct ovbd_bow_info *info, double seconds)
{
	char size[OVBD_SIZE_TEXT];

	if (info->committing) {
		ovbd_cli_note(c, "%s: %s: a commit was begun, nothing can be taken back", a->path,
		              a->dry_run ? "would be committed" : "committed");
		return;
	}
	ovbd_size_text(size, info->backed_up);
	ovbd_cli_note(c, "%s: %s: %" PRIu64 " %s, %s; %.1f s", a->path,
	              a->dry_run      ? "can be restored"
	              : info->partial ? "restored, as was begun before"
	                              : "restored",
	              info->nentries, info->nentries == 1 ? "entry" : "entries", size, seconds);
}

static int finish(struct ovbd_cli *c, const struct ovbd_bow_arguments *a,
                  const struct ovbd_bow_info *info, int r, double seconds, struct ovbd_error *err)
{
	json_t *obj;

	if (r < 0 && r != -EAGAIN)
		return ovbd_cli_fail(c, r, false, err);
	if (a->json) {
		obj = ovbd_bow_info_json(info);
		ovbd_json_set_text(obj, "result", result_text(a, info, r));
		ovbd_json_print(obj);
	} else if (r == 0) {
		tell(c, a, info, seconds);
	} else {
		ovbd_cli_note(c, "%s; another restore goes on", err->msg);
	}
	return r == 0 ? OVBD_EXIT_OK : OVBD_EXIT_TEMPORARY;
}

int ovbd_bow_restore_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a)
{
	struct ovbd_progress progress;
	const struct ovbd_bow_restore_params p = {.limit = a->limit,
	                                          .progress = ovbd_progress_update,
	                                          .arg = &progress};
	AUTO_DEVICE *d = NULL;
	struct ovbd_bow_info info = {0};
	struct ovbd_error err;
	int r = ovbd_bow_open_offline(a->path, !a->dry_run, &d, &err);

	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	ovbd_interrupt_catch();
	ovbd_progress_start(&progress, c, a->progress);
	r = a->dry_run ? ovbd_bow_check(d->blob, p.progress, p.arg, &info, &err)
	               : ovbd_bow_restore(d, &p, &info, &err);
	ovbd_progress_end(&progress);
	if (r == -ECANCELED)
		ovbd_cli_note(c, "%s", err.msg);
	if (r < 0)
		ovbd_fail_named(&err, r, a->path);
	return finish(c, a, &info, r, ovbd_progress_seconds(&progress), &err);
}
