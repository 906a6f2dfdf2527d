/* SPDX-License-Identifier: Apache-2.0 */
/* Where a system call's result is, in the registers of a thread that was interrupted. */
#ifndef OVBD_DAEMON_CONFINE_ARCH_H
#define OVBD_DAEMON_CONFINE_ARCH_H

#include <ucontext.h>

#if defined(__x86_64__)
static inline void confine_set_result(void *context, long result)
{
	ucontext_t *u = context;

	u->uc_mcontext.gregs[REG_RAX] = result;
}
#elif defined(__aarch64__)
static inline void confine_set_result(void *context, long result)
{
	ucontext_t *u = context;

	u->uc_mcontext.regs[0] = (unsigned long)result;
}
#else
#error "where does a system call return its result? (or configure without libseccomp)"
#endif

#endif
