/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a tar, or a pipe that it comes through: read once, with its digest. */
#ifndef OVBD_TOOLS_TAR_FILE_H
#define OVBD_TOOLS_TAR_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/error.h"
#include "base/progress.h"

#define OVBD_DIGEST_TEXT_SIZE 72 /* "sha256:", 64 digits, NUL */

struct ovbd_tar_file;

/* path: a file, a pipe, or "-". progress (of its bytes) may be NULL; what it says may stop a read.
 * arg outlives the file. */
int ovbd_tar_file_open(const char *path, ovbd_progress_fn progress, void *arg,
                       struct ovbd_tar_file **ret, struct ovbd_error *err);

/* An ovbd_fs_read_fn; file is a struct ovbd_tar_file. */
ssize_t ovbd_tar_file_read(void *file, void *buf, size_t len, struct ovbd_error *err);

/* Of all that was read; once. */
void ovbd_tar_file_digest(struct ovbd_tar_file *t, char ret[OVBD_DIGEST_TEXT_SIZE]);

uint64_t ovbd_tar_file_done(const struct ovbd_tar_file *t); /* bytes */

/* NULL is fine. */
void ovbd_tar_file_close(struct ovbd_tar_file *take_t);

static inline void ovbd_tar_file_closep(struct ovbd_tar_file **t)
{
	ovbd_tar_file_close(*t);
}

/* What md, of SHA-256, has been given. It is spent. */
struct evp_md_ctx_st;
void ovbd_digest_text(struct evp_md_ctx_st *md, char ret[OVBD_DIGEST_TEXT_SIZE]);

#endif
