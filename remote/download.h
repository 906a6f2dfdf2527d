/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that are fetched as a whole, in the background, while they are read lazily: one after the
 * other, each past the cache, no faster than told, and with readers of the network going first.
 * Where one is complete and has its digest, it becomes a file, from which it is read from then on.
 *
 * What others see are the files of overlaybd: DIR/.download while it comes, then
 * DIR/overlaybd.commit. What is there of the former is gone on with, by one process at a time; in
 * the end it has the digest, or it is removed.
 */
#ifndef OVBD_REMOTE_DOWNLOAD_H
#define OVBD_REMOTE_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "remote/http.h"

struct ovbd_download_params {
	bool enable;
	uint64_t delay_s;       /* before it begins; and at most so much more, at random: */
	uint64_t delay_extra_s; /* (so that not all hosts begin at once) */
	uint64_t max_mbps;      /* 10^6 bytes a second; 0: no limit */
	uint64_t tries;      /* failures in a row, after which a long pause is made; at least 1 */
	uint64_t block_size; /* bytes that are asked for at once; 0: default */
};

/* Those of overlaybd: not enabled; 300 s and up to 30; 100 MB/s; 5; 256 KiB. */
struct ovbd_download_params ovbd_download_defaults(void);

struct ovbd_downloads_stats {
	uint64_t done;   /* layers that became files */
	uint64_t wrong;  /* that had another digest */
	uint64_t failed; /* that will not be tried again: no room, no directory */
	uint64_t bytes;  /* fetched */
};

/* A sentence for a log, from the thread that fetches. */
typedef void (*ovbd_downloads_told_fn)(void *arg, bool bad, const char *sentence);

struct ovbd_downloads;

int ovbd_downloads_create(ovbd_downloads_told_fn told, void *arg, struct ovbd_downloads **ret,
                          struct ovbd_error *err);

/* After the last of its blobs. NULL is fine. */
void ovbd_downloads_close(struct ovbd_downloads *take_d);

static inline void ovbd_downloads_closep(struct ovbd_downloads **d)
{
	ovbd_downloads_close(*d);
}

struct ovbd_downloads_stats ovbd_downloads_stats(struct ovbd_downloads *d);

struct ovbd_download {
	const char *url;
	const struct ovbd_http_params *http;
	const char *digest; /* "sha256:..." of all bytes */
	const char *dir;    /* must be there */
	const char *shown;  /* what it is called in sentences */
	bool keep;          /* reads go on as before when it is a file: it is for the next open */
	struct ovbd_download_params params;
};

/* take_b, which is what is fetched; it is read until the file is there, and closed with this blob.
 * All of what is copied. Closing waits a tenth of a second at most for a server that is asked, but
 * for one that gives tokens a few seconds. */
int ovbd_download_blob_open(struct ovbd_downloads *d, const struct ovbd_download *what,
                            struct ovbd_blob *take_b, struct ovbd_blob **ret,
                            struct ovbd_error *err);

#endif
