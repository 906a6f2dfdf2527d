// SPDX-License-Identifier: Apache-2.0
#include "tests/net/patience.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define TICK_MS 5

static atomic_bool stop;
static atomic_uint_fast64_t late_ms;
static pthread_t thread;

uint64_t test_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void *watch(void *arg)
{
	const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};
	uint64_t last = test_now_ms();

	while (!atomic_load(&stop)) {
		uint64_t now;

		nanosleep(&tick, NULL);
		now = test_now_ms();
		if (now - last > TICK_MS + 1)
			atomic_fetch_add(&late_ms, now - last - TICK_MS);
		last = now;
	}
	return arg;
}

void test_patience_start(void)
{
	const int r = pthread_create(&thread, NULL, watch, NULL);

	assert(r == 0);
	(void)r;
}

void test_patience_stop(void)
{
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

/* How long this thread has waited for a processor: docs of the kernel, scheduler/sched-stats. */
static uint64_t thread_waited_ms(void)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	if (f && fscanf(f, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	if (f)
		fclose(f);
	return waited / 1000000;
}

struct test_patience test_patience_begin(void)
{
	return (struct test_patience){
		.waited_ms = thread_waited_ms(),
		.late_ms = atomic_load(&late_ms),
		.begin_ms = test_now_ms(),
	};
}

uint64_t test_patience_took(const struct test_patience *p, uint64_t *ret_excused)
{
	const uint64_t took = test_now_ms() - p->begin_ms;

	*ret_excused = thread_waited_ms() - p->waited_ms + atomic_load(&late_ms) - p->late_ms;
	return took;
}

bool test_patience_within(const struct test_patience *p, uint64_t ms)
{
	uint64_t excused;
	const uint64_t took = test_patience_took(p, &excused);

	return took <= ms + excused;
}
