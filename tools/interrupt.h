/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT, SIGTERM and SIGHUP as a flag that long work looks at. A second one ends the program. */
#ifndef OVBD_TOOLS_INTERRUPT_H
#define OVBD_TOOLS_INTERRUPT_H

#include <stdatomic.h>

void ovbd_interrupt_catch(void);

/* The signal that came, or 0. */
int ovbd_interrupted(void);

/* True once one came: for threads of libraries, which are told to stop by such a flag. */
const atomic_bool *ovbd_interrupt_flag(void);

#endif
