// SPDX-License-Identifier: Apache-2.0
#include "daemon/notify.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/auto.h"

void ovbd_notify(const char *text)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const size_t n = name ? strlen(name) : 0;
	AUTO_FD fd = -1;
	socklen_t len;

	if (n < 2 || n >= sizeof(a.sun_path) || (name[0] != '/' && name[0] != '@'))
		return;
	memcpy(a.sun_path, name, n);
	if (name[0] == '@') /* not in a file system */
		a.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&a, len);
}

unsigned ovbd_notify_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long us = usec ? strtoull(usec, NULL, 10) : 0;

	if (pid && strtol(pid, NULL, 10) != getpid())
		return 0;
	us /= 2000; /* twice as often as wanted */
	return us > UINT32_MAX ? UINT32_MAX : (unsigned)us;
}
