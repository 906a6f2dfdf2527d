/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, each in its verb_*.c. */
#ifndef OVBD_TOOLS_VERBS_H
#define OVBD_TOOLS_VERBS_H

#include "tools/cli.h"

extern const struct ovbd_verb ovbd_verb_convert;
extern const struct ovbd_verb ovbd_verb_cache;
extern const struct ovbd_verb ovbd_verb_apply; /* verb_apply.c, or verb_apply_none.c */
extern const struct ovbd_verb ovbd_verb_bow;
extern const struct ovbd_verb ovbd_verb_commit;
extern const struct ovbd_verb ovbd_verb_cow;
extern const struct ovbd_verb ovbd_verb_create;
extern const struct ovbd_verb ovbd_verb_diff;
extern const struct ovbd_verb ovbd_verb_info;
extern const struct ovbd_verb ovbd_verb_map;
extern const struct ovbd_verb ovbd_verb_check;
extern const struct ovbd_verb ovbd_verb_compare;
extern const struct ovbd_verb ovbd_verb_verity;
extern const struct ovbd_verb ovbd_verb_merge_ota;
extern const struct ovbd_verb ovbd_verb_merge;
extern const struct ovbd_verb ovbd_verb_rebase;
extern const struct ovbd_verb ovbd_verb_resize;
extern const struct ovbd_verb ovbd_verb_seal;
extern const struct ovbd_verb ovbd_verb_serve;    /* verb_serve.c, or verb_serve_none.c */
extern const struct ovbd_verb ovbd_verb_snapshot; /* verb_snapshot.c, or verb_snapshot_none.c */
extern const struct ovbd_verb ovbd_verb_trace;
extern const struct ovbd_verb ovbd_verb_attach;
extern const struct ovbd_verb ovbd_verb_detach;
extern const struct ovbd_verb ovbd_verb_doctor;
extern const struct ovbd_verb ovbd_verb_list;
extern const struct ovbd_verb ovbd_verb_status;
extern const struct ovbd_verb ovbd_verb_drain;
extern const struct ovbd_verb ovbd_verb_reload;

#endif
