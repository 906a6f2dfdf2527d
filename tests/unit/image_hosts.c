// SPDX-License-Identifier: Apache-2.0
/* hosts.toml: what it may say, and where it is looked for. */
#include "tests/unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "image/hosts.h"
#include "image/toml.h"

static char dir[] = "/tmp/ovbd-hosts-XXXXXX";

static void test_toml(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{"", "{}"},
		{"# nothing\n\n", "{}"},
		{"a = 1", "{\"a\":1}"},
		{"a = -7 # seven\r\nb = true\n", "{\"a\":-7,\"b\":true}"},
		{"a='x\\y'\nb = \"\\t\\\"\\u00e4\\U0001F600\"",
	         "{\"a\":\"x\\\\y\",\"b\":\"\\t\\\"\xc3\xa4\xf0\x9f\x98\x80\"}"},
		{"z.\"y y\" . x = ''\nz.w = 2", "{\"z\":{\"y y\":{\"x\":\"\"},\"w\":2}}"},
		{"a = [ 1, # one\n 'b',\n [true], ]", "{\"a\":[1,\"b\",[true]]}"},
		{"a = { b = 1, c.d = [] }", "{\"a\":{\"b\":1,\"c\":{\"d\":[]}}}"},
		{"[t]\na=1\n [ u . v ]\nb=2\n[t.w]",
	         "{\"t\":{\"a\":1,\"w\":{}},\"u\":{\"v\":{\"b\":2}}}"},
		{"[z]\n[a]", "{\"z\":{},\"a\":{}}"}, /* the file's order */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *json = NULL;
		struct ovbd_error err;
		json_t *root;

		assert_ok(ovbd_toml_parse(cases[i].text, strlen(cases[i].text), "f", &root, &err),
		          err);
		json = json_dumps(root, JSON_COMPACT);
		assert_string_equal(json, cases[i].json);
		json_decref(root);
	}
}

static void test_toml_refused(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"\n\na", "f: line 3: a key without ="},
		{"= 1", "line 1: a key is missing"},
		{"a = ", "line 1: a value is missing"},
		{"a = x", "neither a string, a whole number, true nor false"},
		{"a = 1.5", "neither a string"},
		{"a = 2026-11-30", "neither a string"},
		{"a = 1234567890123456789", "neither a string"},
		{"a = 1 b = 2", "something follows where the line should end"},
		{"a = 1\na = 2", "line 2: a key is there twice"},
		{"[a]\n[a]", "line 2: a table is there twice"},
		{"a = 1\n[a]", "line 2: a key that has a value already cannot be a table"},
		{"a = 1\na.b = 1", "cannot be a table"},
		{"[[a]]", "arrays of tables are not understood"},
		{"[a\n]", "a table's name does not end in ]"},
		{"a = \"\"\"x\"\"\"", "strings of several lines are not understood"},
		{"a = 'x", "a string does not end on its line"},
		{"a = \"\\q\"", "an escape that TOML does not have"},
		{"a = \"\\u00g0\"", "four hexadecimal digits"},
		{"a = \"\\ud800\"", "there is no such character"},
		{"a = \"\\u0000\"", "there is no such character"},
		{"a = \"\x01\"", "a control character in a string"},
		{"a = '\xff'", "a string is no UTF-8"},
		{"'\xff' = 1", "a key is no UTF-8"},
		{"a = [1 2]", "an array has neither a comma nor its end here"},
		{"a = [1,", "a value is missing"},
		{"a = {b = 1", "an inline table has neither a comma nor its end here"},
		{"a = {b = 1,\n c = 2}", "a key is missing"},
		{"a = [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "too deep in each other"},
		{"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1", "a key of too many parts"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_error err;
		json_t *root;

		assert_fails(ovbd_toml_parse(cases[i].text, strlen(cases[i].text), "f", &root,
		                             &err),
		             -EBADMSG, err, cases[i].sentence);
	}
	for (size_t i = 0; i < 2; i++) { /* a NUL is no end */
		struct ovbd_error err;
		json_t *root;

		assert_fails(ovbd_toml_parse(i ? "a = '\0'" : "\0", i ? 8 : 1, "f", &root, &err),
		             -EBADMSG, err, "line 1");
	}
}

static int parse(const char *text, struct ovbd_hosts *ret, struct ovbd_error *err)
{
	return ovbd_hosts_parse(text, strlen(text), "f", "/d", ret, err);
}

/* As containerd's documentation has it. */
static void test_hosts(void **state)
{
	static const char text[] = "server = \"https://registry-1.docker.io\"\n"
				   "ca = '/etc/own.pem'\n"
				   "[host.\"https://mirror.registry\"]\n"
				   "  capabilities = [\"pull\"]\n"
				   "  ca = \"/etc/certs/mirror.pem\"\n"
				   "  skip_verify = false\n"
				   "  dial_timeout = \"1s\"\n"
				   "  [host.\"https://mirror.registry\".header]\n"
				   "    x-custom-2 = [\"value1\", \"value2\"]\n"
				   "    x-one = \"1\"\n"
				   "[host.\"http://mirror-bak.registry/us/\"]\n"
				   "  capabilities = [\"pull\", \"push\", \"resolve\"]\n"
				   "  skip_verify = true\n"
				   "[host.\"http://mirror.registry:5000/x/v2\"]\n"
				   "  client = [[\"client.cert\", \"/abs/client.key\"]]\n"
				   "[host.\"test-default.registry/p\"]\n"
				   "  override_path = true\n"
				   "  capabilities = [\"resolve\"]\n"
				   "  client = \"both.pem\"\n"
				   "  ca = [\"a.pem\", \"/b.pem\"]\n";
	struct ovbd_hosts h;
	struct ovbd_error err;

	(void)state;
	assert_ok(parse(text, &h, &err), err);
	assert_string_equal(h.server.base, "https://registry-1.docker.io/v2");
	assert_string_equal(h.server.ca[0], "/etc/own.pem");
	assert_int_equal(h.nhosts, 4);
	assert_string_equal(h.hosts[0].base, "https://mirror.registry/v2");
	assert_true(h.hosts[0].pull);
	assert_false(h.hosts[0].resolve);
	assert_string_equal(h.hosts[0].ca[0], "/etc/certs/mirror.pem");
	assert_null(h.hosts[0].ca[1]);
	assert_string_equal(h.hosts[0].headers[0], "x-custom-2: value1");
	assert_string_equal(h.hosts[0].headers[1], "x-custom-2: value2");
	assert_string_equal(h.hosts[0].headers[2], "x-one: 1");
	assert_null(h.hosts[0].headers[3]);
	assert_string_equal(h.hosts[1].base, "http://mirror-bak.registry/us/v2");
	assert_true(h.hosts[1].pull && h.hosts[1].resolve && h.hosts[1].skip_verify);
	assert_string_equal(h.hosts[2].base, "http://mirror.registry:5000/x/v2");
	assert_true(h.hosts[2].pull && h.hosts[2].resolve);
	assert_string_equal(h.hosts[2].cert, "/d/client.cert");
	assert_string_equal(h.hosts[2].key, "/abs/client.key");
	assert_string_equal(h.hosts[3].base, "https://test-default.registry/p");
	assert_true(h.hosts[3].resolve && !h.hosts[3].pull);
	assert_string_equal(h.hosts[3].cert, "/d/both.pem");
	assert_null(h.hosts[3].key);
	assert_string_equal(h.hosts[3].ca[0], "/d/a.pem");
	assert_string_equal(h.hosts[3].ca[1], "/b.pem");
	ovbd_hosts_free(&h);
	assert_ok(parse("", &h, &err), err);
	assert_null(h.server.base);
	assert_true(h.server.pull && h.server.resolve);
	ovbd_hosts_free(&h);
}

static void test_hosts_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *sentence;
	} cases[] = {
		{"server = 1", -EBADMSG, "f: server: must be a URL"},
		{"server = 'ftp://x'", -EBADMSG, "f: server: must be a URL, http or https"},
		{"server = 'https://u:p@x'", -EBADMSG, "server: must be a URL"},
		{"server = 'https://'", -EBADMSG, "server: must be a URL"},
		{"server = 'https://x/?q'", -EBADMSG, "server: must be a URL"},
		{"server = 'https://x\\u000a'", -EBADMSG, "server: must be a URL"},
		{"host = 1", -EBADMSG, "host: must be a table of URLs"},
		{"host.'https://x' = 1", -EBADMSG, "host.\"https://x\".URL: must be a table"},
		{"[host.'x y']", -EBADMSG, "must be a URL"},
		{"[host.'x\xc3\xa4']", -EBADMSG, "must be a URL of printable ASCII"},
		{"[host.x]\ncapabilities = 'pull'", -EBADMSG, "host.\"x\".capabilities: must be"},
		{"[host.x]\ncapabilities = ['fly']", -EBADMSG, "host.\"x\".capabilities: must be"},
		{"[host.x]\nskip_verify = 1", -EBADMSG, "skip_verify: must be true or false"},
		{"[host.x]\nca = 1", -EBADMSG, "ca: must be the name of a file"},
		{"[host.x]\nca = [1]", -EBADMSG, "ca: must be the name of a file"},
		{"[host.x]\nclient = [1]", -EBADMSG, "client: must be a file with"},
		{"[host.x]\nclient = [['a','b','c']]", -EBADMSG, "client: must be a file with"},
		{"[host.x]\nclient = ['a','b']", -ENOTSUP, "several certificates for one host"},
		{"[host.x.header]\na = 1", -EBADMSG, "header: must be a table"},
		{"[host.x.header]\na = \"b\\r\\nc: d\"", -EBADMSG, "header: must be a table"},
		{"[host.x.header]\n'a b' = 'c'", -EBADMSG, "header: must be a table"},
		{"[host.x]\nheader = 1", -EBADMSG, "header: must be a table"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_hosts h;
		struct ovbd_error err;

		assert_fails(parse(cases[i].text, &h, &err), cases[i].code, err, cases[i].sentence);
		ovbd_hosts_free(&h);
	}
}

static void write_text(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void make_dir(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void test_places(void **state)
{
	static const struct {
		const char *host, *base; /* of the first mirror */
	} cases[] = {
		{"r.example", "http://one/v2"},
		{"r.example:5000", "http://two/v2"},
		{"s.example:5000", "http://three/v2"},
		{"elsewhere", "http://four/v2"},
		{"../r.example", NULL},
		{"_default", NULL},
	};
	struct ovbd_hosts h;
	struct ovbd_error err;

	(void)state;
	make_dir("r.example");
	make_dir("r.example:5000");
	make_dir("r.example_5000_");
	make_dir("s.example:5000");
	make_dir("c.example");
	write_text("r.example/hosts.toml", "[host.'http://one']");
	write_text("r.example:5000/hosts.toml", "[host.'http://no']");
	write_text("r.example_5000_/hosts.toml", "[host.'http://two']");
	write_text("s.example:5000/hosts.toml", "[host.'http://three']");
	write_text("c.example/ca.crt", "");
	write_text("c.example/client.cert", "");
	assert_ok(ovbd_hosts_load(dir, "elsewhere", &h, &err), err);
	assert_int_equal(h.nhosts, 0);
	ovbd_hosts_free(&h);
	make_dir("_default");
	write_text("_default/hosts.toml", "[host.'http://four']");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_ok(ovbd_hosts_load(dir, cases[i].host, &h, &err), err);
		assert_int_equal(h.nhosts, cases[i].base ? 1 : 0);
		if (cases[i].base)
			assert_string_equal(h.hosts[0].base, cases[i].base);
		ovbd_hosts_free(&h);
	}
	/* as docker has it */
	assert_fails(ovbd_hosts_load(dir, "c.example", &h, &err), -ENOENT, err,
	             "client.key, the key");
	ovbd_hosts_free(&h);
	write_text("c.example/client.key", "");
	assert_ok(ovbd_hosts_load(dir, "c.example", &h, &err), err);
	assert_non_null(strstr(h.server.ca[0], "c.example/ca.crt"));
	assert_non_null(strstr(h.server.cert, "c.example/client.cert"));
	assert_non_null(strstr(h.server.key, "c.example/client.key"));
	ovbd_hosts_free(&h);
	write_text("r.example/hosts.toml", "\n\nserver =");
	assert_fails(ovbd_hosts_load(dir, "r.example", &h, &err), -EBADMSG, err,
	             "r.example/hosts.toml: line 3: a value is missing");
	ovbd_hosts_free(&h);
}

static int make(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int clean(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_toml),   cmocka_unit_test(test_toml_refused),
		cmocka_unit_test(test_hosts),  cmocka_unit_test(test_hosts_refused),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, make, clean);
}
