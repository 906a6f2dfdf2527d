// SPDX-License-Identifier: Apache-2.0
/*
 * A manifest or index, a NUL, and a config: planned as ovbd convert does it, in a layout that is
 * made of them. If the manifest names a config it is made to name this one. What comes before the
 * NUL is a name, too.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

#include "oci/convert_impl.h"

static char dir[64];

static void remove_layout(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		abort();
}

static struct oci_source *open_layout(void)
{
	static const struct oci_how how;
	static struct oci_source *s;
	struct oci_layout *l;
	char name[96];

	if (!s) {
		strcpy(dir, "/tmp/ovbd-fuzz-oci-XXXXXX");
		if (!mkdtemp(dir) || oci_layout_create(dir, &l, NULL) < 0)
			abort();
		oci_layout_close(l);
		snprintf(name, sizeof(name), "oci:%s:t", dir);
		if (oci_source_open(name, &how, &s, NULL) < 0)
			abort();
		atexit(remove_layout);
	}
	return s;
}

/* As a blob, without the care that a real one is written with. */
static void put(const void *buf, size_t len, struct oci_ref *ret)
{
	char path[256];
	FILE *f;

	if (oci_digest_of(buf, len, ret->digest, NULL) < 0)
		abort();
	ret->size = len;
	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", dir, ret->digest + 7);
	f = fopen(path, "w");
	if (!f || fwrite(buf, 1, len, f) != len || fclose(f) != 0)
		abort();
}

static void drop(const struct oci_ref *ref)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", dir, ref->digest + 7);
	unlink(path);
}

/* Makes the config that the document names this one. */
static void name_config(const char *text, size_t len, const struct oci_ref *config,
                        struct oci_ref *ret)
{
	AUTO_JSON *v = NULL;
	AUTO_FREE char *changed = NULL;
	json_t *c;

	if (oci_json_parse(text, len, "fuzz", &v, NULL) == 0 &&
	    json_is_object(c = json_object_get(v, "config")) && oci_ref_set(c, config, NULL) == 0 &&
	    oci_json_text(v, &changed, NULL) == 0)
		put(changed, strlen(changed), ret);
	else
		put(text, len, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ovbd_oci_convert c = {.attestations = true};
	struct oci_work w = {.c = &c, .src = open_layout()};
	const char *text = (const char *)data;
	const size_t first = strnlen(text, size);
	AUTO_FREE char *name = strndup(text, first);
	struct oci_ref config = {0}, ref = {0};
	struct ovbd_oci_name n;
	struct ovbd_error err;

	if (name && ovbd_oci_name_parse(name, &n, &err) == 0)
		ovbd_oci_name_free(&n);
	put(data + first, size - first, &config);
	if (first < size) {
		drop(&config);
		put(data + first + 1, size - first - 1, &config);
	}
	name_config(text, first, &config, &ref);
	if (oci_plan(&w, &ref, &err) == 0 && oci_known_use(&w, &err) < 0)
		abort();
	oci_node_free(&w.root);
	free(w.images);
	drop(&config);
	drop(&ref);
	return 0;
}
