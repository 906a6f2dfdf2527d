/* SPDX-License-Identifier: Apache-2.0 */
/* --upload of overlaybd's tools: what was made goes to a registry, too. */
#ifndef OVBD_TOOLS_OVERLAYBD_UPLOAD_H
#define OVBD_TOOLS_OVERLAYBD_UPLOAD_H

#include "tools/cli.h"

enum {
	OVBD_OPTION_UPLOAD = OVBD_OPTION_LONG + 60,
	OVBD_OPTION_UPLOAD_BS,
	OVBD_OPTION_CRED_FILE,
	OVBD_OPTION_TLS_KEY,
	OVBD_OPTION_TLS_CERT,
};

#define OVBD_OVERLAYBD_UPLOAD_OPTIONS                                                              \
	{OVBD_OPTION_UPLOAD, "upload", "URL",                                                      \
	 "Push OUT, too: to http[s]://HOST/v2/REPOSITORY/blobs/uploads/. Its digest is told."},    \
		{OVBD_OPTION_UPLOAD_BS, "upload_bs", "KIB",                                        \
	         "How much of it goes in a request (default 16384)."},                             \
		{OVBD_OPTION_CRED_FILE, "cred_file_path", "FILE",                                  \
	         "Who we are to the registry: a file of docker's kind (default: those of skopeo "  \
	         "and docker)."},                                                                  \
		{OVBD_OPTION_TLS_KEY, "tls_key_path", "FILE",                                      \
	         "Who we are to it by TLS: the key."},                                             \
		{OVBD_OPTION_TLS_CERT, "tls_cert_path", "FILE", "And the certificate."},           \
		{OVBD_OPTION_CERT_DIR, "cert-dir", "DIR",                                          \
	         "Whom we trust besides: *.crt there. Not an option of the original, which "       \
	         "trusts everybody."},                                                             \
	{                                                                                          \
		OVBD_OPTION_TLS_VERIFY, "tls-verify", "BOOL",                                      \
			"false: trust everybody, as the original does."                            \
	}

struct ovbd_overlaybd_upload {
	const char *url; /* NULL: nothing is pushed */
	const char *creds, *key, *cert;
	uint64_t chunk_size; /* bytes; 0: not given */
};

/* As ovbd_overlaybd_option(). */
int ovbd_overlaybd_upload_option(struct ovbd_cli *c, int id, struct ovbd_overlaybd_upload *u);
/* 0, or -1 and told: options that go together. */
int ovbd_overlaybd_upload_check(struct ovbd_cli *c, const struct ovbd_overlaybd_upload *u);

/* Pushes the file that was made, and says its digest on standard error; without an upload that line
 * is empty. If it fails the file is gone; returns the exit status. */
int ovbd_overlaybd_upload_run(const struct ovbd_cli *c, const struct ovbd_overlaybd_upload *u,
                              const char *path, const char *failed);

#endif
