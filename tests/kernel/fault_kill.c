// SPDX-License-Identifier: Apache-2.0
/* $OVBD_FAULT_POINT names the place where the daemon is killed; "list" has it say the name of
 * each. $OVBD_FAULT_HANG names one where a thread stays, with whatever it has locked. At that of
 * $OVBD_FAULT_END the daemon is asked to end, and the thread goes on once it is about to. At that
 * of $OVBD_FAULT_WAIT, which is said, a thread waits until there is a file $OVBD_FAULT_GO. */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/fault_point.h"

static atomic_bool is_ending;

static void end_at(const char *name, const char *wanted)
{
	if (strcmp(name, "stop-begun") == 0)
		atomic_store(&is_ending, true);
	if (!wanted || strcmp(wanted, name) != 0)
		return;
	kill(getpid(), SIGTERM);
	while (!atomic_load(&is_ending))
		poll(NULL, 0, 1);
}

static void wait_at(const char *name, const char *wanted, const char *go)
{
	if (!wanted || !go || strcmp(wanted, name) != 0)
		return;
	dprintf(STDERR_FILENO, "fault point %s: waits\n", name);
	while (access(go, F_OK) < 0)
		poll(NULL, 0, 1);
}

void ovbd_fault_point(const char *name)
{
	const char *wanted = getenv("OVBD_FAULT_POINT"), *hang = getenv("OVBD_FAULT_HANG");

	if (wanted && strcmp(wanted, "list") == 0)
		dprintf(STDERR_FILENO, "fault point %s\n", name);
	if (wanted && strcmp(wanted, name) == 0)
		kill(getpid(), SIGKILL);
	end_at(name, getenv("OVBD_FAULT_END"));
	wait_at(name, getenv("OVBD_FAULT_WAIT"), getenv("OVBD_FAULT_GO"));
	while (hang && strcmp(hang, name) == 0)
		poll(NULL, 0, -1); /* which the filter lets it */
}
