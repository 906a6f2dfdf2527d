/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a library, whose program waits for signals in a thread of its own: they take none. */
#ifndef OVBD_BASE_THREAD_H
#define OVBD_BASE_THREAD_H

#include <pthread.h>

/* As pthread_create(), in a thread in which all signals are blocked. 0 or -errno. */
int ovbd_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg);

#endif
