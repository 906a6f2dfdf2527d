// SPDX-License-Identifier: Apache-2.0
/* cache: what is in the directory of --cache, and what is done with it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "remote/cache_key.h"
#include "tools/cache_tool.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/text.h"
#include "tools/verbs.h"

enum { OPT_SIZE = OVBD_OPTION_LONG, OPT_REPAIR };
enum { EXIT_CLEAN = 0, EXIT_UNCHECKED = 1, EXIT_CORRUPT = 2 }; /* as check */

#define JOBS_DEFAULT 8
#define JOBS_MAX     64

static const struct ovbd_option options[] = {
	OVBD_CACHE_OPTIONS,
	{OPT_SIZE, "size", "SIZE", "gc: what may be left (default: all that is of use)."},
	{OPT_REPAIR, "repair", NULL,
         "verify: take out what is wrong, so that it is fetched again."},
	{'j', "jobs", "N", "prefetch: so many requests at a time (default 8)."},
	OVBD_OPTION_FORMAT_ENTRY,
	OVBD_OPTION_OUTPUT_ENTRY,
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd cache ls --cache kept", "What is there."},
	{"ovbd cache verify --repair --cache kept", "Is it right? What is not goes."},
	{"ovbd cache gc --size 2G --cache kept",
         "What was unused for longest goes, until 2 GiB are left."},
	{"ovbd cache prefetch --cache kept image.json", "All of an image, ahead."},
	{"ovbd cache pin --cache kept sha256:4f53cda1", "And it is to stay."},
	{NULL},
};

struct request {
	struct ovbd_cli *c;
	bool json, repair, progress;
	uint64_t size; /* of gc; UINT64_MAX: any */
	unsigned njobs;
	struct ovbd_image_params how;
	const char *const *names; /* after the word that says what to do */
	size_t nnames;
};

/* ---- ls ---- */

struct listing {
	const struct request *q;
	json_t *blobs; /* or NULL */
	uint64_t nblobs, disk;
};

static int list_item(void *ctx, const struct ovbd_cache_item *item)
{
	struct listing *l = ctx;

	l->nblobs++;
	l->disk += item->disk;
	if (l->blobs)
		ovbd_json_append(l->blobs, ovbd_cache_item_json(item, NULL));
	else
		ovbd_cache_print_item(item);
	return ovbd_interrupted() ? -ECANCELED : 0;
}

static int list(const struct request *q, struct ovbd_cache *cache)
{
	struct listing l = {.q = q, .blobs = q->json ? json_array() : NULL};
	char size[OVBD_SIZE_TEXT], blobs[OVBD_COUNT_TEXT];
	struct ovbd_error err = {"interrupted"};
	int r;

	if (!q->json && !q->c->quiet)
		ovbd_cache_print_head();
	r = ovbd_cache_list(cache, list_item, &l, &err);
	if (r < 0)
		return ovbd_cli_fail(q->c, r, false, &err);
	if (q->json) {
		json_t *obj = ovbd_json_create("cache-ls");

		ovbd_json_set_size(obj, "disk", l.disk);
		ovbd_json_set(obj, "blobs", l.blobs);
		ovbd_json_print(obj);
	} else if (!q->c->quiet) {
		printf("%s, %s\n", ovbd_count_text(blobs, l.nblobs, "blob"),
		       ovbd_size_text(size, l.disk));
	}
	return OVBD_EXIT_OK;
}

/* ---- verify ---- */

struct verifying {
	const struct request *q;
	json_t *blobs;
	uint64_t nblobs, present, nbad, nrepaired;
};

static int verify_item(void *ctx, const struct ovbd_cache_item *item,
                       const struct ovbd_cache_damage *d)
{
	struct verifying *v = ctx;
	const bool bad = d->what.msg[0];
	char more[OVBD_COUNT_TEXT + 32] = "", chunks[OVBD_COUNT_TEXT];
	AUTO_FREE char *name = NULL;

	v->nblobs++;
	v->present += item->present;
	v->nbad += bad;
	v->nrepaired += bad && d->repaired;
	if (v->blobs)
		ovbd_json_append(v->blobs, ovbd_cache_item_json(item, d));
	if (!bad || v->blobs)
		return ovbd_interrupted() ? -ECANCELED : 0;
	name = ovbd_cache_item_name(item);
	if (d->nchunks > 1)
		snprintf(more, sizeof(more), "; %s in all",
		         ovbd_count_text(chunks, d->nchunks, "chunk"));
	ovbd_cli_error(v->q->c, "%.12s: %s: %s%s%s", item->name, name ? name : "", d->what.msg,
	               more,
	               d->repaired    ? "; repaired"
	               : v->q->repair ? "; in use"
	                              : "");
	return ovbd_interrupted() ? -ECANCELED : 0;
}

static int verify(const struct request *q, struct ovbd_cache *cache)
{
	struct verifying v = {.q = q, .blobs = q->json ? json_array() : NULL};
	char size[OVBD_SIZE_TEXT], blobs[OVBD_COUNT_TEXT];
	struct ovbd_error err = {"interrupted"};
	const int r = ovbd_cache_verify(cache, q->repair, verify_item, &v, &err);

	if (r < 0) {
		ovbd_cli_fail(q->c, r, false, &err);
		return ovbd_interrupted() ? OVBD_EXIT_SIGNAL + ovbd_interrupted() : EXIT_UNCHECKED;
	}
	if (q->json) {
		json_t *obj = ovbd_json_create("cache-verify");

		ovbd_json_set_text(obj, "result", v.nbad ? "corrupt" : "clean");
		ovbd_json_set(obj, "blobs", v.blobs);
		ovbd_json_print(obj);
	} else if (!q->c->quiet) {
		printf("%s, %s: ", ovbd_count_text(blobs, v.nblobs, "blob"),
		       ovbd_size_text(size, v.present));
		if (v.nbad)
			printf("%" PRIu64 " damaged, %" PRIu64 " repaired\n", v.nbad, v.nrepaired);
		else
			printf("good\n");
	}
	return v.nbad == v.nrepaired ? EXIT_CLEAN : EXIT_CORRUPT;
}

/* ---- gc ---- */

static int gc(const struct request *q, struct ovbd_cache *cache)
{
	char size[OVBD_SIZE_TEXT];
	struct ovbd_error err;
	uint64_t left;
	const int r = ovbd_cache_gc(cache, q->size, &left, &err);

	if (r < 0)
		return ovbd_cli_fail(q->c, r, false, &err);
	if (q->json) {
		json_t *obj = ovbd_json_create("cache-gc");

		ovbd_json_set_size(obj, "disk", left);
		ovbd_json_print(obj);
	} else if (!q->c->quiet) {
		printf("%s left\n", ovbd_size_text(size, left));
	}
	if (left > q->size)
		ovbd_cli_warning(q->c, "what is left is pinned, or was used meanwhile");
	return OVBD_EXIT_OK;
}

/* ---- pin ---- */

struct pinning {
	struct ovbd_cache *cache;
	const char *name;
	bool pin;
	uint64_t n;
	struct ovbd_error err;
};

static int pin_item(void *ctx, const struct ovbd_cache_item *item)
{
	struct pinning *p = ctx;
	char url[OVBD_HTTP_SHOWN_SIZE], digest[OVBD_CACHE_DIGEST_SIZE];
	char key[OVBD_HTTP_SHOWN_SIZE + OVBD_CACHE_DIGEST_SIZE + 2];

	if (!ovbd_cache_item_is(item, p->name))
		return 0;
	p->n++;
	ovbd_cache_key_show(item->key ? item->key : "", url, digest);
	snprintf(key, sizeof(key), "%s %s", url, digest);
	return ovbd_cache_pin(p->cache, item->name, key, p->pin, &p->err);
}

static int pin(const struct request *q, struct ovbd_cache *cache, bool on)
{
	if (q->nnames == 0)
		return ovbd_cli_usage(q->c, "NAME is missing");
	for (size_t i = 0; i < q->nnames; i++) {
		struct pinning p = {.cache = cache, .name = q->names[i], .pin = on};
		const int r = ovbd_cache_list(cache, pin_item, &p, &p.err);

		if (r < 0)
			return ovbd_cli_fail(q->c, r, false, &p.err);
		if (p.n == 0) {
			ovbd_cli_error(q->c,
			               "%s: nothing in the cache is called so: 6 letters at least "
			               "of a NAME or digest that 'ovbd cache ls' shows, or its URL",
			               q->names[i]);
			return OVBD_EXIT_FAILURE;
		}
	}
	return OVBD_EXIT_OK;
}

/* ---- prefetch ---- */

static int prefetch(const struct request *q)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_cache_stats s;
	struct ovbd_error err;
	char size[OVBD_SIZE_TEXT], fetched[OVBD_SIZE_TEXT];
	uint64_t done = 0;
	int status, r;

	if (q->nnames == 0)
		return ovbd_cli_usage(q->c, "SRC is missing");
	if (ovbd_source_open(q->c, q->names, q->nnames, &q->how, &img, &status) < 0)
		return status;
	r = ovbd_cache_prefetch(q->c, img, q->njobs, q->progress, &done, &err);
	if (r < 0)
		return ovbd_cli_fail(q->c, r, true, &err);
	s = ovbd_cache_stats(img->cache);
	if (q->json) {
		json_t *obj = ovbd_json_create("cache-prefetch");

		ovbd_json_set_size(obj, "size", done);
		ovbd_json_set_size(obj, "fetched", s.source_bytes);
		ovbd_json_print(obj);
	} else if (!q->c->quiet) {
		printf("%s, %s of it fetched\n", ovbd_size_text(size, done),
		       ovbd_size_text(fetched, s.source_bytes));
	}
	if (ovbd_cache_trouble(img->cache, &err) || s.nunstored > 0) {
		ovbd_cli_error(q->c, "%s",
		               s.nunstored && !err.msg[0] ? "there is no room for all of it"
		                                          : err.msg);
		return OVBD_EXIT_FAILURE;
	}
	return OVBD_EXIT_OK;
}

/* ---- the command line ---- */

static int dispatch(const struct request *q, const char *what)
{
	OVBD_AUTO(ovbd_cache_closep) struct ovbd_cache *cache = NULL;
	struct ovbd_error err;
	int r;

	if (strcmp(what, "prefetch") == 0)
		return prefetch(q);
	r = ovbd_cache_attach(q->c->cache_dir, &cache, &err);
	if (r < 0)
		return ovbd_cli_fail(q->c, r, false, &err);
	if (strcmp(what, "pin") == 0 || strcmp(what, "unpin") == 0)
		return pin(q, cache, what[0] == 'p');
	if (q->nnames > 0)
		return ovbd_cli_usage(q->c, "unexpected word '%s'", q->names[0]);
	if (strcmp(what, "ls") == 0)
		return list(q, cache);
	return strcmp(what, "gc") == 0 ? gc(q, cache) : verify(q, cache);
}

static int take_option(struct request *q, int id)
{
	struct ovbd_cli *c = q->c;
	char *end;

	if (id == OPT_SIZE && ovbd_size_parse(c->value, &q->size) < 0)
		return ovbd_cli_usage(c, "--size %s: it is a size", c->value), -1;
	if (id == OPT_REPAIR)
		q->repair = true;
	if (id == 'p')
		q->progress = true;
	if (id == 'j') {
		q->njobs = (unsigned)strtoul(c->value, &end, 10);
		if (*end || q->njobs == 0 || q->njobs > JOBS_MAX)
			return ovbd_cli_usage(c, "-j %s: from 1 to %d", c->value, JOBS_MAX), -1;
	}
	if (id == 'f')
		return ovbd_source_format(c, c->value, &q->how.format);
	return id == OVBD_OPTION_OUTPUT ? ovbd_json_wanted(c, c->value, &q->json) : 0;
}

static int run(struct ovbd_cli *c)
{
	static const char *const words[] = {"ls", "verify", "gc", "pin", "unpin", "prefetch"};
	struct request q = {.c = c,
	                    .size = UINT64_MAX,
	                    .njobs = JOBS_DEFAULT,
	                    .how = {.format = OVBD_FORMAT_AUTO}};
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (take_option(&q, id) < 0)
			return c->status;
	if (id < 0)
		return c->status;
	if (c->noperands == 0)
		return ovbd_cli_usage(c, "say what: ls, verify, gc, pin, unpin or prefetch");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(c->operands[0], words[i]) != 0)
			continue;
		if (!c->cache_dir)
			return ovbd_cli_usage(c, "--cache DIR is missing");
		q.names = c->operands + 1;
		q.nnames = c->noperands - 1;
		ovbd_interrupt_catch();
		return dispatch(&q, words[i]);
	}
	return ovbd_cli_usage(c, "'%s': there are ls, verify, gc, pin, unpin and prefetch",
	                      c->operands[0]);
}

const struct ovbd_verb ovbd_verb_cache = {
	.name = "cache",
	.summary = "Look after what is kept of remote layers",
	.usage = "ls|verify|gc|pin|unpin|prefetch [NAME|SRC]...",
	.text = "ls lists what is in DIR. verify reads all of it and finds what is wrong. gc "
		"removes what was unused for longest, down to --size. pin keeps blobs from that, "
		"whoever does it; unpin ends this. prefetch fetches all of an image's layers, SRC. "
		"Others, ovbdd too, may use DIR meanwhile.",
	.options = options,
	.examples = examples,
	.exits = "verify: 0 clean, or repaired; 1 could not be checked; 2 corrupt (or wrong "
		 "usage).",
	.run = run,
};
