/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT, SIGTERM and SIGHUP as a flag that long work looks at. A second one ends the program. */
#ifndef OVBD_TOOLS_INTERRUPT_H
#define OVBD_TOOLS_INTERRUPT_H

void ovbd_interrupt_catch(void);

/* The signal that came, or 0. */
int ovbd_interrupted(void);

#endif
