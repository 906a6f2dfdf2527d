// SPDX-License-Identifier: Apache-2.0
/*
 * By number, not by pthread_t: the number of a thread that has ended harms nobody, and if another
 * thread of the process has got it meanwhile, one call of that is interrupted.
 */
#include "daemon/rouse.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void no_handler(int sig)
{
	(void)sig;
}

static void set_handler(void)
{
	struct sigaction a = {.sa_handler = no_handler}; /* without SA_RESTART */

	sigaction(SIGURG, &a, NULL);
}

pid_t ovbd_rouse_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sigset_t urgent;

	pthread_once(&once, set_handler);
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &urgent, NULL);
	return gettid();
}

void ovbd_rouse(pid_t thread)
{
	const int saved = errno;

	tgkill(getpid(), thread, SIGURG);
	errno = saved;
}
