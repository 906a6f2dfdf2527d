// SPDX-License-Identifier: Apache-2.0
#include "tests/net/server.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>

#include "tests/unit/test.h"

extern char **environ;

void test_site_put(const struct test_site *s, const char *name, const void *data, size_t len)
{
	char path[600], temp[620];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	snprintf(temp, sizeof(temp), "%s.new", path);
	f = fopen(temp, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(temp, 0644), 0);
	assert_int_equal(rename(temp, path), 0);
}

void test_site_create(struct test_site *ret)
{
	const char *tmp = getenv("TMPDIR");
	uint64_t seed = 2;

	setenv("no_proxy", "127.0.0.1,localhost", 1); /* whatever the machine is set up for */
	snprintf(ret->dir, sizeof(ret->dir), "%s/ovbd-net-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(ret->dir));
	assert_int_equal(chmod(ret->dir, 0755), 0);
	ret->data = malloc(TEST_SITE_SIZE);
	assert_non_null(ret->data);
	for (size_t i = 0; i < TEST_SITE_SIZE; i++)
		ret->data[i] = (uint8_t)test_random(&seed);
	test_site_put(ret, "data", ret->data, TEST_SITE_SIZE);
	test_site_put(ret, "one", ret->data, 1);
	test_site_put(ret, "empty", "", 0);
}

void test_site_remove(struct test_site *s)
{
	char *const argv[] = {(char[]){"rm"}, (char[]){"-rf"}, s->dir, NULL};

	assert_int_equal(test_run(argv), 0);
	free(s->data);
}

pid_t test_spawn(char *const argv[], int *ret_in, int *ret_out)
{
	posix_spawn_file_actions_t actions;
	int in[2], out[2];
	pid_t pid;
	int r;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	if (ret_out)
		posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	if (ret_in && r == 0)
		*ret_in = in[1];
	else
		close(in[1]);
	if (ret_out && r == 0)
		*ret_out = out[0];
	else
		close(out[0]);
	return r == 0 ? pid : -1;
}

int test_run(char *const argv[])
{
	const pid_t pid = test_spawn(argv, NULL, NULL);
	int status;

	if (pid < 0)
		return -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) != 127 ? WEXITSTATUS(status) : -1;
}

void test_server_start(struct test_server *s, const char *dir, unsigned port, const char *cert,
                       const char *key)
{
	const char *source = getenv("OVBD_SOURCE");
	char script[600], port_text[16], line[32] = "";
	char *argv[10] = {(char[]){"python3"}, script, NULL};
	char words[4][600], tls_option[] = "--tls";
	size_t n = 2;
	int out;

	snprintf(script, sizeof(script), "%s/tests/lib/range-server.py", source ? source : ".");
	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(words[0], sizeof(words[0]), "%s", dir);
	argv[n++] = words[0];
	argv[n++] = (char[]){"--port"};
	argv[n++] = port_text;
	if (cert) {
		snprintf(words[1], sizeof(words[1]), "%s", cert);
		snprintf(words[2], sizeof(words[2]), "%s", key);
		argv[n++] = tls_option;
		argv[n++] = words[1];
		argv[n++] = words[2];
	}
	s->tls = cert;
	s->pid = test_spawn(argv, &s->life, &out);
	assert_true(s->pid > 0);
	for (size_t i = 0; i < sizeof(line) - 1 && read(out, line + i, 1) == 1 && line[i] != '\n';)
		i++;
	close(out);
	s->port = (unsigned)atoi(line);
	assert_true(s->port > 0 && (port == 0 || port == s->port));
}

void test_server_kill(struct test_server *s)
{
	assert_int_equal(kill(s->pid, SIGKILL), 0);
	assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
	close(s->life);
}

struct text {
	char text[65536];
	size_t len;
};

static size_t on_text(char *data, size_t size, size_t n, void *arg)
{
	struct text *t = arg;

	if (size * n >= sizeof(t->text) - t->len)
		return 0;
	memcpy(t->text + t->len, data, size * n);
	t->len += size * n;
	t->text[t->len] = '\0';
	return size * n;
}

static void ask(const struct test_server *s, const char *path, struct text *ret)
{
	CURL *easy = curl_easy_init();
	char url[400];

	ret->len = 0;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", s->port, path);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_text);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, ret);
	assert_int_equal(curl_easy_perform(easy), CURLE_OK);
	curl_easy_cleanup(easy);
}

uint64_t test_server_stat(const struct test_server *s, const char *name)
{
	char key[64];
	struct text t;
	const char *at;

	ask(s, "/~counts", &t);
	snprintf(key, sizeof(key), "\"%s\": ", name);
	at = strstr(t.text, key);
	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

void test_server_forget(const struct test_server *s)
{
	struct text t;

	ask(s, "/~forget", &t);
}

void test_server_set(const struct test_server *s, const char *name, const char *lies)
{
	char path[300];
	struct text t;

	snprintf(path, sizeof(path), "/~set/%s/%s", name, lies);
	ask(s, path, &t);
}

bool test_make_cert(const char *dir)
{
	char cmd[4000];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	snprintf(cmd, sizeof(cmd),
	         "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
	         "-subj /CN=ovbd-test -addext subjectAltName=IP:127.0.0.1 -days 2 "
	         "-keyout %s/key.pem -out %s/cert.pem 2>/dev/null && "
	         "openssl x509 -in %s/cert.pem -signkey %s/key.pem -days -1 "
	         "-out %s/expired.pem 2>/dev/null && "
	         "cat %s/cert.pem %s/expired.pem >%s/trusted.pem",
	         dir, dir, dir, dir, dir, dir, dir, dir);
	return test_run(argv) == 0;
}
