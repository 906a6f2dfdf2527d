// SPDX-License-Identifier: Apache-2.0
/* Keys and their meaning: docs/image-config.md. Parsing and checking only; nothing is opened
 * here. */
#include "image/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "base/bytes.h"
#include "image/bow.h"
#include "image/image.h"
#include "lsmt/lsmt.h"
#include "remote/verity.h"

/* Where we are in the document, for messages: "config.json: lowers[2]." */
struct place {
	const char *name;
	char path[64];
	struct ovbd_error *err;
};

#define AUTO_JSON OVBD_AUTO(json_decrefp) json_t

static const char *type_name(const json_t *j)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string",    [JSON_INTEGER] = "an integer",
		[JSON_REAL] = "a real number", [JSON_TRUE] = "true",
		[JSON_FALSE] = "false",        [JSON_NULL] = "null",
	};

	return names[json_typeof(j)];
}

const char *ovbd_config_ignored_name(enum ovbd_config_ignored key)
{
	static const char *const names[] = {
		[OVBD_CONFIG_RECORD_TRACE] = "recordTracePath (beside accelerationLayer)",
		[OVBD_CONFIG_UPPER] = "upper (without index or data)",
	};

	return names[key];
}

static int wrong_type(const struct place *at, const char *key, const char *want, const json_t *have)
{
	return ovbd_fail(at->err, -EBADMSG, "%s: %s%s must be %s, not %s", at->name, at->path, key,
	                 want, type_name(have));
}

/* The string at key, "" if it is not there. *ret is to be freed. */
static int get_string(const struct place *at, const json_t *obj, const char *key, char **ret)
{
	const json_t *v = json_object_get(obj, key);

	if (v && !json_is_string(v) && !json_is_null(v))
		return wrong_type(at, key, "a string", v);
	*ret = strdup(json_is_string(v) ? json_string_value(v) : "");
	if (!*ret)
		return ovbd_fail(at->err, -ENOMEM, "out of memory");
	return 0;
}

static int get_size(const struct place *at, const json_t *obj, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(obj, key);

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_integer(v))
		return wrong_type(at, key, "an integer", v);
	if (json_integer_value(v) < 0)
		return ovbd_fail(at->err, -EBADMSG, "%s: %s%s is negative", at->name, at->path,
		                 key);
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int get_bool(const struct place *at, const json_t *obj, const char *key, bool *ret)
{
	const json_t *v = json_object_get(obj, key);

	if (v && !json_is_boolean(v) && !json_is_null(v))
		return wrong_type(at, key, "true or false", v);
	*ret = json_is_true(v);
	return 0;
}

/* Notes that key means nothing yet. */
static void ignore(struct ovbd_config *c, enum ovbd_config_ignored key)
{
	c->ignored |= 1u << key;
}

/* 1 if the string at key is there and not empty. */
static int has_text(const struct place *at, const json_t *obj, const char *key)
{
	AUTO_FREE char *v = NULL;
	const int r = get_string(at, obj, key, &v);

	return r < 0 ? r : v[0] != '\0';
}

/* A layer that only names files of another one: without it the device would have wrong bytes. */
static int refuse_turbo(const struct place *at, const json_t *obj, const char *key)
{
	const int r = has_text(at, obj, key);

	if (r <= 0)
		return r;
	return ovbd_fail(at->err, -ENOTSUP,
	                 "%s: %s%s: a turboOCI layer cannot be opened by this version; use the "
	                 "image's overlaybd variant, or convert it to one",
	                 at->name, at->path, key);
}

/* What the layer's bytes are to be proven with. */
static int parse_verity(const struct place *at, const json_t *obj, struct ovbd_layer_ref *l)
{
	const json_t *verity = json_object_get(obj, "verity");
	struct place within = *at;
	struct ovbd_verity_root root;
	int r;

	if (verity && !json_is_object(verity) && !json_is_null(verity))
		return wrong_type(at, "verity", "an object", verity);
	r = snprintf(within.path, sizeof(within.path), "%sverity.", at->path);
	assert(r > 0 && (size_t)r < sizeof(within.path));
	r = get_string(&within, verity, "root", &l->verity_root);
	if (r == 0)
		r = get_string(&within, verity, "file", &l->verity_file);
	if (r == 0)
		r = get_string(&within, verity, "url", &l->verity_url);
	if (r < 0 || !json_is_object(verity))
		return r;
	/* one without a root must not pass for one that proves something */
	r = ovbd_verity_root_parse(l->verity_root, &root, at->err);
	return r < 0 ? ovbd_fail_within(at->err, r, "%s: %sroot", at->name, within.path) : 0;
}

/* What a snapshot has left to be done. */
static int parse_sealing(const struct place *at, const json_t *obj, struct ovbd_layer_ref *l)
{
	const json_t *sealing = json_object_get(obj, "sealing");
	struct place within = *at;
	int r;

	if (sealing && !json_is_object(sealing) && !json_is_null(sealing))
		return wrong_type(at, "sealing", "an object", sealing);
	r = snprintf(within.path, sizeof(within.path), "%ssealing.", at->path);
	assert(r > 0 && (size_t)r < sizeof(within.path));
	l->sealing = json_is_object(sealing);
	r = get_string(&within, sealing, "index", &l->sealing_index);
	if (r == 0)
		r = get_size(&within, sealing, "beneath", &l->beneath);
	if (r == 0 && l->sealing && !l->file[0])
		r = ovbd_fail(at->err, -EBADMSG, "%s: %ssealing: of no file", at->name, at->path);
	return r;
}

static int parse_lower(const struct place *at, const json_t *obj, struct ovbd_layer_ref *l)
{
	int r;

	r = get_string(at, obj, "file", &l->file);
	if (r == 0)
		r = get_string(at, obj, "dir", &l->dir);
	if (r == 0)
		r = get_string(at, obj, "url", &l->url);
	if (r == 0)
		r = get_string(at, obj, "digest", &l->digest);
	if (r == 0)
		r = get_size(at, obj, "size", &l->size);
	if (r == 0)
		r = parse_verity(at, obj, l);
	if (r == 0)
		r = parse_sealing(at, obj, l);
	if (r == 0)
		r = refuse_turbo(at, obj, "targetFile");
	if (r == 0)
		r = refuse_turbo(at, obj, "targetDigest");
	if (r == 0)
		r = has_text(at, obj, "gzipIndex"); /* without a target it has no meaning */
	return r < 0 ? r : 0;
}

static int parse_lowers(struct place *at, const json_t *root, struct ovbd_config *c)
{
	const json_t *lowers = json_object_get(root, "lowers");
	const size_t n = json_array_size(lowers);
	int r = 0;

	if (lowers && !json_is_array(lowers))
		return wrong_type(at, "lowers", "an array", lowers);
	if (n == 0 && c->upper_data[0])
		return 0;
	if (n == 0)
		return ovbd_fail(at->err, -EBADMSG, "%s: lowers names no layer", at->name);
	/* one more than a stack has, for the acceleration layer that is taken off again */
	if (n > OVBD_LAYERS_MAX + 1)
		return ovbd_fail(at->err, -E2BIG,
		                 "%s: lowers names %zu layers; a stack has at most %u", at->name, n,
		                 OVBD_LAYERS_MAX);
	c->lowers = ovbd_array_alloc(n, sizeof(c->lowers[0]));
	if (!c->lowers)
		return ovbd_fail(at->err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < n; i++) {
		const json_t *lower = json_array_get(lowers, i);
		char key[32];

		snprintf(key, sizeof(key), "lowers[%zu]", i);
		if (!json_is_object(lower))
			return wrong_type(at, key, "an object", lower);
		snprintf(at->path, sizeof(at->path), "%s.", key);
		c->nlowers = i + 1;
		r = parse_lower(at, lower, &c->lowers[i]);
		at->path[0] = '\0';
	}
	return r;
}

/* As overlaybd has it: writable only with both files. file is ours: an ovbd-rw is one. */
static int parse_upper(struct place *at, const json_t *root, struct ovbd_config *c)
{
	const json_t *upper = json_object_get(root, "upper");
	AUTO_FREE char *file = NULL;
	int r;

	if (upper && !json_is_object(upper) && !json_is_null(upper))
		return wrong_type(at, "upper", "an object", upper);
	snprintf(at->path, sizeof(at->path), "upper.");
	r = get_string(at, upper, "index", &c->upper_index);
	if (r == 0)
		r = get_string(at, upper, "data", &c->upper_data);
	if (r == 0)
		r = get_string(at, upper, "file", &file);
	if (r == 0)
		r = refuse_turbo(at, upper, "target");
	at->path[0] = '\0';
	if (r < 0)
		return r;
	if (file[0] && (c->upper_index[0] || c->upper_data[0]))
		return ovbd_fail(at->err, -EBADMSG,
		                 "%s: upper: names both a file, and index or data", at->name);
	if (file[0]) {
		free(c->upper_data);
		c->upper_data = OVBD_MOVE(file);
	} else if (!c->upper_index[0] || !c->upper_data[0]) {
		if (c->upper_index[0] || c->upper_data[0])
			ignore(c, OVBD_CONFIG_UPPER);
		c->upper_index[0] = c->upper_data[0] = '\0';
	}
	return 0;
}

/* What is to be fetched in the background. As the original has it, what it does not say is not what
 * the daemon's configuration says, but the default. */
static int parse_download(struct place *at, const json_t *root, struct ovbd_config *c)
{
	struct ovbd_download_params p = ovbd_download_defaults();
	const struct {
		const char *key;
		uint64_t *value;
	} numbers[] = {
		{"delay", &p.delay_s}, {"delayExtra", &p.delay_extra_s}, {"maxMBps", &p.max_mbps},
		{"tryCnt", &p.tries},  {"blockSize", &p.block_size},
	};
	const json_t *download = json_object_get(root, "download");
	int r;

	if (!download || json_is_null(download))
		return 0;
	if (!json_is_object(download))
		return wrong_type(at, "download", "an object", download);
	snprintf(at->path, sizeof(at->path), "download.");
	r = get_bool(at, download, "enable", &p.enable);
	for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		r = get_size(at, download, numbers[i].key, numbers[i].value);
	at->path[0] = '\0';
	c->has_download = true;
	c->download = p;
	return r;
}

static int parse_prefetch(struct place *at, const json_t *root, struct ovbd_config *c)
{
	enum ovbd_prefetch_mode mode;
	int r = get_string(at, root, "recordTracePath", &c->record_path);

	if (r == 0)
		r = get_string(at, root, "trace", &c->trace);
	if (r == 0)
		r = get_string(at, root, "prefetch", &c->prefetch);
	if (r == 0 && c->prefetch[0] && ovbd_prefetch_mode_parse(c->prefetch, &mode) < 0)
		return ovbd_fail(at->err, -EBADMSG,
		                 "%s: prefetch: '%.40s' is none of none, trace and all", at->name,
		                 c->prefetch);
	return r;
}

/* A device with backup on write, and nothing else: it is no layer of anything. */
static int parse_bow(const struct place *at, const json_t *root, struct ovbd_config *c)
{
	AUTO_FREE char *on_full = NULL;
	uint64_t block_size = 0;
	int r = get_string(at, root, "bow", &c->bow);

	if (r == 0)
		r = get_size(at, root, "blockSize", &block_size);
	if (r == 0)
		r = get_size(at, root, "minFree", &c->bow_params.min_free);
	if (r == 0)
		r = get_string(at, root, "onFull", &on_full);
	if (r < 0 || !c->bow[0])
		return r;
	if (c->upper_data[0] || json_object_get(root, "lowers"))
		return ovbd_fail(at->err, -EBADMSG,
		                 "%s: bow: names a device, beside which there are no lowers and no "
		                 "upper",
		                 at->name);
	if (on_full[0] && ovbd_bow_on_full_parse(on_full, &c->bow_params.on_full) < 0)
		return ovbd_fail(at->err, -EBADMSG,
		                 "%s: onFull: '%.40s' is none of error, commit and abort", at->name,
		                 on_full);
	r = ovbd_image_bow_check_block_size(block_size, at->err);
	if (r < 0)
		return ovbd_fail_within(at->err, -EBADMSG, "%s: blockSize", at->name);
	c->bow_params.block_size = (uint32_t)block_size;
	return 0;
}

static void free_lower(struct ovbd_layer_ref *l)
{
	free(l->file);
	free(l->dir);
	free(l->url);
	free(l->digest);
	free(l->verity_root);
	free(l->verity_file);
	free(l->verity_url);
	free(l->sealing_index);
}

/* The last one holds a trace, not blocks. */
static void take_last_lower(struct ovbd_config *c)
{
	struct ovbd_layer_ref *last = &c->lowers[--c->nlowers];

	c->trace_dir = OVBD_MOVE(last->dir);
	free_lower(last);
	if (c->record_path[0] != '\0')
		ignore(c, OVBD_CONFIG_RECORD_TRACE);
}

static int parse_root(struct place *at, const json_t *root, struct ovbd_config *c)
{
	bool accelerated = false;
	int r;

	r = get_string(at, root, "repoBlobUrl", &c->repo_blob_url);
	if (r == 0)
		r = get_string(at, root, "resultFile", &c->result_file);
	if (r == 0)
		r = parse_upper(at, root, c);
	if (r == 0)
		r = parse_bow(at, root, c);
	if (r == 0 && !c->bow[0])
		r = parse_lowers(at, root, c);
	if (r == 0)
		r = parse_download(at, root, c);
	if (r == 0)
		r = parse_prefetch(at, root, c);
	if (r == 0)
		r = get_bool(at, root, "accelerationLayer", &accelerated);
	if (r == 0)
		r = get_size(at, root, "deadline", &c->deadline_s);
	if (r == 0 && c->deadline_s > OVBD_CONFIG_DEADLINE_MAX)
		r = ovbd_fail(at->err, -EBADMSG, "%s: deadline: at most %d seconds", at->name,
		              OVBD_CONFIG_DEADLINE_MAX);
	if (r < 0 || c->bow[0])
		return r;
	if (accelerated && c->nlowers > 0)
		take_last_lower(c);
	if (c->nlowers == 0 && !c->upper_data[0])
		return ovbd_fail(at->err, -EBADMSG, "%s: lowers names no layer of blocks",
		                 at->name);
	if (c->nlowers > OVBD_LAYERS_MAX)
		return ovbd_fail(at->err, -E2BIG,
		                 "%s: lowers names %zu layers; a stack has at most %u", at->name,
		                 c->nlowers, OVBD_LAYERS_MAX);
	return 0;
}

int ovbd_config_parse(const char *text, size_t len, const char *name, struct ovbd_config **ret,
                      struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	AUTO_JSON *root = NULL;
	struct place at = {.name = name, .err = err};
	json_error_t why;
	int r;

	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return ovbd_fail(err, -EBADMSG, "%s: line %d, column %d: %s", name, why.line,
		                 why.column, why.text);
	if (!json_is_object(root))
		return wrong_type(&at, "the configuration", "an object", root);
	c = calloc(1, sizeof(*c));
	if (!c)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = parse_root(&at, root, c);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(c);
	return 0;
}

/* A disk image holds NUL bytes, and no JSON does. */
bool ovbd_config_probe(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n'))
		i++;
	return i < len && text[i] == '{' && !memchr(text, '\0', len);
}

void ovbd_config_free(struct ovbd_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nlowers; i++)
		free_lower(&c->lowers[i]);
	free(c->lowers);
	free(c->upper_data);
	free(c->upper_index);
	free(c->repo_blob_url);
	free(c->result_file);
	free(c->record_path);
	free(c->trace_dir);
	free(c->trace);
	free(c->prefetch);
	free(c->bow);
	free(c);
}
