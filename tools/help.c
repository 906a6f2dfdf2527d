// SPDX-License-Identifier: Apache-2.0
/* Everything --help and --version print comes from the tables; nothing here knows a verb. */
#include <curl/curl.h>
#include <jansson.h>
#include <lz4.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "tools/cli.h"

#define WIDTH        80
#define OPTION_WIDTH 26 /* where the options' text begins */

/* Prints text from column at on, wrapped and indented to indent. A newline in text is kept. */
static void print_wrapped(const char *text, int at, int indent)
{
	while (*text) {
		const int n = (int)strcspn(text, " \n");

		if (at > indent && at + 1 + n > WIDTH) {
			putchar('\n');
			at = 0;
		}
		if (at < indent) {
			printf("%*s", indent - at, "");
			at = indent;
		} else if (at > indent) {
			putchar(' ');
			at++;
		}
		printf("%.*s", n, text);
		at += n;
		text += n;
		for (; *text == '\n'; text++, at = 0)
			putchar('\n');
		text += strspn(text, " ");
	}
	if (at > 0)
		putchar('\n');
}

static void print_option(const struct ovbd_option *o)
{
	int at;

	if (o->id < OVBD_OPTION_LONG)
		at = printf("  -%c, --%s", o->id, o->name);
	else
		at = printf("      --%s", o->name);
	if (o->arg)
		at += printf(o->arg[0] == '[' ? "%s" : " %s", o->arg);
	if (at + 2 > OPTION_WIDTH) {
		putchar('\n');
		at = 0;
	}
	print_wrapped(o->help, at, OPTION_WIDTH);
}

static void print_options(const struct ovbd_option *o)
{
	for (; o->id != 0; o++)
		print_option(o);
}

void ovbd_help_verb(const struct ovbd_verb *v)
{
	char usage[256];

	snprintf(usage, sizeof(usage), "%s%s [OPTION]... %s", v->program ? "" : "ovbd ",
	         v->program ? v->program : v->name, v->usage);
	print_wrapped(usage, printf("Usage: "), 7);
	printf("\n%s.\n", v->summary);
	if (v->text) {
		putchar('\n');
		print_wrapped(v->text, 0, 0);
	}
	printf("\nOptions:\n");
	print_options(v->options);
	print_options(ovbd_common_options);
	if (v->examples)
		printf("\nExamples:\n");
	for (const struct ovbd_example *e = v->examples; e && e->command; e++) {
		printf("  %s\n", e->command);
		print_wrapped(e->what, 0, 6);
	}
	if (v->exits) {
		printf("\nExit status:\n");
		print_wrapped(v->exits, 0, 2);
	}
	if (v->program)
		printf("\nMore: man %s\n", v->program);
	else
		printf("\nMore: man ovbd-%s\n", v->name);
}

void ovbd_help_program(void)
{
	printf("Usage: ovbd VERB [OPTION]... ARGUMENT...\n\n"
	       "Layered block images: makes them, looks into them, serves them.\n\n"
	       "Verbs:\n");
	for (const struct ovbd_verb *const *v = ovbd_verbs; *v; v++)
		printf("  %-10s%s\n", (*v)->name, (*v)->summary);
	printf("\nExamples:\n"
	       "  ovbd convert disk.raw disk.ovbd\n"
	       "                                           a compressed layer of a disk\n"
	       "  ovbd convert -B disk.ovbd new.raw delta.ovbd\n"
	       "                                           what has changed, as a second layer\n"
	       "  ovbd info disk.ovbd delta.ovbd           the stack of both\n"
	       "  ovbd check https://example.org/disk.ovbd\n"
	       "  ovbd compare disk.ovbd delta.ovbd new.raw\n"
	       "  ovbd convert -O raw disk.ovbd delta.ovbd flat.raw\n\n"
	       "'ovbd VERB --help' or 'ovbd help VERB' tells more of a verb, 'man ovbd' of all.\n");
}

void ovbd_help_version(bool verbose)
{
	printf("ovbd %s\n", OVBD_VERSION);
	if (!verbose)
		return;
	printf("lz4 %s\nzstd %s\njansson %s\nlibcurl %s\n", LZ4_versionString(),
	       ZSTD_versionString(), jansson_version_str(),
	       curl_version_info(CURLVERSION_NOW)->version);
}
