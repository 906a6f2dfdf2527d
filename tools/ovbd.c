// SPDX-License-Identifier: Apache-2.0
/*
 * The command: finds the verb, runs it, and makes sure that what went to standard output has
 * arrived there. Called as ovbd-VERB it is that verb, and by a name of overlaybd's tools that tool.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "tools/cli.h"
#include "tools/verbs.h"

#define VERBS_MAX 32

const struct ovbd_verb *const ovbd_verbs[] = {
	/* images */
	&ovbd_verb_convert,
	&ovbd_verb_apply,
	&ovbd_verb_cow,
	&ovbd_verb_info,
	&ovbd_verb_map,
	&ovbd_verb_check,
	&ovbd_verb_compare,
	&ovbd_verb_diff,
	&ovbd_verb_verity,
	&ovbd_verb_merge,
	&ovbd_verb_merge_ota,
	/* devices */
	&ovbd_verb_serve,
	&ovbd_verb_trace,
	&ovbd_verb_attach,
	&ovbd_verb_detach,
	&ovbd_verb_list,
	&ovbd_verb_status,
	&ovbd_verb_drain,
	&ovbd_verb_reload,
	/* writable layers */
	&ovbd_verb_create,
	&ovbd_verb_commit,
	&ovbd_verb_seal,
	&ovbd_verb_resize,
	&ovbd_verb_rebase,
	/* and the rest */
	&ovbd_verb_snapshot,
	&ovbd_verb_bow,
	&ovbd_verb_cache,
	&ovbd_verb_doctor,
	NULL,
};

static const struct ovbd_verb *find_program(const char *name)
{
	for (const struct ovbd_verb *const *v = ovbd_programs; *v; v++)
		if (strcmp((*v)->program, name) == 0)
			return *v;
	return NULL;
}

static const struct ovbd_verb *find_verb(const char *name)
{
	for (const struct ovbd_verb *const *v = ovbd_verbs; *v; v++)
		if (strcmp((*v)->name, name) == 0)
			return *v;
	return NULL;
}

static int unknown_verb(const char *name)
{
	const char *names[VERBS_MAX];
	const char *near;
	size_t n = 0;

	while (n < VERBS_MAX && ovbd_verbs[n]) {
		names[n] = ovbd_verbs[n]->name;
		n++;
	}
	near = ovbd_nearest(name, names, n);
	fprintf(stderr, "ovbd: unknown verb '%s'", name);
	if (near)
		fprintf(stderr, ": did you mean '%s'?", near);
	fprintf(stderr, "\nTry 'ovbd --help'.\n");
	return OVBD_EXIT_USAGE;
}

static int run_verb(const struct ovbd_verb *v, const char *name, int argc, char **argv)
{
	struct ovbd_cli c = {.verb = v, .name = name, .argc = argc, .argv = argv};
	const int status = v->run(&c);

	free(c.getopt);
	return status;
}

static int help(const char *verb)
{
	const struct ovbd_verb *v;

	if (!verb) {
		ovbd_help_program();
		return OVBD_EXIT_OK;
	}
	v = find_verb(verb);
	if (!v)
		return unknown_verb(verb);
	ovbd_help_verb(v);
	return OVBD_EXIT_OK;
}

/* What stands before a verb: -h, --help, -V, --version, the latter also with -v. */
static int program_option(int argc, char **argv)
{
	bool version = false, verbose = false;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0)
			return help(i + 1 < argc ? argv[i + 1] : NULL);
		if (strcmp(a, "-V") == 0 || strcmp(a, "--version") == 0) {
			version = true;
		} else if (strcmp(a, "-v") == 0 || strcmp(a, "--verbose") == 0) {
			verbose = true;
		} else {
			fprintf(stderr,
			        "ovbd: unknown option %s: a verb comes first\nTry 'ovbd --help'.\n",
			        a);
			return OVBD_EXIT_USAGE;
		}
	}
	if (!version) {
		fprintf(stderr, "ovbd: no verb\nTry 'ovbd --help'.\n");
		return OVBD_EXIT_USAGE;
	}
	ovbd_help_version(verbose);
	return OVBD_EXIT_OK;
}

static int run(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/');
	const struct ovbd_verb *v;
	char name[64];

	base = base ? base + 1 : argv[0];
	v = find_program(base);
	if (v)
		return run_verb(v, base, argc, argv);
	if (strncmp(base, "ovbd-", 5) == 0) {
		v = find_verb(base + 5);
		if (v)
			return run_verb(v, base, argc, argv);
	}
	if (argc < 2 || argv[1][0] == '-')
		return program_option(argc, argv);
	if (strcmp(argv[1], "help") == 0)
		return help(argc > 2 ? argv[2] : NULL);
	if (strcmp(argv[1], "completion") == 0) {
		ovbd_completion_bash();
		return OVBD_EXIT_OK;
	}
	v = find_verb(argv[1]);
	if (!v)
		return unknown_verb(argv[1]);
	snprintf(name, sizeof(name), "ovbd: %s", v->name);
	return run_verb(v, name, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 1)
		return OVBD_EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN); /* a server that hangs up must not end us; write() says EPIPE */
	signal(SIGXFSZ, SIG_IGN); /* and EFBIG, with the name of the file */
	status = run(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (errno == EPIPE) /* who reads has seen enough */
			return OVBD_EXIT_SIGNAL + SIGPIPE;
		fprintf(stderr, "ovbd: standard output: %s\n", strerror(errno));
		return status == OVBD_EXIT_OK ? OVBD_EXIT_FAILURE : status;
	}
	return status;
}
