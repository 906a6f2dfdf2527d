// SPDX-License-Identifier: Apache-2.0
/* Names of images in layouts; blobs, which appear whole; index.json; documents. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "oci/impl.h"

#define D64   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ABC   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_names(void **state)
{
	static const struct {
		const char *text, *dir, *tag, *digest;
	} cases[] = {
		{"oci:dir", "dir", NULL, NULL},
		{"oci:/a/b c:tag", "/a/b c", "tag", NULL},
		{"oci:dir:docker.io/library/x:1", "dir", "docker.io/library/x:1", NULL},
		{"oci:dir@sha256:" D64, "dir", NULL, "sha256:" D64},
		{"oci:a@b:t", "a@b", "t", NULL},
	};
	static const char *const bad[] = {
		"oci:", "oci::t", "oci:d:", "oci:d@sha256:12", "oci:d:t@sha256:" D64, "dir:d"};
	struct ovbd_oci_name n;
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_ok(ovbd_oci_name_parse(cases[i].text, &n, &err), err);
		assert_string_equal(n.dir, cases[i].dir);
		assert_string_equal(n.tag ? n.tag : "-", cases[i].tag ? cases[i].tag : "-");
		assert_string_equal(n.digest ? n.digest : "-",
		                    cases[i].digest ? cases[i].digest : "-");
		ovbd_oci_name_free(&n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ovbd_oci_name_parse(bad[i], &n, &err), -EINVAL, err, bad[i]);
}

/* ---- a layout in a directory of its own ---- */

struct layout {
	char top[64], dir[80];
	struct oci_layout *l;
};

static int set_up(void **state)
{
	static struct layout t;
	struct ovbd_error err;

	strcpy(t.top, "/tmp/ovbd-oci-XXXXXX");
	assert_non_null(mkdtemp(t.top));
	snprintf(t.dir, sizeof(t.dir), "%s/l", t.top);
	assert_ok(oci_layout_create(t.dir, &t.l, &err), err);
	*state = &t;
	return 0;
}

static int tear_down(void **state)
{
	struct layout *t = *state;
	char command[128];

	oci_layout_close(t->l);
	snprintf(command, sizeof(command), "rm -r %s", t->top);
	return system(command);
}

static size_t nblobs(const struct layout *t)
{
	char path[128];
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/blobs/sha256", t->dir);
	d = opendir(path);
	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void test_blobs(void **state)
{
	struct layout *t = *state;
	struct oci_ref ref = {.type = "kept"}, other;
	struct ovbd_error err;
	struct ovbd_sink *s;

	assert_ok(oci_blob_put(t->l, "abc", 3, &ref, &err), err);
	assert_string_equal(ref.digest, ABC);
	assert_int_equal(ref.size, 3);
	assert_string_equal(ref.type, "kept");
	assert_ok(oci_blob_put(t->l, "abc", 3, &ref, &err), err);
	assert_int_equal(nblobs(t), 1);
	assert_true(oci_blob_is_there(t->l, &ref));
	assert_ok(oci_blob_verify(t->l, &ref, NULL, NULL, &err), err);

	/* what is written first may be written anew */
	assert_ok(oci_blob_create(t->l, &s, &err), err);
	assert_ok(ovbd_sink_append(s, "xyzabc", 6, &err), err);
	assert_ok(ovbd_sink_patch(s, "abc", 3, 0, &err), err);
	assert_int_equal(nblobs(t), 1);
	assert_ok(ovbd_sink_finish(s, &err), err);
	oci_blob_ref(s, &other);
	ovbd_sink_close(s);
	assert_int_equal(other.size, 6);
	assert_ok(oci_blob_verify(t->l, &other, NULL, NULL, &err), err);
	assert_int_equal(nblobs(t), 2);

	/* what is not finished is not there */
	assert_ok(oci_blob_create(t->l, &s, &err), err);
	assert_ok(ovbd_sink_append(s, "gone", 4, &err), err);
	ovbd_sink_close(s);
	assert_int_equal(nblobs(t), 2);

	strcpy(other.digest, ABC);
	assert_fails(oci_blob_verify(t->l, &other, NULL, NULL, &err), -EBADMSG, err,
	             "has 3 bytes, not 6");
	strcpy(other.digest, EMPTY);
	assert_fails(oci_blob_verify(t->l, &other, NULL, NULL, &err), -ENOENT, err, "e3b0c442");
	strcpy(other.digest, "md5:00");
	assert_fails(oci_blob_verify(t->l, &other, NULL, NULL, &err), -ENOTSUP, err, "md5");
}

static void put_entry(struct layout *t, const char *digest, const char *tag)
{
	json_t *entry = json_pack("{s:s, s:s, s:i}", "mediaType", "m", "digest", digest, "size", 1);
	struct ovbd_error err;

	assert_ok(oci_index_put(t->l, entry, tag, &err), err);
	json_decref(entry);
}

static void find_entry(struct layout *t, const char *tag, const char *digest)
{
	char text[128];
	struct ovbd_oci_name n;
	struct ovbd_error err;
	struct oci_ref ref;
	json_t *entry;

	snprintf(text, sizeof(text), "oci:%s:%s", t->dir, tag);
	assert_ok(ovbd_oci_name_parse(text, &n, &err), err);
	assert_ok(oci_index_find(t->l, &n, &ref, &entry, &err), err);
	assert_string_equal(ref.digest, digest);
	json_decref(entry);
	ovbd_oci_name_free(&n);
}

static size_t nentries(const struct layout *t)
{
	struct ovbd_error err;
	json_t *index;
	size_t n;

	assert_ok(oci_index_read(t->l, &index, &err), err);
	n = json_array_size(json_object_get(index, "manifests"));
	json_decref(index);
	return n;
}

/* As others leave it: with fields of their own, and a name twice. */
static void write_index(const struct layout *t)
{
	static const char text[] =
		"{\"x\":{\"b\":1,\"a\":2},\"manifests\":["
		"{\"digest\":\"" ABC "\",\"size\":1,\"annotations\":{\"" OCI_REF_NAME "\":\"t\"}},"
		"{\"digest\":\"" ABC "\",\"size\":2,\"annotations\":{\"" OCI_REF_NAME "\":\"u\"}},"
		"{\"digest\":\"" EMPTY "\",\"size\":3,\"annotations\":{\"" OCI_REF_NAME
		"\":\"t\"}}]}";
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/index.json", t->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, sizeof(text) - 1, f), sizeof(text) - 1);
	assert_int_equal(fclose(f), 0);
}

static void test_index(void **state)
{
	struct layout *t = *state;
	struct ovbd_oci_name n = {.text = "it", .tag = "t"};
	struct ovbd_error err;
	struct oci_ref ref;
	json_t *index;

	put_entry(t, ABC, "t");
	put_entry(t, ABC, "u");
	put_entry(t, EMPTY, "t");
	find_entry(t, "t", EMPTY);
	find_entry(t, "u", ABC);
	assert_int_equal(nentries(t), 2);
	put_entry(t, ABC, NULL);
	put_entry(t, ABC, NULL);
	assert_int_equal(nentries(t), 3);
	write_index(t);
	assert_fails(oci_index_find(t->l, &n, &ref, &index, &err), -EINVAL, err, "2 images");
	put_entry(t, EMPTY, "t");
	find_entry(t, "t", EMPTY);
	assert_int_equal(nentries(t), 2);
	assert_ok(oci_index_read(t->l, &index, &err), err);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(index, "x"), "a")), 2);
	json_decref(index);
}

static void test_documents(void **state)
{
	static const char text[] =
		" { \"z\" : 1, \"a\": [ 1.5, null, \"<&>\\u00e9/\" ],"
		" \"digest\": \"d\", \"data\": \"old\", \"big\": 9007199254740993 }";
	static const char want[] = "{\"z\":1,\"a\":[1.5,null,\"<&>\xc3\xa9/\"],\"digest\":\"" ABC
				   "\",\"big\":9007199254740993,\"mediaType\":\"m\",\"size\":3}";
	const struct oci_ref ref = {.digest = ABC, .size = 3, .type = "m"};
	struct ovbd_error err;
	struct oci_ref parsed;
	json_t *v;
	char *out;

	(void)state;
	assert_ok(oci_json_parse(text, sizeof(text) - 1, "it", &v, &err), err);
	assert_fails(oci_ref_parse(v, "it", &parsed, &err), -EBADMSG, err, "it: has no digest");
	assert_ok(oci_ref_set(v, &ref, &err), err);
	assert_ok(oci_json_text(v, &out, &err), err);
	assert_string_equal(out, want);
	assert_ok(oci_ref_parse(v, "it", &parsed, &err), err);
	assert_memory_equal(&parsed, &ref, sizeof(ref));
	free(out);
	json_decref(v);
	assert_fails(oci_json_parse("{\"a\":1,\"a\":2}", 13, "it", &v, &err), -EBADMSG, err,
	             "duplicate");
	assert_fails(oci_json_parse("7", 1, "it", &v, &err), -EBADMSG, err, "it: is no");
	assert_fails(oci_json_parse("", 0, "it", &v, &err), -EBADMSG, err, "it: is no JSON");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_blobs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_index, set_up, tear_down),
		cmocka_unit_test(test_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
