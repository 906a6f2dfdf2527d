// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"
#include "remote/cache_key.h"
#include "tools/cache_tool.h"
#include "tools/json.h"
#include "tools/size.h"
#include "tools/text.h"

#define NAME_SHOWN 12
#define NAME_MIN   6

struct shown {
	char url[OVBD_HTTP_SHOWN_SIZE];
	char digest[OVBD_CACHE_DIGEST_SIZE];
};

static struct shown shown_of(const struct ovbd_cache_item *item)
{
	struct shown s = {.url = ""};

	if (item->key)
		ovbd_cache_key_show(item->key, s.url, s.digest);
	return s;
}

char *ovbd_cache_item_name(const struct ovbd_cache_item *item)
{
	const struct shown s = shown_of(item);

	return ovbd_text_escape(s.digest[0] ? s.digest : s.url[0] ? s.url : item->name);
}

bool ovbd_cache_item_is(const struct ovbd_cache_item *item, const char *name)
{
	const struct shown s = shown_of(item);
	const size_t n = strlen(name);
	const char *colon = strchr(s.digest, ':');

	if (n < NAME_MIN)
		return false;
	return strncmp(item->name, name, n) == 0 || strcmp(s.url, name) == 0 ||
	       (colon && (strncmp(colon + 1, name, n) == 0 ||
	                  (n >= (size_t)(colon - s.digest) + 1 + NAME_MIN &&
	                   strncmp(s.digest, name, n) == 0)));
}

void ovbd_cache_print_head(void)
{
	printf("%-*s %10s %10s  %-16s %-3s %s\n", NAME_SHOWN, "NAME", "SIZE", "PRESENT",
	       "LAST USED", "", "WHAT");
}

void ovbd_cache_print_item(const struct ovbd_cache_item *item)
{
	const struct shown s = shown_of(item);
	AUTO_FREE char *url = ovbd_text_escape(s.url), *digest = ovbd_text_escape(s.digest);
	char size[OVBD_SIZE_TEXT], present[OVBD_SIZE_TEXT], used[32] = "-";
	const time_t t = (time_t)item->used;
	struct tm tm;

	if (item->used && localtime_r(&t, &tm))
		strftime(used, sizeof(used), "%Y-%m-%d %H:%M", &tm);
	printf("%.*s %10s %10s  %-16s %c%c%c  %s%s%s\n", NAME_SHOWN, item->name,
	       ovbd_size_text(size, item->size), ovbd_size_text(present, item->present), used,
	       item->pinned ? 'P' : '-', item->in_use ? 'U' : '-', item->whole ? 'W' : '-',
	       !item->key ? "(damaged)"
	       : digest   ? digest
	                  : "",
	       digest && digest[0] ? " " : "", url ? url : "");
}

json_t *ovbd_cache_item_json(const struct ovbd_cache_item *item, const struct ovbd_cache_damage *d)
{
	const struct shown s = shown_of(item);
	json_t *obj = json_object();

	ovbd_json_set_text(obj, "name", item->name);
	if (s.url[0])
		ovbd_json_set_text(obj, "url", s.url);
	if (s.digest[0])
		ovbd_json_set_text(obj, "digest", s.digest);
	ovbd_json_set_size(obj, "size", item->size);
	ovbd_json_set_size(obj, "present", item->present);
	ovbd_json_set_size(obj, "disk", item->disk);
	ovbd_json_set_size(obj, "chunk-size", item->chunk_size);
	ovbd_json_set_size(obj, "last-used", item->used);
	ovbd_json_set_bool(obj, "pinned", item->pinned);
	ovbd_json_set_bool(obj, "in-use", item->in_use);
	ovbd_json_set_bool(obj, "whole", item->whole);
	if (!d)
		return obj;
	ovbd_json_set_text(obj, "result", d->what.msg[0] ? "corrupt" : "clean");
	ovbd_json_set_size(obj, "wrong-chunks", d->nchunks);
	if (d->what.msg[0]) {
		ovbd_json_set_text(obj, "error", d->what.msg);
		ovbd_json_set_bool(obj, "repaired", d->repaired);
	}
	return obj;
}
