// SPDX-License-Identifier: Apache-2.0
#include "image/overlaybd_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "remote/cache.h"
#include "remote/prefetch.h"

/* What is read, before the older keys give way to the newer ones. */
struct keys {
	struct ovbd_overlaybd_json out;
	const char *old_log_path;
	uint64_t old_log_level;
	const char *credential_mode, *credential_path;
	const char *cache_type, *old_cache_type;
	const char *old_cache_dir;
	uint64_t old_cache_size_gb;
	bool p2p_enable;
	const char *p2p_address;
};

#define BOOL      OVBD_SETTING_BOOL
#define NUMBER    OVBD_SETTING_NUMBER
#define TEXT      OVBD_SETTING_TEXT
#define UNUSED    OVBD_SETTING_UNUSED
#define AT(field) offsetof(struct keys, field)

static const struct ovbd_setting table[] = {
	{"logConfig.logLevel", NUMBER, AT(out.log_level)},
	{"logConfig.logPath", TEXT, AT(out.log_path)},
	{"logConfig.logSizeMB", NUMBER, AT(out.log_size_mb), 1, 1u << 20},
	{"logConfig.logRotateNum", NUMBER, AT(out.log_rotate_num), 0, 1000},
	{"logLevel", NUMBER, AT(old_log_level)},
	{"logPath", TEXT, AT(old_log_path)},
	{"enableAudit", BOOL, AT(out.enable_audit)},
	{"auditPath", TEXT, AT(out.audit_path)},
	{"exporterConfig.enable", BOOL, AT(out.exporter_enable)},
	{"exporterConfig.uriPrefix", TEXT, AT(out.exporter_uri_prefix)},
	{"exporterConfig.port", NUMBER, AT(out.exporter_port), 1, 65535},
	{"exporterConfig.updateInterval", NUMBER, AT(out.exporter_interval_us)},
	{"userAgent", TEXT, AT(out.user_agent)},
	{"registryFsVersion", TEXT, UNUSED},
	{"ioEngine", NUMBER, UNUSED, 0, 2},
	{"enableThread", BOOL, UNUSED},
	{"cacheConfig.cacheType", TEXT, AT(cache_type)},
	{"cacheConfig.cacheDir", TEXT, AT(out.cache_dir)},
	{"cacheConfig.cacheSizeGB", NUMBER, AT(out.cache_size_gb), 0, 1u << 20},
	{"cacheConfig.refillSize", NUMBER, AT(out.cache_chunk_size)},
	{"cacheConfig.blockSize", NUMBER, UNUSED},
	{"cacheType", TEXT, AT(old_cache_type)},
	{"registryCacheDir", TEXT, AT(old_cache_dir)},
	{"registryCacheSizeGB", NUMBER, AT(old_cache_size_gb), 0, 1u << 20},
	{"gzipCacheConfig.enable", BOOL, UNUSED},
	{"gzipCacheConfig.cacheDir", TEXT, UNUSED},
	{"gzipCacheConfig.cacheSizeGB", NUMBER, UNUSED},
	{"gzipCacheConfig.refillSize", NUMBER, UNUSED},
	{"credentialConfig.mode", TEXT, AT(credential_mode)},
	{"credentialConfig.path", TEXT, AT(credential_path)},
	{"credentialConfig.timeout", NUMBER, AT(out.registry.service_timeout_s), 1, 3600},
	{"credentialConfig.client_cert_path", TEXT, AT(out.registry.p.service.cert_file)},
	{"credentialConfig.client_key_path", TEXT, AT(out.registry.p.service.key_file)},
	{"credentialConfig.server_ca_path", TEXT, AT(out.registry.p.service.ca_file)},
	{"credentialFilePath", TEXT, AT(out.registry.credentials)},
	{"download.enable", BOOL, AT(out.download.enable)},
	{"download.delay", NUMBER, AT(out.download.delay_s)},
	{"download.delayExtra", NUMBER, AT(out.download.delay_extra_s)},
	{"download.maxMBps", NUMBER, AT(out.download.max_mbps)},
	{"download.tryCnt", NUMBER, AT(out.download.tries)},
	{"download.blockSize", NUMBER, AT(out.download.block_size)},
	{"p2pConfig.enable", BOOL, AT(p2p_enable)},
	{"p2pConfig.address", TEXT, AT(p2p_address)},
	{"prefetchConfig.concurrency", NUMBER, AT(out.prefetch_concurrency), 1,
         OVBD_PREFETCH_CONCURRENCY_MAX},
	{"certConfig.certFile", TEXT, AT(out.registry.p.cert_file)},
	{"certConfig.keyFile", TEXT, AT(out.registry.p.key_file)},
	{"serviceConfig.enable", BOOL, AT(out.service_enable)},
	{"serviceConfig.address", TEXT, AT(out.service_address)},
};

static const struct ovbd_settings settings = {
	.table = table,
	.n = sizeof(table) / sizeof(table[0]),
};

/* The original's. */
void ovbd_overlaybd_json_default(struct ovbd_overlaybd_json *ret)
{
	*ret = (struct ovbd_overlaybd_json){
		.log_path = "/var/log/overlaybd.log",
		.log_level = 1,
		.log_size_mb = 10,
		.log_rotate_num = 3,
		.enable_audit = true,
		.audit_path = "/var/log/overlaybd-audit.log",
		.registry = {.credentials = "/opt/overlaybd/cred.json", .tls_verify = true},
		.exporter_uri_prefix = "/metrics",
		.exporter_port = 9863,
		.exporter_interval_us = 60000000,
		.service_address = "http://127.0.0.1:9862",
		.cache_dir = "/opt/overlaybd/registry_cache",
		.cache_size_gb = 4,
		.download = ovbd_download_defaults(),
	};
}

static void ignore(struct keys *k, const char *key, const char *value)
{
	const size_t at = strlen(k->out.ignored);

	snprintf(k->out.ignored + at, sizeof(k->out.ignored) - at, "%s%s %s", at ? ", " : "", key,
	         value);
}

static bool is_chunk_size(uint64_t n)
{
	return n >= OVBD_CACHE_CHUNK_MIN && n <= OVBD_CACHE_CHUNK_MAX && (n & (n - 1)) == 0;
}

/* The newer keys count if there is a directory. Of the types there is one here. */
static int settle_cache(struct keys *k, const char *path, struct ovbd_error *err)
{
	const bool newer = k->out.cache_dir[0] != '\0';
	const char *type = newer ? k->cache_type : k->old_cache_type;
	char chunk[24];

	if (!newer) {
		k->out.cache_dir = k->old_cache_dir;
		k->out.cache_size_gb = k->old_cache_size_gb;
	}
	if (k->out.cache_size_gb == 0)
		k->out.cache_dir = "";
	if (k->out.cache_chunk_size && !is_chunk_size(k->out.cache_chunk_size)) {
		snprintf(chunk, sizeof(chunk), "%llu", (unsigned long long)k->out.cache_chunk_size);
		ignore(k, "cacheConfig.refillSize", chunk);
		k->out.cache_chunk_size = 0;
	}
	if (strcmp(type, "ocf") == 0 || strcmp(type, "download") == 0)
		ignore(k, newer ? "cacheConfig.cacheType" : "cacheType", type);
	else if (strcmp(type, "file") != 0)
		return ovbd_fail(err, -EINVAL,
		                 "%s: \"%s\" must be file, ocf or download, not \"%.40s\"", path,
		                 newer ? "cacheConfig.cacheType" : "cacheType", type);
	return 0;
}

/* The newer keys count if there is a mode. */
static int settle_credentials(struct keys *k, const char *path, struct ovbd_error *err)
{
	struct ovbd_registry_settings *r = &k->out.registry;
	struct ovbd_credentials_service *service = &r->p.service;
	const char *mode = k->credential_mode, *at = k->credential_path;
	const bool file = strcmp(mode, "file") == 0, uds = strcmp(mode, "uds") == 0;

	if (mode[0] == '\0')
		return 0;
	if (!file && !uds && strcmp(mode, "http") != 0 && strcmp(mode, "https") != 0)
		return ovbd_fail(err, -EINVAL,
		                 "%s: \"credentialConfig.mode\" must be file, http, https or uds, "
		                 "not \"%.40s\"",
		                 path, mode);
	if (at[0] == '\0')
		return ovbd_fail(err, -EINVAL, "%s: \"credentialConfig.path\" is missing", path);
	if (!file && !uds && !ovbd_http_is_url(at))
		return ovbd_fail(err, -EINVAL,
		                 "%s: \"credentialConfig.path\" must be a URL with the mode %s",
		                 path, mode);
	r->credentials = file ? at : NULL;
	service->unix_socket = uds ? at : NULL;
	if (!file)
		service->url = uds ? OVBD_CREDENTIALS_SERVICE_LOCAL : at;
	return 0;
}

/* An empty string is as if the key were not there. */
static void settle_empty(const char **s)
{
	if (*s && !**s)
		*s = NULL;
}

static int settle_registry(struct keys *k, const char *path, struct ovbd_error *err)
{
	struct ovbd_registry_params *p = &k->out.registry.p;

	settle_empty(&p->service.cert_file);
	settle_empty(&p->service.key_file);
	settle_empty(&p->service.ca_file);
	settle_empty(&p->cert_file);
	settle_empty(&p->key_file);
	if (k->p2p_enable && k->p2p_address[0] == '\0')
		return ovbd_fail(err, -EINVAL, "%s: \"p2pConfig.address\" is missing", path);
	if (k->p2p_enable)
		p->prefix = k->p2p_address;
	return settle_credentials(k, path, err);
}

int ovbd_overlaybd_json_load(const char *path, struct ovbd_overlaybd_json *ret,
                             struct ovbd_error *err)
{
	struct keys k;
	int r;

	ovbd_overlaybd_json_default(&k.out);
	k.old_log_path = k.out.log_path;
	k.old_log_level = k.out.log_level;
	k.out.log_path = "";
	k.credential_mode = "";
	k.credential_path = "";
	k.cache_type = k.old_cache_type = "file";
	k.old_cache_dir = k.out.cache_dir;
	k.old_cache_size_gb = k.out.cache_size_gb;
	k.out.cache_dir = "";
	k.p2p_enable = false;
	k.p2p_address = "";
	r = ovbd_settings_load(path, &settings, &k, k.out.ignored, &k.out.file, err);
	if (r < 0)
		return r;
	if (k.out.log_path[0] ==
	    '\0') { /* then all of logConfig gives way, as the original has it */
		ovbd_overlaybd_json_default(ret);
		k.out.log_path = k.old_log_path;
		k.out.log_level = k.old_log_level;
		k.out.log_size_mb = ret->log_size_mb;
		k.out.log_rotate_num = ret->log_rotate_num;
	}
	r = settle_registry(&k, path, err);
	if (r == 0)
		r = settle_cache(&k, path, err);
	if (r == 0 && k.out.exporter_uri_prefix[0] != '/')
		r = ovbd_fail(err, -EINVAL, "%s: \"exporterConfig.uriPrefix\" must begin with /",
		              path);
	if (r < 0) {
		json_decref(k.out.file);
		return r;
	}
	*ret = k.out;
	return 0;
}
