// SPDX-License-Identifier: Apache-2.0
#include "bench/cow_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

#define HEADER 78u

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static struct cow_file create(void)
{
	const char *tmp = getenv("TMPDIR");
	struct cow_file f = {.fd = -1};

	snprintf(f.path, sizeof(f.path), "%s/ovbd-bench-XXXXXX", tmp ? tmp : "/tmp");
	f.fd = mkstemp(f.path);
	must(f.fd >= 0, f.path);
	return f;
}

static void append(struct cow_file *f, const void *p, size_t len)
{
	must(pwrite(f->fd, p, len, (off_t)f->size) == (ssize_t)len, f->path);
	f->size += len;
}

struct cow_file cow_file_make(const struct cow_op_make *ops, size_t n, uint32_t algorithm,
                              uint32_t scratch)
{
	struct cow_file f = create();
	const size_t head_size = HEADER + scratch + n * 16;
	uint8_t *head = calloc(1, head_size), *op = head + HEADER + scratch;
	uint64_t data = head_size;

	must(head != NULL, "memory");
	ovbd_put_le64(head, UINT64_C(0x436f77634f572121));
	head[8] = 3;
	ovbd_put_le16(head + 12, HEADER);
	ovbd_put_le16(head + 16, 16);
	ovbd_put_le32(head + 18, 4096);
	ovbd_put_le32(head + 34, scratch);
	ovbd_put_le64(head + 54, n);
	ovbd_put_le64(head + 62, n);
	ovbd_put_le32(head + 70, algorithm);
	ovbd_put_le32(head + 74, 65536);
	for (size_t i = 0; i < n; i++, op += 16) {
		const uint64_t source = ops[i].type == 2 ? data : ops[i].source;

		ovbd_put_le32(op, ops[i].len);
		ovbd_put_le32(op + 4, ops[i].block);
		ovbd_put_le64(op + 8,
		              (uint64_t)ops[i].type << 60 | (uint64_t)ops[i].factor << 57 | source);
		data += ops[i].len;
	}
	append(&f, head, head_size);
	f.data_off = f.size;
	for (size_t i = 0; i < n; i++)
		if (ops[i].len > 0)
			append(&f, ops[i].data, ops[i].len);
	free(head);
	return f;
}

struct cow_file cow_file_blank(uint64_t size)
{
	struct cow_file f = create();
	uint8_t *piece = malloc(1 << 20);

	must(piece != NULL, "memory");
	memset(piece, 0x5a, 1 << 20);
	while (f.size < size)
		append(&f, piece, (size_t)ovbd_min(size - f.size, 1 << 20));
	free(piece);
	return f;
}

void cow_file_free(struct cow_file *f)
{
	close(f->fd);
	unlink(f->path);
}
