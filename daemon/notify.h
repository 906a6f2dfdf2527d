/* SPDX-License-Identifier: Apache-2.0 */
/* What a service tells systemd: see sd_notify(3). */
#ifndef OVBD_DAEMON_NOTIFY_H
#define OVBD_DAEMON_NOTIFY_H

/* Sends text ("READY=1", several lines if need be) to $NOTIFY_SOCKET; nothing if there is none. */
void ovbd_notify(const char *text);

/* Milliseconds after which to say WATCHDOG=1 again; 0: nobody watches. */
unsigned ovbd_notify_watchdog_ms(void);

#endif
