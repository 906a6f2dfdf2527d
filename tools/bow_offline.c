// SPDX-License-Identifier: Apache-2.0
#include "tools/bow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/size.h"

int ovbd_bow_open_offline(const char *path, bool write, struct ovbd_device **ret,
                          struct ovbd_error *err)
{
	struct ovbd_blob *b;
	int r = ovbd_device_open_file_alone(path, ret, err);

	if (write || (r != -EACCES && r != -EROFS && r != -EPERM))
		return r;
	r = ovbd_blob_open_uncached(path, &b, err);
	return r < 0 ? r : ovbd_device_open_blob(b, ret, err);
}

int ovbd_bow_check_offline(const struct ovbd_cli *c, const struct ovbd_bow_arguments *a,
                           struct ovbd_device *d, struct ovbd_bow_info *ret, struct ovbd_error *err)
{
	struct ovbd_progress progress;
	int r;

	ovbd_interrupt_catch();
	ovbd_progress_start(&progress, c, a->progress);
	r = ovbd_bow_check(d->blob, ovbd_progress_update, &progress, ret, err);
	ovbd_progress_end(&progress);
	return r < 0 ? ovbd_fail_named(err, r, a->path) : 0;
}

const char *ovbd_bow_state_text(const struct ovbd_bow_info *info)
{
	if (info->committing)
		return "committing";
	return info->partial ? "restoring" : "checkpoint";
}

void ovbd_bow_print_info(const struct ovbd_bow_info *info)
{
	char size[OVBD_SIZE_FULL];

	printf("state:       %s\n", ovbd_bow_state_text(info));
	printf("log:         %s, blocks of %" PRIu32 " bytes\n",
	       info->prototype ? "the prototype's of 2018" : "version 1.0", info->block_size);
	if (info->sector0)
		printf("block 0:     at %" PRIu64 "\n", info->sector0);
	if (info->committing)
		return;
	printf("log blocks:  %" PRIu64 "\n", info->nblocks);
	printf("entries:     %" PRIu64 "%s\n", info->nentries, info->partial ? " are left" : "");
	printf("backed up:   %s\n", ovbd_size_full(size, info->backed_up));
}

json_t *ovbd_bow_info_json(const struct ovbd_bow_info *info)
{
	json_t *obj = ovbd_json_create("bow");

	ovbd_json_set_text(obj, "state", ovbd_bow_state_text(info));
	ovbd_json_set_text(obj, "log-version", info->prototype ? "prototype" : "1.0");
	ovbd_json_set_size(obj, "block-size", info->block_size);
	ovbd_json_set_size(obj, "sequence", info->sequence);
	ovbd_json_set_size(obj, "block0", info->sector0);
	ovbd_json_set_size(obj, "log-blocks", info->nblocks);
	ovbd_json_set_size(obj, "log-entries", info->nentries);
	ovbd_json_set_size(obj, "backed-up", info->backed_up);
	return obj;
}
