// SPDX-License-Identifier: Apache-2.0
/* $OVBD_FAULT_POINT names the place where the daemon is killed; "list" has it say the name of
 * each. $OVBD_FAULT_HANG names one where a thread stays, with whatever it has locked. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/fault_point.h"

void ovbd_fault_point(const char *name)
{
	const char *wanted = getenv("OVBD_FAULT_POINT"), *hang = getenv("OVBD_FAULT_HANG");

	if (wanted && strcmp(wanted, "list") == 0)
		dprintf(STDERR_FILENO, "fault point %s\n", name);
	if (wanted && strcmp(wanted, name) == 0)
		kill(getpid(), SIGKILL);
	while (hang && strcmp(hang, name) == 0)
		poll(NULL, 0, -1); /* which the filter lets it */
}
