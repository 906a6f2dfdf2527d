/* SPDX-License-Identifier: Apache-2.0 */
/* The simplest restore there can be, from the facts alone (docs/format-bow.md), with nothing of
 * bow/: an observer of what that writes. */
#ifndef OVBD_TESTS_LIB_BOW_UNDO_H
#define OVBD_TESTS_LIB_BOW_UNDO_H

#include <stdint.h>

enum test_bow_undone {
	TEST_BOW_UNDONE,
	TEST_BOW_NO_LOG,
	TEST_BOW_COMMITTING, /* nothing can be undone any more */
	TEST_BOW_NONSENSE,   /* *ret_why says of which kind */
};

/* Of a device in memory, version 1.0 only. */
enum test_bow_undone test_bow_undo(uint8_t *bytes, uint64_t size, const char **ret_why);

#endif
