// SPDX-License-Identifier: Apache-2.0
/* What images in registries are called, and what their manifests say. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "image/manifest.h"
#include "image/registry.h"

#define D64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NOTE "containerd.io/snapshot/overlaybd/"

static void test_names(void **state)
{
	static const struct {
		const char *text, *host, *repository, *tag;
		bool digest;
	} cases[] = {
		{"docker://debian", "docker.io", "library/debian", "latest", false},
		{"docker://debian:12", "docker.io", "library/debian", "12", false},
		{"docker://team/app:1", "docker.io", "team/app", "1", false},
		{"docker://docker.io/debian", "docker.io", "library/debian", "latest", false},
		{"docker://index.docker.io/a/b", "docker.io", "a/b", "latest", false},
		{"docker://r.example/a", "r.example", "a", "latest", false},
		{"docker://r.example:5000/a/b-c/d__e.f:T_1.x", "r.example:5000", "a/b-c/d__e.f",
	         "T_1.x", false},
		{"docker://localhost/a", "localhost", "a", "latest", false},
		{"docker://localhost:5000/a@sha256:" D64, "localhost:5000", "a", "", true},
		{"docker://r.example/a:t@sha256:" D64, "r.example", "a", "t", true},
		{"docker://[::1]:5000/a", "[::1]:5000", "a", "latest", false},
		{"docker://[::1]/a", "[::1]", "a", "latest", false},
		{"docker://HOST/a", "HOST", "a", "latest", false},
	};
	static const char *const bad[] = {
		"docker://",
		"docker:///a",
		"docker://r.example/",
		"docker://r.example/A",
		"docker://r.example/a:",
		"docker://r.example/a:-t",
		"docker://r.example/a b",
		"docker://r.example/a//b",
		"docker://r.example/../a",
		"docker://r.example/a_",
		"docker://r.example/a@sha256:12",
		"docker://r.example/a@",
		"docker://u:p@r.example/a",
		"docker://r.example:x/a",
		"docker://r.example:/a",
		"docker://[::1/a",
		"docker://r.example/a?x",
		"docker://r.example/a#x",
		"docker://-r.example/a",
	};
	struct ovbd_registry_name n;
	struct ovbd_error err;

	(void)state;
	assert_false(ovbd_registry_is_name("https://debian"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(ovbd_registry_is_name(cases[i].text));
		assert_ok(ovbd_registry_name_parse(cases[i].text, &n, &err), err);
		assert_string_equal(n.host, cases[i].host);
		assert_string_equal(n.repository, cases[i].repository);
		assert_string_equal(n.tag, cases[i].tag);
		assert_string_equal(n.digest, cases[i].digest ? "sha256:" D64 : "");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ovbd_registry_name_parse(bad[i], &n, &err), -EINVAL, err,
		             "is no name of an image");
}

static void test_platforms(void **state)
{
	static const char *const bad[] = {"",        "linux", "linux/", "/arm64",
	                                  "a/b/c/d", "a/b/",  "a b/c"};
	struct ovbd_platform p;
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_platform_parse("linux/arm/v7", &p, &err), err);
	assert_string_equal(p.os, "linux");
	assert_string_equal(p.arch, "arm");
	assert_string_equal(p.variant, "v7");
	assert_ok(ovbd_platform_parse("linux/amd64", &p, &err), err);
	assert_string_equal(p.variant, "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ovbd_platform_parse(bad[i], &p, &err), -EINVAL, err,
		             "must be OS/ARCH");
}

static int parse(const char *text, struct ovbd_manifest *ret, struct ovbd_error *err)
{
	return ovbd_manifest_parse(text, strlen(text), "docker://r/a", ret, err);
}

/* The kind of a layer by its type and annotations. */
static void test_kinds(void **state)
{
	static const struct {
		const char *type, *notes;
		enum ovbd_layer_kind kind;
	} cases[] = {
		{"application/vnd.oci.image.layer.v1.tar",
	         "\"" NOTE "version\": \"0.1.0\", \"" NOTE "blob-digest\": \"x\"",
	         OVBD_LAYER_BLOCKS},
		{"application/vnd.docker.image.rootfs.diff.tar", "", OVBD_LAYER_BLOCKS},
		{"application/octet-stream", "\"" NOTE "blob-digest\": \"x\"", OVBD_LAYER_BLOCKS},
		{"application/vnd.oci.image.layer.v1.tar+gzip", "", OVBD_LAYER_FILES},
		{"application/vnd.oci.image.layer.v1.tar+zstd", "", OVBD_LAYER_FILES},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", "", OVBD_LAYER_FILES},
		{"application/vnd.oci.image.layer.v1.tar+gzip",
	         "\"" NOTE "blob-digest\": \"x\", \"" NOTE "version\": \"0.1.0-turbo.ociv1\"",
	         OVBD_LAYER_TURBO},
		{"application/vnd.oci.image.layer.v1.tar+gzip",
	         "\"" NOTE "fastoci/target-digest\": \"x\"", OVBD_LAYER_TURBO},
		{"application/vnd.oci.image.layer.v1.tar",
	         "\"" NOTE "acceleration-layer\": \"yes\"", OVBD_LAYER_TRACE},
		{"application/vnd.oci.image.layer.v1.tar+encrypted", "", OVBD_LAYER_OTHER},
		{"application/vnd.cncf.helm.chart.content.v1.tar+gzip", "", OVBD_LAYER_OTHER},
		{"", "", OVBD_LAYER_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_manifest m;
		struct ovbd_error err;
		char text[1024];

		snprintf(text, sizeof(text),
		         "{\"layers\": [{\"mediaType\": \"%s\", \"digest\": \"sha256:" D64
		         "\", \"size\": 7, \"annotations\": {%s}}]}",
		         cases[i].type, cases[i].notes);
		assert_ok(parse(text, &m, &err), err);
		assert_false(m.index);
		assert_int_equal(m.n, 1);
		assert_int_equal(m.all[0].size, 7);
		assert_int_equal(m.all[0].kind, cases[i].kind);
		ovbd_manifest_free(&m);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *sentence;
	} cases[] = {
		{"", -EBADMSG, "the manifest: line 1"},
		{"{}", -EBADMSG, "neither an array layers nor one of manifests"},
		{"[]", -EBADMSG, "neither an array layers nor one of manifests"},
		{"{\"layers\": [], \"manifests\": []}", -EBADMSG, "or it has both"},
		{"{\"layers\": {}}", -EBADMSG, "neither an array"},
		{"{\"layers\": [], \"layers\": []}", -EBADMSG, "duplicate"},
		{"{\"schemaVersion\": 1, \"fsLayers\": []}", -ENOTSUP, "version 1"},
		{"{\"layers\": [3]}", -EBADMSG, "layers[0]: must be an object"},
		{"{\"layers\": [{\"size\": 1}]}", -EBADMSG, "layers[0]: has no digest"},
		{"{\"layers\": [{\"size\": 1, \"digest\": \"sha256:../x\"}]}", -EBADMSG,
	         "layers[0]: has no digest"},
		{"{\"manifests\": [{\"digest\": \"sha256:" D64 "\"}]}", -EBADMSG,
	         "manifests[0]: has no size"},
		{"{\"layers\": [{\"size\": -1, \"digest\": \"sha256:" D64 "\"}]}", -EBADMSG,
	         "layers[0]: has no size, or a wrong one"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_manifest m;
		struct ovbd_error err;

		assert_fails(parse(cases[i].text, &m, &err), cases[i].code, err, cases[i].sentence);
	}
}

/* An index whose n-th manifest, for the n-th of them, has the size n. */
static void make_index(char *to, size_t size, const char *const *platforms)
{
	size_t n = (size_t)snprintf(to, size, "{\"manifests\": [");

	for (size_t i = 0; platforms[i]; i++) {
		struct ovbd_platform p = {0};

		ovbd_platform_parse(platforms[i], &p, NULL);
		n += (size_t)snprintf(to + n, size - n,
		                      "%s{\"digest\": \"sha256:" D64 "\", \"size\": %zu, "
		                      "\"platform\": {\"os\": \"%s\", \"architecture\": "
		                      "\"%s\", \"variant\": \"%s\"}}",
		                      i ? ", " : "", i + 1, p.os, p.arch, p.variant);
	}
	snprintf(to + n, size - n, "]}");
}

static void test_chosen(void **state)
{
	static const char *const platforms[] = {"linux/arm/v6",
	                                        "linux/arm/v7",
	                                        "linux/arm64/v8",
	                                        "windows/amd64",
	                                        "linux/amd64/v3",
	                                        "linux/amd64",
	                                        "unknown/unknown",
	                                        "",
	                                        NULL};
	static const struct {
		const char *platform;
		uint64_t size;
	} cases[] = {
		{"linux/amd64", 6},    {"linux/amd64/v3", 5}, {"linux/arm64", 3},
		{"linux/arm64/v8", 3}, {"linux/arm/v7", 2},   {"linux/arm", 1},
		{"windows/amd64", 4},
	};
	struct ovbd_manifest m;
	struct ovbd_error err;
	struct ovbd_platform p;
	const struct ovbd_descriptor *d;
	char text[4096];

	(void)state;
	make_index(text, sizeof(text), platforms);
	assert_ok(parse(text, &m, &err), err);
	assert_true(m.index);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_ok(ovbd_platform_parse(cases[i].platform, &p, &err), err);
		assert_ok(ovbd_manifest_choose(&m, &p, "docker://r/a", &d, &err), err);
		assert_int_equal(d->size, cases[i].size);
	}
	assert_ok(ovbd_platform_parse("linux/arm/v5", &p, &err), err);
	assert_fails(ovbd_manifest_choose(&m, &p, "docker://r/a", &d, &err), -ENOENT, err,
	             "has no image for linux/arm/v5: there are linux/arm/v6, linux/arm/v7, "
	             "linux/arm64/v8, windows/amd64, linux/amd64/v3, linux/amd64 (--platform)");
	ovbd_manifest_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),  cmocka_unit_test(test_platforms),
		cmocka_unit_test(test_kinds),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
