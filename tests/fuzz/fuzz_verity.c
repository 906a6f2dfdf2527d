// SPDX-License-Identifier: Apache-2.0
/* A root as text; and a Merkle tree from anybody, above data from anybody: what is read is what was
 * sealed, or an error. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "remote/verity_format.h"

#define BLOCK     OVBD_VERITY_BLOCK
#define DATA_SIZE (130u * BLOCK + 77)

/* What was sealed, and its root. */
static uint8_t *sealed, *tree;
static size_t tree_size;
static struct ovbd_verity_root root;

static void seal(void)
{
	struct ovbd_sink *sink = NULL;
	struct ovbd_blob *b = NULL;

	sealed = malloc(DATA_SIZE);
	if (!sealed || ovbd_sink_create_mem(&sink, NULL) < 0)
		abort();
	for (size_t i = 0; i < DATA_SIZE; i++)
		sealed[i] = (uint8_t)(i ^ i >> 9);
	if (ovbd_blob_open_mem(sealed, DATA_SIZE, &b, NULL) < 0 ||
	    ovbd_verity_measure(b, sink, NULL, NULL, &root, NULL) < 0 ||
	    ovbd_sink_finish(sink, NULL) < 0)
		abort();
	tree = ovbd_sink_mem_take(sink, &tree_size);
	ovbd_blob_close(b);
	ovbd_sink_close(sink);
}

/* Puts bytes of the input over one of the two: 3 bytes of place, 1 of length, and so many. */
static void scribble(uint8_t *bytes, size_t len, const uint8_t **data, size_t *size)
{
	while (*size >= 5) {
		const size_t at =
			((*data)[0] | (size_t)(*data)[1] << 8 | (size_t)(*data)[2] << 16) % len;
		const size_t n = ovbd_min(ovbd_min((*data)[3] + 1u, *size - 4), len - at);
		const bool last = (*data)[3] & 1;

		memcpy(bytes + at, *data + 4, n);
		*data += 4 + n;
		*size -= 4 + n;
		if (last)
			break;
	}
}

static void read_all(const uint8_t *bytes, size_t len, const uint8_t *t, size_t tlen)
{
	struct ovbd_blob *source = NULL, *tblob = NULL, *b = NULL;
	struct ovbd_error err;
	static uint8_t buf[BLOCK];

	if (ovbd_blob_open_mem(bytes, len, &source, &err) < 0 ||
	    ovbd_blob_open_mem(t, tlen, &tblob, &err) < 0)
		abort();
	if (ovbd_verity_blob_open(source, "data", tblob, "tree", &root, false, &b, &err) < 0)
		return;
	if (b->size != DATA_SIZE)
		abort();
	for (uint64_t off = 1; off + BLOCK < DATA_SIZE; off += 3 * BLOCK)
		if (ovbd_blob_pread(b, buf, BLOCK, off, &err) == 0 &&
		    memcmp(buf, sealed + off, BLOCK) != 0)
			abort();
	ovbd_blob_close(b);
}

static void parse_root(const uint8_t *data, size_t size)
{
	char text[100] = "", back[OVBD_VERITY_TEXT_SIZE];
	struct ovbd_verity_root parsed;

	memcpy(text, data, ovbd_min(size, sizeof(text) - 1));
	if (ovbd_verity_root_parse(text, &parsed, NULL) < 0)
		return;
	ovbd_verity_root_text(&parsed, back);
	if (strcasecmp(back, text) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes, *t;
	size_t cut;

	if (!sealed)
		seal();
	parse_root(data, size);
	if (size < 3)
		return 0;
	verity_geometry(size >= 8 ? ovbd_get_le64(data) : size);
	bytes = malloc(DATA_SIZE);
	t = malloc(tree_size);
	if (!bytes || !t)
		abort();
	memcpy(bytes, sealed, DATA_SIZE);
	memcpy(t, tree, tree_size);
	cut = data[0] == 1 ? data[1] : 0;
	data += 2;
	size -= 2;
	scribble(t, tree_size, &data, &size);
	scribble(bytes, DATA_SIZE, &data, &size);
	read_all(bytes, DATA_SIZE - cut, t, tree_size);
	free(bytes);
	free(t);
	return 0;
}
