// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <stdarg.h>
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
