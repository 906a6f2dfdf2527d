/* SPDX-License-Identifier: Apache-2.0 */
/* COW files (3.0) for the benchmarks, as files in TMPDIR that are gone at the end. */
#ifndef OVBD_BENCH_COW_MAKE_H
#define OVBD_BENCH_COW_MAKE_H

#include <stddef.h>
#include <stdint.h>

struct cow_op_make {
	uint32_t type, factor, block, len;
	uint64_t source; /* not of a replace */
	const uint8_t *data;
};

struct cow_file {
	char path[256];
	int fd;
	uint64_t size, data_off; /* where the data begin, one after the other */
};

/* algorithm: as in the header, 0 to 4. Ends the program if that fails. */
struct cow_file cow_file_make(const struct cow_op_make *ops, size_t n, uint32_t algorithm,
                              uint32_t scratch);
void cow_file_free(struct cow_file *f);

/* An empty file of size bytes, written once. */
struct cow_file cow_file_blank(uint64_t size);

#endif
