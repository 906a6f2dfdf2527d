// SPDX-License-Identifier: Apache-2.0
/*
 * same_bytes A B [OFFSET LEN]: whether two disks are the same, there or all over, read past the
 * page cache in large pieces, since in an emulator each copy counts. Status 1, and the first place
 * that differs, if not.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)

static int open_direct(const char *path)
{
	const int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	return fd;
}

static size_t read_piece(int fd, const char *path, void *buf, size_t len, off_t off)
{
	const ssize_t n = pread(fd, buf, len, off);

	if (n < 0) {
		fprintf(stderr, "%s: at %jd: %s\n", path, (intmax_t)off, strerror(errno));
		exit(2);
	}
	return (size_t)n;
}

int main(int argc, char **argv)
{
	const int a = argc > 2 ? open_direct(argv[1]) : -1,
		  b = argc > 2 ? open_direct(argv[2]) : -1;
	const off_t begin = argc > 4 ? strtoll(argv[3], NULL, 10) : 0;
	const off_t end = argc > 4 ? begin + strtoll(argv[4], NULL, 10) : INT64_MAX;
	char *bufs = aligned_alloc(4096, 2 * PIECE);

	if (a < 0 || !bufs)
		return 2;
	for (off_t off = begin; off < end;) {
		const size_t want = end - off < (off_t)PIECE ? (size_t)(end - off) : PIECE;
		const size_t n = read_piece(a, argv[1], bufs, want, off);

		if (read_piece(b, argv[2], bufs + PIECE, want, off) != n) {
			printf("one ends before %jd\n", (intmax_t)(off + (off_t)want));
			return 1;
		}
		for (size_t i = 0; i < n && memcmp(bufs, bufs + PIECE, n) != 0; i++) {
			if (bufs[i] == bufs[PIECE + i])
				continue;
			printf("they differ at %jd\n", (intmax_t)off + (intmax_t)i);
			return 1;
		}
		if (n == 0)
			return 0;
		off += (off_t)n;
	}
	return 0;
}
