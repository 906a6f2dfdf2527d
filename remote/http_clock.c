// SPDX-License-Identifier: Apache-2.0
/* The clock of all deadlines: milliseconds of CLOCK_MONOTONIC. */
#include <time.h>

#include "base/bytes.h"
#include "remote/http_impl.h"

uint64_t http_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static struct timespec at_ms(uint64_t ms)
{
	return (struct timespec){.tv_sec = (time_t)(ms / 1000),
	                         .tv_nsec = (long)(ms % 1000) * 1000000};
}

void http_sleep_until(uint64_t ms, const atomic_bool *stop)
{
	for (uint64_t now; (now = http_now_ms()) < ms && !(stop && atomic_load(stop));) {
		const struct timespec ts = at_ms(stop ? ovbd_min(ms, now + HTTP_STOP_MS) : ms);

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
}

void http_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(c, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

bool http_cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t until_ms)
{
	const struct timespec ts = at_ms(until_ms);

	return pthread_cond_timedwait(c, lock, &ts) == 0;
}
