// SPDX-License-Identifier: Apache-2.0
/*
 * One write() a line, so that lines of several threads do not mix. Where standard error is the
 * journal's ($JOURNAL_STREAM), a line begins with its level as <N>; elsewhere with the time and a
 * word. Control characters, which names of files may have, are shown as question marks. With a file
 * (log_file.c), all lines go there, and to standard error only what somebody should see who looks
 * at the service and not at its file.
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

#define LINE_SIZE 2048

static _Atomic int limit = OVBD_LOG_INFO;
static struct ovbd_log_file *_Atomic file, *_Atomic audit;

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

static size_t write_time(char *line, size_t size)
{
	const time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	return strftime(line, size, "%Y-%m-%dT%H:%M:%S ", &tm);
}

/* A line: its head, and text with what it must not have replaced. Returns its length. */
static size_t make_line(char line[LINE_SIZE], size_t head, const char *text)
{
	size_t at = head;

	for (; *text && at < LINE_SIZE - 1; text++)
		line[at++] = (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
	line[at++] = '\n';
	return at;
}

static void write_stderr(enum ovbd_log_level level, const char *text)
{
	char line[LINE_SIZE];
	size_t at;

	if (getenv("JOURNAL_STREAM"))
		at = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
	else
		at = write_time(line, sizeof(line));
	at = make_line(line, at, text);
	if (write(STDERR_FILENO, line, at) < 0)
		return; /* nobody listens, and there is nobody else to tell */
}

static void write_file(struct ovbd_log_file *f, const char *text)
{
	char line[LINE_SIZE];

	ovbd_log_file_write(f, line, make_line(line, write_time(line, sizeof(line)), text));
}

void ovbd_log(enum ovbd_log_level level, const char *fmt, ...)
{
	struct ovbd_log_file *f = atomic_load(&file);
	char text[LINE_SIZE - 64];
	va_list ap;
	int at;

	if ((int)level > atomic_load(&limit))
		return;
	at = snprintf(text, sizeof(text), "ovbdd: %s: ", names[level]);
	va_start(ap, fmt);
	at = vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, ap);
	va_end(ap);
	if (at < 0)
		return;
	if (f)
		write_file(f, text);
	if (!f || level <= OVBD_LOG_WARNING)
		write_stderr(level, text);
}

void ovbd_log_audit(const char *id, const char *sentence)
{
	struct ovbd_log_file *f = atomic_load(&audit);
	char text[LINE_SIZE - 64];

	if (!f)
		return;
	snprintf(text, sizeof(text), "%s%s%s%s", id[0] ? "device " : "", id, id[0] ? ": " : "",
	         sentence);
	write_file(f, text);
}

void ovbd_log_files(struct ovbd_log_file *log, struct ovbd_log_file *audit_log)
{
	atomic_store(&file, log);
	atomic_store(&audit, audit_log);
}
