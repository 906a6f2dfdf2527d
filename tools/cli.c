// SPDX-License-Identifier: Apache-2.0
/*
 * getopt_long() driven by the verb's table. It keeps its state in globals of libc, so one command
 * line is parsed at a time; its own messages are switched off in favour of ours, which name what is
 * nearest to the mistake.
 */
#include "tools/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/size.h"
#include "tools/text.h"

#define BAD_VALUE      (-2)        /* of an option taken here; it has been told */
#define CACHE_SIZE_MIN (16u << 20) /* bytes */
#define OPTIONS_MAX    64          /* of one verb, the common ones included; asserted by a test */

struct ovbd_getopt {
	struct option longs[OPTIONS_MAX + 1];
	char shorts[3 * OPTIONS_MAX + 2];
	size_t n;
};

const struct ovbd_option ovbd_common_options[] = {
	{'q', "quiet", NULL, "Say nothing but errors."},
	{'v', "verbose", NULL, "Say more."},
	{'h', "help", NULL, "Show this help."},
	{'V', "version", NULL, "Show the version; with -v also that of the libraries."},
	{0},
};

/* Names in a message may come from a file that others wrote. */
static void say(const struct ovbd_cli *c, const char *kind, const char *fmt, va_list ap)
{
	AUTO_FREE char *safe = NULL;
	char text[2 * OVBD_ERROR_SIZE];

	vsnprintf(text, sizeof(text), fmt, ap);
	fflush(stdout);
	if (c->json_lines) {
		json_t *o = ovbd_json_event(kind);

		ovbd_json_set_text(o, "message", text);
		ovbd_json_print_event(o);
		return;
	}
	safe = ovbd_text_escape(text);
	fprintf(stderr, "%s: %s%s\n", c->name, strcmp(kind, "warning") == 0 ? "warning: " : "",
	        safe ? safe : "out of memory");
}

void ovbd_cli_error(const struct ovbd_cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, "error", fmt, ap);
	va_end(ap);
}

void ovbd_cli_warning(const struct ovbd_cli *c, const char *fmt, ...)
{
	va_list ap;

	if (c->quiet)
		return;
	va_start(ap, fmt);
	say(c, "warning", fmt, ap);
	va_end(ap);
}

void ovbd_cli_note(const struct ovbd_cli *c, const char *fmt, ...)
{
	va_list ap;

	if (c->quiet)
		return;
	va_start(ap, fmt);
	say(c, "note", fmt, ap);
	va_end(ap);
}

int ovbd_cli_usage(struct ovbd_cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, "error", fmt, ap);
	va_end(ap);
	if (c->verb->program)
		fprintf(stderr, "Try '%s --help'.\n", c->verb->program);
	else
		fprintf(stderr, "Try 'ovbd %s --help'.\n", c->verb->name);
	c->status = OVBD_EXIT_USAGE;
	return c->status;
}

int ovbd_cli_at_most(struct ovbd_cli *c, size_t n)
{
	if (c->noperands <= n)
		return 0;
	ovbd_cli_usage(c, "unexpected word '%s'", c->operands[n]);
	return -1;
}

int ovbd_cli_fail(const struct ovbd_cli *c, int code, bool remote, const struct ovbd_error *err)
{
	if (ovbd_interrupted()) {
		ovbd_cli_error(c, "interrupted");
		return OVBD_EXIT_SIGNAL + ovbd_interrupted();
	}
	ovbd_cli_error(c, "%s", err->msg);
	return ovbd_exit_status(code, remote);
}

static void add_options(struct ovbd_getopt *g, const struct ovbd_option *o)
{
	for (; o->id != 0 && g->n < OPTIONS_MAX; o++) {
		char *s = g->shorts + strlen(g->shorts);

		g->longs[g->n++] = (struct option){
			.name = o->name,
			.has_arg = !o->arg            ? no_argument
		                   : o->arg[0] == '[' ? optional_argument
		                                      : required_argument,
			.val = o->id,
		};
		if (o->id < OVBD_OPTION_LONG) {
			*s++ = (char)o->id;
			if (o->arg && o->arg[0] != '[') /* -pq is -p -q */
				*s = ':';
		}
	}
}

static int start(struct ovbd_cli *c)
{
	c->getopt = calloc(1, sizeof(*c->getopt));
	if (!c->getopt)
		return -ENOMEM;
	c->getopt->shorts[0] = ':'; /* tells a missing value from an unknown option */
	add_options(c->getopt, c->verb->options);
	add_options(c->getopt, ovbd_common_options);
	opterr = 0;
	optind = 0; /* forgets what an earlier run has parsed */
	return 0;
}

static const char *long_name(const struct ovbd_getopt *g, int id)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->longs[i].val == id)
			return g->longs[i].name;
	return "";
}

static int unknown_long(struct ovbd_cli *c, const char *given)
{
	const char *names[OPTIONS_MAX];
	const char *near;
	AUTO_FREE char *word = strndup(given, strcspn(given, "="));
	size_t matches = 0;

	for (size_t i = 0; i < c->getopt->n; i++) {
		names[i] = c->getopt->longs[i].name;
		if (word && strncmp(names[i], word, strlen(word)) == 0)
			matches++;
	}
	if (matches > 1)
		return ovbd_cli_usage(c, "option --%s could mean several", word);
	near = word ? ovbd_nearest(word, names, c->getopt->n) : NULL;
	if (near)
		return ovbd_cli_usage(c, "unknown option --%s: did you mean --%s?", word, near);
	return ovbd_cli_usage(c, "unknown option --%s", word ? word : given);
}

static int mistake(struct ovbd_cli *c, int id)
{
	const char *given = c->argv[optind - 1];

	if (id == ':') {
		if (optopt < OVBD_OPTION_LONG && strncmp(given, "--", 2) != 0)
			return ovbd_cli_usage(c, "option -%c needs a value", optopt);
		return ovbd_cli_usage(c, "option --%s needs a value", long_name(c->getopt, optopt));
	}
	if (strncmp(given, "--", 2) == 0 && optopt != 0)
		return ovbd_cli_usage(c, "option --%s takes no value",
		                      long_name(c->getopt, optopt));
	if (strncmp(given, "--", 2) == 0)
		return unknown_long(c, given + 2);
	return ovbd_cli_usage(c, "unknown option -%c", optopt);
}

/* Help and version wait until all is parsed, so that "--version -v" and "-v --version" are the
 * same. */
static int next(struct ovbd_cli *c, bool *help, bool *version)
{
	for (;;) {
		const int id =
			getopt_long(c->argc, c->argv, c->getopt->shorts, c->getopt->longs, NULL);
		int r;

		switch (id) {
		case 'q':
			c->quiet = true;
			break;
		case 'v':
			c->verbose++;
			break;
		case 'h':
			*help = true;
			break;
		case 'V':
			*version = true;
			break;
		case OVBD_OPTION_CACHE:
			c->cache_dir = optarg;
			break;
		case OVBD_OPTION_CACHE_SIZE:
			if (ovbd_size_parse(optarg, &c->cache_size) < 0 ||
			    c->cache_size < CACHE_SIZE_MIN) {
				ovbd_cli_usage(c, "--cache-size %s: it is a size, of 16M at least",
				               optarg);
				return BAD_VALUE;
			}
			break;
		default:
			if (!ovbd_remote_options_take(c, id, optarg, &r))
				return id;
			if (r < 0)
				return BAD_VALUE;
		}
	}
}

int ovbd_cli_next(struct ovbd_cli *c)
{
	bool help = false, version = false;
	int id;

	if (!c->getopt && start(c) < 0) {
		ovbd_cli_error(c, "out of memory");
		c->status = OVBD_EXIT_FAILURE;
		return -1;
	}
	id = next(c, &help, &version);
	if (help || version) {
		while (id != -1) /* a -v may still come */
			id = next(c, &help, &version);
		if (help)
			ovbd_help_verb(c->verb);
		else
			ovbd_help_version(c->verbose > 0);
		c->status = OVBD_EXIT_OK;
		return -1;
	}
	if (id == '?' || id == ':')
		mistake(c, id);
	if (id == '?' || id == ':' || id == BAD_VALUE)
		return -1;
	c->value = optarg;
	if (id > 0)
		return id;
	c->operands = (const char *const *)c->argv + optind;
	c->noperands = (size_t)(c->argc - optind);
	return 0;
}
