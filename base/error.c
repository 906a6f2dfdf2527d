// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int ovbd_fail(struct ovbd_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return code;
}

int ovbd_fail_errno(struct ovbd_error *err, int code, const char *fmt, ...)
{
	char reason[128];
	size_t n;
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	snprintf(err->msg + n, sizeof(err->msg) - n, ": %s",
	         strerror_r(-code, reason, sizeof(reason)));
	return code;
}

int ovbd_fail_within(struct ovbd_error *err, int code, const char *fmt, ...)
{
	struct ovbd_error inner;
	size_t n;
	va_list ap;

	if (!err)
		return code;
	inner = *err;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	snprintf(err->msg + n, sizeof(err->msg) - n, ": %.*s", (int)(sizeof(inner.msg) - n - 3),
	         inner.msg);
	return code;
}

/* Whether msg has the part "name: ", as sentences that grew on the way up have it. */
static bool is_named(const char *msg, const char *name)
{
	const size_t len = strlen(name);

	for (const char *p = msg; p; p = strstr(p, ": ")) {
		p += p == msg ? 0 : 2;
		if (strncmp(p, name, len) == 0 && p[len] == ':')
			return true;
	}
	return false;
}

int ovbd_fail_named(struct ovbd_error *err, int code, const char *name)
{
	if (!err || is_named(err->msg, name))
		return code;
	return ovbd_fail_within(err, code, "%s", name);
}
