// SPDX-License-Identifier: Apache-2.0
/*
 * A completion script for bash, from the tables that --help is made of. An option whose value is a
 * choice ("human|json") or of a known kind (FMT, CODEC) completes it; all other words are files.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cli.h"

static const struct {
	const char *arg, *words;
} kinds[] = {
	{"FMT", "auto raw lsmt zfile ovbd image android-cow dm-update dm-snapshot"},
	{"CODEC", "lz4 zstd none"},
	{"ALGORITHM", "lz4 zstd gz brotli none"},
	{"SIZE", "4K 8K 16K 32K 64K"},
};

static void print_names(const struct ovbd_option *o)
{
	for (; o->id != 0; o++) {
		if (o->id < OVBD_OPTION_LONG)
			printf(" -%c", o->id);
		printf(" --%s", o->name);
	}
}

/* The words an option's value is one of; nothing if it may be anything. */
static void print_words(const char *arg)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(arg, kinds[i].arg) == 0)
			fputs(kinds[i].words, stdout);
	if (!strchr(arg, '|'))
		return;
	for (; *arg; arg++)
		putchar(*arg == '|' ? ' ' : *arg);
}

static void print_verb(const struct ovbd_verb *v)
{
	printf("\t%s)\n\t\tnames='", v->name);
	print_names(v->options);
	print_names(ovbd_common_options);
	printf("'\n\t\tcase $before in\n");
	for (const struct ovbd_option *o = v->options; o->id != 0; o++) {
		if (!o->arg || o->arg[0] == '[') /* what follows it is another word */
			continue;
		if (o->id < OVBD_OPTION_LONG)
			printf("\t\t-%c | ", o->id);
		else
			printf("\t\t");
		printf("--%s) value=1 words='", o->name);
		print_words(o->arg);
		printf("' ;;\n");
	}
	printf("\t\tesac\n\t\t;;\n");
}

void ovbd_completion_bash(void)
{
	printf("# bash completion for ovbd, made by: ovbd completion\n"
	       "_ovbd() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "\tlocal verb=${COMP_WORDS[1]} names= words= value=\n"
	       "\t[[ $1 = *ovbd-convert ]] && verb=convert\n"
	       "\tif [[ $COMP_CWORD = 1 && $1 != *ovbd-convert ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W '");
	for (const struct ovbd_verb *const *v = ovbd_verbs; *v; v++)
		printf("%s ", (*v)->name);
	printf("help --help --version' -- \"$word\"))\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\t# --name=value comes as three words\n"
	       "\t[[ $before = = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}\n"
	       "\t[[ $word = = ]] && before=${COMP_WORDS[COMP_CWORD - 1]} word=\n"
	       "\tcase $verb in\n");
	for (const struct ovbd_verb *const *v = ovbd_verbs; *v; v++)
		print_verb(*v);
	printf("\tesac\n"
	       "\t[[ $verb = bow && $COMP_CWORD = 2 && $word != -* ]] && words='restore commit "
	       "status check'\n"
	       "\t[[ $verb = cow && $COMP_CWORD = 2 && $word != -* ]] && words=create\n"
	       "\t[[ $verb = trace && $COMP_CWORD = 2 && $word != -* ]] && words='show merge "
	       "from-paths'\n"
	       "\t[[ $verb = verity && $COMP_CWORD = 2 && $word != -* ]] && words='create digest'\n"
	       "\tif [[ -n $words ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
	       "\telif [[ -z $value && $word = -* ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$names\" -- \"$word\"))\n"
	       "\telse\n"
	       "\t\tCOMPREPLY=($(compgen -f -- \"$word\"))\n"
	       "\tfi\n"
	       "}\n"
	       "complete -o filenames -F _ovbd ovbd ovbd-convert\n");
}
