// SPDX-License-Identifier: Apache-2.0
#include "daemon/options_registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int set_deadline(struct ovbd_registry_settings *o, const char *text, struct ovbd_error *err)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || n < 1 || n > OVBD_DEADLINE_MAX)
		return ovbd_fail(err, -EINVAL, "deadline '%.40s': must be seconds, 1 to %d", text,
		                 OVBD_DEADLINE_MAX);
	o->deadline_s = n;
	return 0;
}

static int set_verify(struct ovbd_registry_settings *o, const char *text, struct ovbd_error *err)
{
	o->tls_verify = strcmp(text, "false") != 0;
	if (o->tls_verify && strcmp(text, "true") != 0)
		return ovbd_fail(err, -EINVAL, "tls-verify '%.40s': must be true or false", text);
	return 0;
}

bool ovbd_options_registry_take(struct ovbd_registry_settings *o, int id, const char *value,
                                int *ret_r, struct ovbd_error *err)
{
	*ret_r = 0;
	switch (id) {
	case OVBD_OPTIONS_AUTHFILE:
		o->credentials = value;
		return true;
	case OVBD_OPTIONS_HOSTS_DIR:
		o->p.hosts_dir = value;
		return true;
	case OVBD_OPTIONS_CERT_DIR:
		o->p.cert_dir = value;
		return true;
	case OVBD_OPTIONS_TLS_VERIFY:
		*ret_r = set_verify(o, value, err);
		return true;
	case OVBD_OPTIONS_PLAIN_HTTP:
		o->p.plain_http = true;
		return true;
	case OVBD_OPTIONS_PROXY:
		o->p.proxy = value;
		return true;
	case OVBD_OPTIONS_P2P:
		o->p.prefix = value;
		return true;
	case OVBD_OPTIONS_DEADLINE:
		*ret_r = set_deadline(o, value, err);
		return true;
	default:
		return false;
	}
}

void ovbd_options_registry_settle(struct ovbd_registry_settings *o,
                                  const struct ovbd_registry_settings *file)
{
	o->credentials = file->credentials;
	o->service_timeout_s = file->service_timeout_s;
	o->p.service = file->p.service;
	o->p.cert_file = file->p.cert_file;
	o->p.key_file = file->p.key_file;
	if (file->p.prefix)
		o->p.prefix = file->p.prefix;
}
