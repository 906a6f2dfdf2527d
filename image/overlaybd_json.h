/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of the daemon that this one can take the place of: overlaybd.json, as far as it
 * means something here. overlaybd-tcmu(8).
 */
#ifndef OVBD_IMAGE_OVERLAYBD_JSON_H
#define OVBD_IMAGE_OVERLAYBD_JSON_H

#include "image/registry_settings.h"
#include "image/settings.h"
#include "remote/download.h"

#define OVBD_OVERLAYBD_JSON_PATH "/etc/overlaybd/overlaybd.json"

struct ovbd_overlaybd_json {
	const char *log_path; /* "": standard error only */
	uint64_t log_level;   /* 0 debug, 1 info, 2 warning, 3 and above error */
	uint64_t log_size_mb;
	uint64_t log_rotate_num;
	bool enable_audit;
	const char *audit_path;
	bool exporter_enable;
	const char *exporter_uri_prefix;
	uint64_t exporter_port;
	uint64_t exporter_interval_us;
	bool service_enable; /* of snapshots, over HTTP */
	const char *service_address;
	uint64_t prefetch_concurrency; /* 0: not given */
	const char *user_agent;        /* NULL: not given */
	const char *cache_dir;         /* "": no cache */
	uint64_t cache_size_gb;
	uint64_t cache_chunk_size; /* bytes; 0: default */
	struct ovbd_download_params download;
	struct ovbd_registry_settings registry;
	char ignored[OVBD_SETTINGS_IGNORED_SIZE];
	json_t *file; /* what the strings live in */
};

/* As ovbd_settings_load(). Keys that are not known are ignored, as the original does. */
int ovbd_overlaybd_json_load(const char *path, struct ovbd_overlaybd_json *ret,
                             struct ovbd_error *err);

/* What holds where there is no file. */
void ovbd_overlaybd_json_default(struct ovbd_overlaybd_json *ret);

#endif
