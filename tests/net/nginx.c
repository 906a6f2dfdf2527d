// SPDX-License-Identifier: Apache-2.0
#include "tests/net/nginx.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/test.h"

struct test_nginx nginx = {.pid = -1};

/* Paths are below the folder that nginx is started for. */
#define CONFIG                                                                                     \
	"daemon off;\n"                                                                            \
	"user root;\n"                                                                             \
	"pid nginx.pid;\n"                                                                         \
	"error_log error.log;\n"                                                                   \
	"events {}\n"                                                                              \
	"http {\n"                                                                                 \
	"  log_format protocol '$server_protocol $status';\n"                                      \
	"  access_log access.log protocol;\n"                                                      \
	"  client_body_temp_path tmp;\n"                                                           \
	"  proxy_temp_path tmp;\n"                                                                 \
	"  fastcgi_temp_path tmp;\n"                                                               \
	"  uwsgi_temp_path tmp;\n"                                                                 \
	"  scgi_temp_path tmp;\n"                                                                  \
	"  server {\n"                                                                             \
	"    listen 127.0.0.1:%u;\n"                                                               \
	"    listen 127.0.0.1:%u ssl http2;\n"                                                     \
	"    listen unix:%s/sock;\n"                                                               \
	"    ssl_verify_client optional;\n"                                                        \
	"    ssl_client_certificate cert.pem;\n"                                                   \
	"    ssl_certificate cert.pem;\n"                                                          \
	"    ssl_certificate_key key.pem;\n"                                                       \
	"    root .;\n"                                                                            \
	"    location /up/ { return 302 https://127.0.0.1:%u/data; }\n"                            \
	"    location /down/ { return 302 http://127.0.0.1:%u/data; }\n"                           \
	"    location /members/ {\n"                                                               \
	"      if ($ssl_client_verify != SUCCESS) { return 403; }\n"                               \
	"      rewrite ^/members/(.*) /$1 last;\n"                                                 \
	"    }\n"                                                                                  \
	"    location /signed/ {\n"                                                                \
	"      secure_link $arg_md5,$arg_expires;\n"                                               \
	"      secure_link_md5 \"$secure_link_expires$uri secret\";\n"                             \
	"      if ($secure_link = \"\") { return 403; }\n"                                         \
	"      if ($secure_link = \"0\") { return 410; }\n"                                        \
	"      rewrite ^/signed/(.*) /$1 break;\n"                                                 \
	"    }\n"                                                                                  \
	"  }\n"                                                                                    \
	"}\n"

/* Two ports that are free now. */
static void free_ports(unsigned *ret_a, unsigned *ret_b)
{
	unsigned *const ret[2] = {ret_a, ret_b};
	int fds[2];

	for (size_t i = 0; i < 2; i++) {
		struct sockaddr_in addr = {.sin_family = AF_INET,
		                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(addr);

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&addr, len), 0);
		assert_int_equal(getsockname(fds[i], (struct sockaddr *)&addr, &len), 0);
		*ret[i] = ntohs(addr.sin_port);
	}
	close(fds[0]);
	close(fds[1]);
}

static bool listens(unsigned at)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                           .sin_port = htons((uint16_t)at)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool yes = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

	close(fd);
	return yes;
}

/* False if it has ended by itself: a port was taken after all, or there is no nginx. */
static bool start_nginx(void)
{
	const struct timespec tick = {.tv_nsec = 1000000};
	char text[sizeof(CONFIG) + 400], path[300];
	/* it does not outlive us */
	char *const argv[] = {(char[]){"setpriv"},
	                      (char[]){"--pdeathsig"},
	                      (char[]){"TERM"},
	                      (char[]){"nginx"},
	                      (char[]){"-p"},
	                      nginx.site.dir,
	                      (char[]){"-c"},
	                      path,
	                      NULL};

	free_ports(&nginx.port, &nginx.tls_port);
	snprintf(path, sizeof(path), "%s/nginx.conf", nginx.site.dir);
	snprintf(text, sizeof(text), CONFIG, nginx.port, nginx.tls_port, nginx.site.dir,
	         nginx.tls_port, nginx.port);
	test_site_put(&nginx.site, "nginx.conf", text, strlen(text));
	nginx.pid = test_spawn(argv, NULL, NULL);
	if (nginx.pid < 0)
		return false;
	while (!(listens(nginx.port) && listens(nginx.tls_port))) {
		if (waitpid(nginx.pid, NULL, WNOHANG) == nginx.pid)
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

int test_nginx_setup(void **state)
{
	(void)state;
	setenv("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin", 1);
	test_site_create(&nginx.site);
	snprintf(nginx.ca_file, sizeof(nginx.ca_file), "%s/cert.pem", nginx.site.dir);
	if (!test_make_cert(nginx.site.dir))
		return 0;
	for (unsigned i = 0; i < 5 && !start_nginx(); i++)
		nginx.pid = -1;
	return 0;
}

int test_nginx_teardown(void **state)
{
	(void)state;
	if (nginx.pid > 0) {
		kill(nginx.pid, SIGTERM);
		waitpid(nginx.pid, NULL, 0);
	}
	test_site_remove(&nginx.site);
	return 0;
}

void test_nginx_need(void)
{
	if (nginx.pid < 0) {
		print_message("nginx or openssl is not installed, or nginx does not start\n");
		skip();
	}
}
