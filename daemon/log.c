// SPDX-License-Identifier: Apache-2.0
/*
 * One write() a line, so that lines of several threads do not mix. Where standard error is the
 * journal's ($JOURNAL_STREAM), a line begins with its level as <N>; elsewhere with the time and a
 * word. Control characters, which names of files may have, are shown as question marks.
 */
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic int limit = OVBD_LOG_INFO;

static const char *const names[] = {
	[OVBD_LOG_ERROR] = "error",
	[OVBD_LOG_WARNING] = "warning",
	[OVBD_LOG_INFO] = "info",
	[OVBD_LOG_DEBUG] = "debug",
};

int ovbd_log_parse(const char *name, enum ovbd_log_level *ret)
{
	for (int i = OVBD_LOG_ERROR; i <= OVBD_LOG_DEBUG; i++)
		if (names[i] && strcmp(names[i], name) == 0) {
			*ret = (enum ovbd_log_level)i;
			return 0;
		}
	return -EINVAL;
}

void ovbd_log_set(enum ovbd_log_level level)
{
	atomic_store(&limit, (int)level);
}

static size_t write_head(char *line, size_t size, enum ovbd_log_level level)
{
	const time_t now = time(NULL);
	struct tm tm;

	if (getenv("JOURNAL_STREAM"))
		return (size_t)snprintf(line, size, "<%d>", (int)level);
	localtime_r(&now, &tm);
	return strftime(line, size, "%Y-%m-%dT%H:%M:%S ", &tm);
}

void ovbd_log(enum ovbd_log_level level, const char *fmt, ...)
{
	char line[2048];
	size_t at;
	va_list ap;
	int n;

	if ((int)level > atomic_load(&limit))
		return;
	at = write_head(line, 64, level);
	at += (size_t)snprintf(line + at, 32, "ovbdd: %s: ", names[level]);
	va_start(ap, fmt);
	n = vsnprintf(line + at, sizeof(line) - at - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	for (; line[at]; at++)
		if ((unsigned char)line[at] < ' ' || line[at] == 0x7f)
			line[at] = '?';
	line[at++] = '\n';
	if (write(STDERR_FILENO, line, at) < 0)
		return; /* nobody listens, and there is nobody else to tell */
}
