/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: a whole log, as it lies on a device: the block at its beginning and those that
 * were backed up when they were full, found where later entries have moved them. */
#ifndef OVBD_BOW_LOG_H
#define OVBD_BOW_LOG_H

#include "base/blob.h"
#include "bow/format.h"

struct bow_log {
	struct bow_header
		header;  /* of the newest block; sector0: where block 0 really is, though an
	                           * entry of the kernel's moved it after it was written */
	size_t nentries; /* 0: a commit was begun */
	struct bow_entry *entries; /* oldest first; entry 0 of a block (source 0) among them */
	uint32_t *sequences;       /* of the block each is in */
};

/* Reads it, and no data but the log's: checksums of log blocks are looked at, those of what else
 * was backed up are not. -EBADMSG: it contradicts itself, or the device; -ENOMSG: there is none. Of
 * a partial restore it has the entries that are left. Its memory is bounded by the device's size.
 */
int ovbd_bow_log_read(struct ovbd_blob *b, struct bow_log **ret, struct ovbd_error *err);
void ovbd_bow_log_free(struct bow_log *take_l);

#endif
