/* SPDX-License-Identifier: Apache-2.0 */
/* The words of ovbd bow, each in its verb_bow_WORD.c, and what they share (bow_offline.c). */
#ifndef OVBD_TOOLS_BOW_H
#define OVBD_TOOLS_BOW_H

#include "base/device.h"
#include "bow/restore.h"
#include "tools/json.h"

struct ovbd_bow_arguments {
	const char *path; /* the device */
	const char *id;   /* in its place, one that is served; NULL: none */
	const char *socket;
	uint64_t limit; /* 0: none */
	bool dry_run, json, progress;
};

typedef int (*ovbd_bow_word_fn)(struct ovbd_cli *c, const struct ovbd_bow_arguments *a);

/* Each returns the exit status. */
int ovbd_bow_check_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a);
int ovbd_bow_commit_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a);
int ovbd_bow_restore_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a);
int ovbd_bow_status_word(struct ovbd_cli *c, const struct ovbd_bow_arguments *a);

/* A file or block device that nobody else has. What may only be read is opened so. */
int ovbd_bow_open_offline(const char *path, bool write, struct ovbd_device **ret,
                          struct ovbd_error *err);

/* ovbd_bow_check() with progress. Then an error names the device. */
int ovbd_bow_check_offline(const struct ovbd_cli *c, const struct ovbd_bow_arguments *a,
                           struct ovbd_device *d, struct ovbd_bow_info *ret,
                           struct ovbd_error *err);

/* What a device was found to be: "checkpoint", "restoring" or "committing". */
const char *ovbd_bow_state_text(const struct ovbd_bow_info *info);

/* On standard output, for people. */
void ovbd_bow_print_info(const struct ovbd_bow_info *info);

/* The same as an object, to which what was done can be added. */
json_t *ovbd_bow_info_json(const struct ovbd_bow_info *info);

#endif
