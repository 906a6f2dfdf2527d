// SPDX-License-Identifier: Apache-2.0
/*
 * The handlers are one-shot: should the work not come to look at the flag (a read that hangs), the
 * second signal has its usual effect. Nothing is lost by that: an unfinished output has no name.
 *
 * Who looked at the flag just before it was set, and then reads from who says nothing, is woken by
 * an alarm.
 */
#include "tools/interrupt.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static atomic_bool flag;

static void wake(int sig)
{
	(void)sig;
}

static void handler(int sig)
{
	caught = sig;
	atomic_store(&flag, true);
	alarm(1);
}

void ovbd_interrupt_catch(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	/* no SA_RESTART: a read from a terminal or pipe shall return */
	const struct sigaction once = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND},
			       alarmed = {.sa_handler = wake};

	sigaction(SIGALRM, &alarmed, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old;

		/* what the caller told us to ignore (nohup) stays ignored */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &once, NULL);
	}
}

int ovbd_interrupted(void)
{
	return caught;
}

const atomic_bool *ovbd_interrupt_flag(void)
{
	return &flag;
}
