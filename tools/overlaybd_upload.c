// SPDX-License-Identifier: Apache-2.0
#include "tools/overlaybd_upload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "image/registry.h"
#include "oci/upload.h"
#include "remote/patience.h"
#include "tools/interrupt.h"

#define CHUNK_KIB_MAX (1u << 22) /* 4 GiB */

static int set_chunk(struct ovbd_cli *c, struct ovbd_overlaybd_upload *u)
{
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	if (c->value[0] < '0' || c->value[0] > '9' || *end || n == 0 || n > CHUNK_KIB_MAX) {
		ovbd_cli_usage(c, "--upload_bs %s: a number of KiB from 1 to %u", c->value,
		               CHUNK_KIB_MAX);
		return -1;
	}
	u->chunk_size = (uint64_t)n * 1024;
	return 1;
}

int ovbd_overlaybd_upload_option(struct ovbd_cli *c, int id, struct ovbd_overlaybd_upload *u)
{
	switch (id) {
	case OVBD_OPTION_UPLOAD:
		u->url = c->value;
		return 1;
	case OVBD_OPTION_UPLOAD_BS:
		return set_chunk(c, u);
	case OVBD_OPTION_CRED_FILE:
		u->creds = c->value;
		return 1;
	case OVBD_OPTION_TLS_KEY:
		u->key = c->value;
		return 1;
	case OVBD_OPTION_TLS_CERT:
		u->cert = c->value;
		return 1;
	default:
		return 0;
	}
}

int ovbd_overlaybd_upload_check(struct ovbd_cli *c, const struct ovbd_overlaybd_upload *u)
{
	if (!u->url && (u->creds || u->key || u->cert || u->chunk_size))
		ovbd_cli_usage(c, "--upload is missing, which the other options are for");
	else if (!u->key != !u->cert)
		ovbd_cli_usage(c, "--tls_key_path and --tls_cert_path go together");
	else
		return 0;
	return -1;
}

static int push(const struct ovbd_cli *c, const struct ovbd_overlaybd_upload *u, const char *path,
                char ret_digest[OVBD_OCI_DIGEST_SIZE], struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_registry_closep) struct ovbd_registry *registry = NULL;
	struct ovbd_cli how = *c;
	struct ovbd_oci_upload upload = {
		.url = u->url,
		.path = path,
		.chunk_size = u->chunk_size,
	};
	const struct ovbd_patience patience = {.stop = ovbd_interrupt_flag()};
	struct ovbd_http_params http;
	int r;

	how.remote.authfile = u->creds;
	how.remote.cert_file = u->cert;
	how.remote.key_file = u->key;
	r = ovbd_remote_options_open(&how, &registry, &http, err);
	if (r < 0)
		return r;
	upload.registry = registry;
	ovbd_patience_set(patience);
	return ovbd_oci_upload(&upload, ret_digest, err);
}

int ovbd_overlaybd_upload_run(const struct ovbd_cli *c, const struct ovbd_overlaybd_upload *u,
                              const char *path, const char *failed)
{
	char digest[OVBD_OCI_DIGEST_SIZE] = "";
	struct ovbd_error err;
	int r = u->url ? push(c, u, path, digest, &err) : 0;

	if (r < 0) {
		unlink(path);
		fprintf(stderr, "%s\n", failed);
		return ovbd_cli_fail(c, r, true, &err);
	}
	fprintf(stderr, "%s\n", digest);
	return OVBD_EXIT_OK;
}
