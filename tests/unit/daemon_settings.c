// SPDX-License-Identifier: Apache-2.0
/* overlaybd.json: every key is known, of the right type, and what has an effect has it. */
#include "tests/unit/text_file.h"

#include <errno.h>

#include "base/auto.h"
#include "image/overlaybd_json.h"

static int load(const char *text, struct ovbd_overlaybd_json *ret, struct ovbd_error *err)
{
	write_file(text);
	return ovbd_overlaybd_json_load(path, ret, err);
}

/* As the original ships it, and all keys that there are besides. */
static void test_every_key(void **state)
{
	static const char text[] =
		"{\"logConfig\": {\"logLevel\": 2, \"logPath\": \"/l\", \"logSizeMB\": 20, "
		"\"logRotateNum\": 5}, \"logLevel\": 0, \"logPath\": \"/old\", "
		"\"cacheConfig\": {\"cacheType\": \"file\", \"cacheDir\": \"/c\", "
		"\"cacheSizeGB\": 4, \"refillSize\": 262144, \"blockSize\": 65536}, "
		"\"cacheType\": \"file\", \"registryCacheDir\": \"/c\", \"registryCacheSizeGB\": "
		"4, "
		"\"gzipCacheConfig\": {\"enable\": true, \"cacheDir\": \"/g\", \"cacheSizeGB\": 4, "
		"\"refillSize\": 1048576}, "
		"\"credentialConfig\": {\"mode\": \"file\", \"path\": \"/cred.json\", \"timeout\": "
		"1, "
		"\"client_cert_path\": \"\", \"client_key_path\": \"\", \"server_ca_path\": \"\"}, "
		"\"credentialFilePath\": \"/cred.json\", \"ioEngine\": 0, \"enableThread\": false, "
		"\"download\": {\"enable\": true, \"delay\": 600, \"delayExtra\": 30, "
		"\"maxMBps\": 100, \"tryCnt\": 5, \"blockSize\": 262144}, "
		"\"p2pConfig\": {\"enable\": false, \"address\": \"localhost:19145/dadip2p\"}, "
		"\"exporterConfig\": {\"enable\": true, \"uriPrefix\": \"/m\", \"port\": 9000, "
		"\"updateInterval\": 5000000}, \"enableAudit\": false, \"auditPath\": \"/a\", "
		"\"registryFsVersion\": \"v2\", \"prefetchConfig\": {\"concurrency\": 16}, "
		"\"certConfig\": {\"certFile\": \"\", \"keyFile\": \"\"}, \"userAgent\": \"u/1\", "
		"\"serviceConfig\": {\"enable\": true, \"address\": \"http://127.0.0.1:9862\"}}";
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;

	(void)state;
	assert_ok(load(text, &j, &err), err);
	assert_string_equal(j.log_path, "/l");
	assert_int_equal(j.log_level, 2);
	assert_int_equal(j.log_size_mb, 20);
	assert_int_equal(j.log_rotate_num, 5);
	assert_false(j.enable_audit);
	assert_string_equal(j.audit_path, "/a");
	assert_true(j.exporter_enable);
	assert_string_equal(j.exporter_uri_prefix, "/m");
	assert_int_equal(j.exporter_port, 9000);
	assert_int_equal(j.exporter_interval_us, 5000000);
	assert_string_equal(j.user_agent, "u/1");
	assert_string_equal(j.cache_dir, "/c");
	assert_int_equal(j.cache_size_gb, 4);
	assert_int_equal(j.cache_chunk_size, 262144);
	assert_non_null(strstr(j.ignored, "cacheConfig.blockSize, "));
	assert_null(strstr(j.ignored, "cacheConfig.cache"));
	assert_string_equal(j.registry.credentials, "/cred.json");
	assert_true(j.service_enable);
	assert_string_equal(j.service_address, "http://127.0.0.1:9862");
	assert_null(strstr(j.ignored, "serviceConfig"));
	assert_null(strstr(j.ignored, "log"));
	assert_null(strstr(j.ignored, "exporter"));
	json_decref(j.file);
}

static void test_defaults(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"logConfig\": {\"logLevel\": 3, \"logSizeMB\": 1}, \"exporterConfig\": null}",
		"{\"logPath\": null, \"logConfig\": {\"logPath\": \"\"}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ovbd_overlaybd_json j;
		struct ovbd_error err;

		assert_ok(load(texts[i], &j, &err), err);
		assert_string_equal(j.log_path, "/var/log/overlaybd.log");
		assert_int_equal(j.log_level, 1);
		assert_int_equal(j.log_size_mb, 10);
		assert_int_equal(j.log_rotate_num, 3);
		assert_true(j.enable_audit);
		assert_string_equal(j.audit_path, "/var/log/overlaybd-audit.log");
		assert_false(j.exporter_enable);
		assert_int_equal(j.exporter_port, 9863);
		assert_null(j.user_agent);
		assert_string_equal(j.cache_dir, "/opt/overlaybd/registry_cache");
		assert_int_equal(j.cache_size_gb, 4);
		assert_int_equal(j.cache_chunk_size, 0);
		assert_string_equal(j.registry.credentials, "/opt/overlaybd/cred.json");
		assert_null(j.registry.p.service.url);
		assert_null(j.registry.p.prefix);
		assert_null(j.registry.p.cert_file);
		assert_string_equal(j.ignored, "");
		json_decref(j.file);
	}
}

static void test_older_keys(void **state)
{
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;

	(void)state;
	assert_ok(load("{\"logLevel\": 3, \"logPath\": \"\", \"tracing\": {\"a\": 1}}", &j, &err),
	          err);
	assert_string_equal(j.log_path, "");
	assert_int_equal(j.log_level, 3);
	assert_string_equal(j.ignored, "tracing");
	json_decref(j.file);
}

static void test_cache(void **state)
{
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;

	(void)state;
	assert_ok(load("{\"registryCacheDir\": \"/old\", \"registryCacheSizeGB\": 7, "
	               "\"cacheConfig\": {\"cacheSizeGB\": 1, \"refillSize\": 65536}}",
	               &j, &err),
	          err);
	assert_string_equal(j.cache_dir, "/old");
	assert_int_equal(j.cache_size_gb, 7);
	assert_int_equal(j.cache_chunk_size, 65536);
	json_decref(j.file);
	assert_ok(load("{\"registryCacheDir\": \"/old\", \"cacheConfig\": {\"cacheDir\": \"/n\", "
	               "\"cacheType\": \"ocf\", \"refillSize\": 100000}}",
	               &j, &err),
	          err);
	assert_string_equal(j.cache_dir, "/n");
	assert_int_equal(j.cache_chunk_size, 0);
	assert_string_equal(j.ignored, "cacheConfig.refillSize 100000, cacheConfig.cacheType ocf");
	json_decref(j.file);
	assert_ok(load("{\"registryCacheSizeGB\": 0}", &j, &err), err);
	assert_string_equal(j.cache_dir, "");
	json_decref(j.file);
}

static void test_credentials(void **state)
{
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;

	(void)state;
	assert_ok(
		load("{\"credentialFilePath\": \"/old\", \"credentialConfig\": {\"path\": \"/x\"}}",
	             &j, &err),
		err);
	assert_string_equal(j.registry.credentials, "/old");
	json_decref(j.file);
	assert_ok(load("{\"credentialFilePath\": \"/old\", \"credentialConfig\": {\"mode\": "
	               "\"uds\", \"path\": \"/s\", \"timeout\": 3}}",
	               &j, &err),
	          err);
	assert_null(j.registry.credentials);
	assert_string_equal(j.registry.p.service.unix_socket, "/s");
	assert_string_equal(j.registry.p.service.url, "http://localhost/auth");
	assert_int_equal(j.registry.service_timeout_s, 3);
	assert_string_equal(j.ignored, "");
	json_decref(j.file);
	assert_ok(load("{\"credentialConfig\": {\"mode\": \"https\", \"path\": \"https://a/b\", "
	               "\"client_cert_path\": \"/c\", \"client_key_path\": \"\", "
	               "\"server_ca_path\": \"/ca\"}}",
	               &j, &err),
	          err);
	assert_null(j.registry.credentials);
	assert_string_equal(j.registry.p.service.url, "https://a/b");
	assert_null(j.registry.p.service.unix_socket);
	assert_string_equal(j.registry.p.service.cert_file, "/c");
	assert_null(j.registry.p.service.key_file);
	assert_string_equal(j.registry.p.service.ca_file, "/ca");
	json_decref(j.file);
}

static void test_network(void **state)
{
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;

	(void)state;
	assert_ok(load("{\"p2pConfig\": {\"enable\": true, \"address\": \"http://localhost:1/d\"}, "
	               "\"certConfig\": {\"certFile\": \"/c\", \"keyFile\": \"/k\"}}",
	               &j, &err),
	          err);
	assert_string_equal(j.registry.p.prefix, "http://localhost:1/d");
	assert_string_equal(j.registry.p.cert_file, "/c");
	assert_string_equal(j.registry.p.key_file, "/k");
	assert_string_equal(j.ignored, "");
	json_decref(j.file);
	assert_ok(load("{\"p2pConfig\": {\"enable\": false, \"address\": \"x\"}}", &j, &err), err);
	assert_null(j.registry.p.prefix);
	json_decref(j.file);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"", ": line 1 column 0: "},
		{"{\n \"logLevel\": 1,\n}", ": line 3 column 1: "},
		{"[]", "not a JSON object"},
		{"{\"logConfig\": 3}", "\"logConfig\" must be an object"},
		{"{\"logConfig\": {\"logLevel\": \"1\"}}",
	         "\"logConfig.logLevel\" must be a whole number"},
		{"{\"logConfig\": {\"logSizeMB\": 0}}",
	         "\"logConfig.logSizeMB\" must be a number from 1 to 1048576"},
		{"{\"logPath\": 1}", "\"logPath\" must be a string"},
		{"{\"enableAudit\": \"yes\"}", "\"enableAudit\" must be true or false"},
		{"{\"exporterConfig\": {\"port\": 65536}}",
	         "\"exporterConfig.port\" must be a number from 1 to 65535"},
		{"{\"exporterConfig\": {\"port\": -1}}", "\"exporterConfig.port\" must be"},
		{"{\"exporterConfig\": {\"uriPrefix\": \"metrics\"}}", "must begin with /"},
		{"{\"credentialConfig\": {\"mode\": \"file\"}}",
	         "\"credentialConfig.path\" is missing"},
		{"{\"credentialConfig\": {\"mode\": \"ftp\"}}", "must be file, http, https or uds"},
		{"{\"ioEngine\": 3}", "\"ioEngine\" must be a number from 0 to 2"},
		{"{\"download\": {\"delay\": 1.5}}", "\"download.delay\" must be a whole number"},
		{"{\"credentialConfig\": {\"mode\": \"http\", \"path\": \"/x\"}}",
	         "\"credentialConfig.path\" must be a URL with the mode http"},
		{"{\"p2pConfig\": {\"enable\": true}}", "\"p2pConfig.address\" is missing"},
		{"{\"p2pConfig\": []}", "\"p2pConfig\" must be an object"},
		{"{\"cacheConfig\": {\"cacheType\": true}}",
	         "\"cacheConfig.cacheType\" must be a string"},
		{"{\"cacheType\": \"ram\"}", "\"cacheType\" must be file, ocf or download"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_overlaybd_json j;
		struct ovbd_error err;

		assert_fails(load(cases[i].text, &j, &err), -EINVAL, err, cases[i].sentence);
		assert_memory_equal(err.msg, path, strlen(path));
	}
}

static void test_no_file(void **state)
{
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_overlaybd_json_load("/nonexistent/overlaybd.json", &j, &err), -ENOENT,
	             err, "/nonexistent/overlaybd.json: No such file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_key),   cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_older_keys),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_file),     cmocka_unit_test(test_cache),
		cmocka_unit_test(test_credentials), cmocka_unit_test(test_network),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
