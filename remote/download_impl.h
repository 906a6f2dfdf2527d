/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to remote/download*.c.
 *
 *     download.c       the thread that fetches
 *     download_blob.c  the blob, and what is to be fetched
 *     download_file.c  the file that it becomes
 */
#ifndef OVBD_REMOTE_DOWNLOAD_IMPL_H
#define OVBD_REMOTE_DOWNLOAD_IMPL_H

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "remote/download.h"

#define DOWNLOAD_PART   ".download"
#define DOWNLOAD_COMMIT "overlaybd.commit"

/* --- download.c --- */

struct fetched {
	struct ovbd_blob blob;
	struct ovbd_downloads *d;
	struct ovbd_blob *below;  /* owned: what was given */
	struct ovbd_blob *swap;   /* owned: that, lent, or the file */
	struct ovbd_blob *source; /* owned: what is fetched from; of the thread */
	char *digest, *dir, *shown;
	struct ovbd_download_params params;
	bool keep;
	atomic_bool local; /* reads need no network any more */
	atomic_bool stop;  /* as cancel, for the transfer that is going on */
	bool told;         /* that it is tried again later; of the thread */
	/* guarded by d->lock: */
	struct fetched *next;
	bool running, cancel, over;
	uint64_t due_ms;
	uint64_t nfailed; /* in a row */
};

struct ovbd_downloads {
	ovbd_downloads_told_fn told;
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the list and what it says, and stop */
	pthread_cond_t changed;
	struct fetched *list;
	bool stop;
	atomic_uint reading; /* that may need the network, now */
	atomic_uint_fast64_t last_read_ms;
	atomic_uint_fast64_t done, wrong, failed, bytes;
};

/* CLOCK_MONOTONIC. */
uint64_t download_now_ms(void);

/* --- download_file.c --- */

/* Asked now and then; other than 0: give up, with that. */
typedef int (*download_stop_fn)(void *arg);

struct download_file {
	int dir_fd, fd;
	uint64_t size; /* when it is complete */
	uint64_t have; /* bytes from the beginning */
	bool resumed;  /* somebody had fetched a part of it before */
	EVP_MD_CTX *md;
};

/* Opens DIR/.download, and reads what is there of it. 1: somebody has completed it. -EBUSY:
 * somebody else is at it. */
int download_file_open(struct download_file *f, const char *dir, uint64_t size,
                       download_stop_fn stop, void *arg, struct ovbd_error *err);
/* From the beginning again. */
int download_file_restart(struct download_file *f, struct ovbd_error *err);
int download_file_append(struct download_file *f, const void *buf, size_t len,
                         struct ovbd_error *err);
/* Makes it DIR/overlaybd.commit. -EBADMSG: it has another digest. */
int download_file_finish(struct download_file *f, const char *digest, struct ovbd_error *err);
/* Removes DIR/.download. */
void download_file_remove(struct download_file *f);
/* Leaves what is there. Also after a failure to open. */
void download_file_close(struct download_file *f);

/* Whether DIR/overlaybd.commit is of this size and digest; its blob. */
int download_commit_open(const char *dir, uint64_t size, const char *digest, bool check,
                         download_stop_fn stop, void *arg, struct ovbd_blob **ret,
                         struct ovbd_error *err);

#endif
