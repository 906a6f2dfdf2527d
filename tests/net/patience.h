/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock for what has to end in time, on a machine that may not run us in time: it counts how long
 * threads of ours were ready to run and did not.
 */
#ifndef OVBD_TESTS_NET_PATIENCE_H
#define OVBD_TESTS_NET_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* A thread that wakes up every few milliseconds, and counts by how much it is late. */
void test_patience_start(void);
void test_patience_stop(void);

struct test_patience {
	uint64_t begin_ms; /* monotonic */
	uint64_t late_ms, waited_ms;
};

uint64_t test_now_ms(void);
struct test_patience test_patience_begin(void);

/* Milliseconds since then. ret_excused: of these, what this thread or that one waited to be run. */
uint64_t test_patience_took(const struct test_patience *p, uint64_t *ret_excused);

/* Whether so many have not passed; what is excused does not count. Of the same thread. */
bool test_patience_within(const struct test_patience *p, uint64_t ms);

#endif
