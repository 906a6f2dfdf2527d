// SPDX-License-Identifier: Apache-2.0
/*
 * Reading what is proven by a Merkle tree, and making one. The limit is libcrypto's SHA-256 of the
 * same bytes, in memory, in one piece.
 */
#include "bench/bench.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "remote/verity.h"

#define DATA_SIZE (64u << 20)
#define MB        1e6

struct input {
	const uint8_t *data;
	uint8_t *tree, *buf;
	struct ovbd_blob *plain, *proven;
	size_t request; /* bytes of each read */
};

static void check(int r, const struct ovbd_error *err)
{
	if (r < 0) {
		fprintf(stderr, "bench: %s\n", err->msg);
		exit(1);
	}
}

static void hash(void *arg)
{
	const struct input *in = arg;
	uint8_t digest[32];

	if (EVP_Digest(in->data, DATA_SIZE, digest, NULL, EVP_sha256(), NULL) != 1)
		exit(1);
	bench_keep(digest[0]);
}

static void read_proven(void *arg)
{
	struct input *in = arg;
	struct ovbd_error err;

	for (uint64_t off = 0; off < DATA_SIZE; off += in->request)
		check(ovbd_blob_pread(in->proven, in->buf, in->request, off, &err), &err);
	bench_keep(in->buf[5]);
}

static void make_tree(void *arg)
{
	struct input *in = arg;
	struct ovbd_verity_root root;
	struct ovbd_error err;

	check(ovbd_verity_measure(in->plain, NULL, NULL, NULL, &root, &err), &err);
	bench_keep(root.bytes[0]);
}

static void open_input(struct input *in)
{
	struct ovbd_blob *data = NULL, *tree = NULL;
	struct ovbd_sink *sink = NULL;
	struct ovbd_verity_root root;
	struct ovbd_error err;
	size_t tree_size;

	in->data = bench_data(DATA_SIZE);
	in->buf = malloc(1u << 20);
	check(ovbd_sink_create_mem(&sink, &err), &err);
	check(ovbd_blob_open_mem(in->data, DATA_SIZE, &in->plain, &err), &err);
	check(ovbd_verity_measure(in->plain, sink, NULL, NULL, &root, &err), &err);
	check(ovbd_sink_finish(sink, &err), &err);
	in->tree = ovbd_sink_mem_take(sink, &tree_size);
	ovbd_sink_close(sink);
	check(ovbd_blob_open_mem(in->data, DATA_SIZE, &data, &err), &err);
	check(ovbd_blob_open_mem(in->tree, tree_size, &tree, &err), &err);
	check(ovbd_verity_blob_open(data, "data", tree, "tree", &root, false, &in->proven, &err),
	      &err);
	if (!in->buf)
		exit(1);
}

void bench_verity(struct bench *b)
{
	static const struct {
		const char *name;
		size_t request;
	} reads[] = {
		{"proven, 1 MiB requests", 1u << 20},
		{"proven, 256 KiB requests (a chunk)", 256u << 10},
		{"proven, 4 KiB requests", 4096},
	};
	struct input in = {0};
	struct bench_row row = {
		.group = "verity",
		.limit = "SHA-256 of libcrypto",
		.unit = "MB/s",
		.work = DATA_SIZE / MB,
		.target = 0.8,
		.theirs = hash,
		.arg = &in,
	};

	open_input(&in);
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
		row.name = reads[i].name;
		row.ours = read_proven;
		row.target = reads[i].request > 4096 ? 0.8 : 0;
		in.request = reads[i].request;
		bench_run(b, &row);
	}
	row.name = "a tree is made";
	row.ours = make_tree;
	row.target = 0.8;
	bench_run(b, &row);
	ovbd_blob_close(in.proven);
	ovbd_blob_close(in.plain);
	free(in.tree);
	free(in.buf);
}
