// SPDX-License-Identifier: Apache-2.0
#include "image/registry_settings.h"

struct ovbd_registry_params ovbd_registry_settings_params(struct ovbd_registry_settings *s)
{
	struct ovbd_registry_params p = s->p;

	s->authfiles[0] = s->credentials;
	s->authfiles[1] = NULL;
	p.authfiles = s->authfiles;
	p.service.timeout_ms = (unsigned)s->service_timeout_s * 1000;
	p.skip_verify = !s->tls_verify;
	return p;
}
