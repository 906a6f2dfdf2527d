// SPDX-License-Identifier: Apache-2.0
/*
 * GnuTLS, as it is what qemu, libnbd and nbdkit have, and as it lets one thread receive while
 * another sends. With keys (PSK) a client and the server know each other by the key; with
 * certificates the client knows the server, and the server the client only if it verifies it.
 *
 * Deliberately absent: a choice of ciphers (the system's policy says), session tickets (a
 * connection lives long).
 */
#include "daemon/nbd_tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/auto.h"

#define PRIORITY     "NORMAL"
#define PRIORITY_PSK "NORMAL:-KX-ALL:+ECDHE-PSK:+DHE-PSK:+PSK"

struct ovbd_nbd_tls {
	gnutls_certificate_credentials_t certificates; /* or NULL */
	gnutls_psk_server_credentials_t psk;           /* or NULL */
	gnutls_priority_t priority;
	bool verify_peer;
};

struct nbd_tls {
	gnutls_session_t session;
	bool secured;
};

static int fail_tls(struct ovbd_error *err, const char *path, const char *what, int code)
{
	return ovbd_fail(err, code == GNUTLS_E_FILE_ERROR ? -ENOENT : -EINVAL, "%s: %s: %s", path,
	                 what, gnutls_strerror(code));
}

/* DIR/NAME, which is there and can be read; NULL: it is not (-errno in *ret_code). */
static char *file_in(const char *dir, const char *name, int *ret_code)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		*ret_code = -ENOMEM;
		return NULL;
	}
	if (access(path, R_OK) == 0)
		return path;
	*ret_code = -errno;
	free(path);
	return NULL;
}

/* Of the certificate authority: whom it has signed, whom it has revoked. */
static int load_authority(struct ovbd_nbd_tls *t, const char *dir, struct ovbd_error *err)
{
	int code = 0, r;
	AUTO_FREE char *ca = file_in(dir, "ca-cert.pem", &code);
	AUTO_FREE char *crl = file_in(dir, "ca-crl.pem", &r);

	if (!ca && (code != -ENOENT || t->verify_peer))
		return ovbd_fail_errno(err, code, "%s/ca-cert.pem", dir);
	if (ca) {
		r = gnutls_certificate_set_x509_trust_file(t->certificates, ca,
		                                           GNUTLS_X509_FMT_PEM);
		if (r <= 0)
			return r < 0 ? fail_tls(err, ca, "reading the authority's certificate", r)
			             : ovbd_fail(err, -EINVAL, "%s: holds no certificate", ca);
	}
	if (crl) {
		r = gnutls_certificate_set_x509_crl_file(t->certificates, crl, GNUTLS_X509_FMT_PEM);
		if (r < 0)
			return fail_tls(err, crl, "reading who is revoked", r);
	}
	return 0;
}

static int load_certificates(struct ovbd_nbd_tls *t, const char *dir, struct ovbd_error *err)
{
	int code = 0, r;
	AUTO_FREE char *cert = file_in(dir, "server-cert.pem", &code);
	AUTO_FREE char *key = cert ? file_in(dir, "server-key.pem", &code) : NULL;

	if (!key)
		return ovbd_fail_errno(err, code, "%s/server-%s.pem", dir, cert ? "key" : "cert");
	if (gnutls_certificate_allocate_credentials(&t->certificates) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = gnutls_certificate_set_x509_key_file(t->certificates, cert, key, GNUTLS_X509_FMT_PEM);
	if (r < 0)
		return fail_tls(err, cert, "reading the server's certificate and its key", r);
	return load_authority(t, dir, err);
}

static int load_psk(struct ovbd_nbd_tls *t, const char *path, struct ovbd_error *err)
{
	struct stat st;
	int r;

	if (access(path, R_OK) < 0 || stat(path, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return ovbd_fail(err, -EINVAL, "%s: no file of lines username:hexkey", path);
	if (gnutls_psk_allocate_server_credentials(&t->psk) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = gnutls_psk_set_server_credentials_file(t->psk, path);
	return r < 0 ? fail_tls(err, path, "reading the keys", r) : 0;
}

int ovbd_nbd_tls_open(const struct ovbd_nbd_tls_params *p, struct ovbd_nbd_tls **ret,
                      struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_nbd_tls_closep) struct ovbd_nbd_tls *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->verify_peer = p->verify_peer;
	r = p->psk ? load_psk(t, p->psk, err) : load_certificates(t, p->certificates, err);
	if (r < 0)
		return r;
	r = gnutls_priority_init(&t->priority, p->psk ? PRIORITY_PSK : PRIORITY, NULL);
	if (r < 0)
		return ovbd_fail(err, -EINVAL, "TLS: %s", gnutls_strerror(r));
	*ret = OVBD_MOVE(t);
	return 0;
}

void ovbd_nbd_tls_close(struct ovbd_nbd_tls *take_t)
{
	if (!take_t)
		return;
	if (take_t->certificates)
		gnutls_certificate_free_credentials(take_t->certificates);
	if (take_t->psk)
		gnutls_psk_free_server_credentials(take_t->psk);
	if (take_t->priority)
		gnutls_priority_deinit(take_t->priority);
	free(take_t);
}

static int set_up(gnutls_session_t s, const struct ovbd_nbd_tls *t, int fd)
{
	int r = gnutls_priority_set(s, t->priority);

	if (r == 0 && t->psk)
		r = gnutls_credentials_set(s, GNUTLS_CRD_PSK, t->psk);
	if (r == 0 && t->certificates)
		r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, t->certificates);
	if (t->verify_peer) {
		gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUIRE);
		gnutls_session_set_verify_cert(s, NULL, 0);
	}
	gnutls_handshake_set_timeout(s, GNUTLS_INDEFINITE_TIMEOUT); /* the connection has one */
	gnutls_transport_set_int(s, fd);
	return r;
}

struct nbd_tls *nbd_tls_start(const struct ovbd_nbd_tls *t, int fd)
{
	struct nbd_tls *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (gnutls_init(&s->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
	                                     GNUTLS_NO_TICKETS) < 0) {
		free(s);
		return NULL;
	}
	if (set_up(s->session, t, fd) < 0) {
		gnutls_deinit(s->session);
		free(s);
		return NULL;
	}
	return s;
}

int nbd_tls_handshake(struct nbd_tls *s, bool *ret_writes)
{
	int r;

	do
		r = gnutls_handshake(s->session);
	while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
	*ret_writes = gnutls_record_get_direction(s->session) == 1;
	if (r == GNUTLS_E_AGAIN)
		return -EAGAIN;
	if (r < 0) {
		gnutls_alert_send_appropriate(s->session, r);
		return -EPROTO;
	}
	s->secured = true;
	return 0;
}

ssize_t nbd_tls_recv(struct nbd_tls *s, void *buf, size_t len)
{
	ssize_t r;

	do
		r = gnutls_record_recv(s->session, buf, len);
	while (r == GNUTLS_E_INTERRUPTED);
	if (r >= 0)
		return r;
	return r == GNUTLS_E_AGAIN ? -EAGAIN : r == GNUTLS_E_PREMATURE_TERMINATION ? 0 : -EPROTO;
}

ssize_t nbd_tls_send(struct nbd_tls *s, const void *buf, size_t len)
{
	ssize_t r;

	do
		r = gnutls_record_send(s->session, buf, len);
	while (r == GNUTLS_E_INTERRUPTED);
	if (r >= 0)
		return r;
	return r == GNUTLS_E_AGAIN ? -EAGAIN : -EPIPE;
}

bool nbd_tls_has_more(const struct nbd_tls *s)
{
	return gnutls_record_check_pending(s->session) > 0;
}

void nbd_tls_end(struct nbd_tls *take_s)
{
	if (!take_s)
		return;
	if (take_s->secured)
		gnutls_bye(take_s->session, GNUTLS_SHUT_WR); /* as far as there is room for it */
	gnutls_deinit(take_s->session);
	free(take_s);
}
