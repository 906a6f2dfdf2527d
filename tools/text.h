/* SPDX-License-Identifier: Apache-2.0 */
/* Text that others wrote, such as a commit message, made safe to show. */
#ifndef OVBD_TOOLS_TEXT_H
#define OVBD_TOOLS_TEXT_H

/* A copy in which control characters and what is no UTF-8 have become \xNN, so that it cannot move
 * a terminal's cursor, and can stand in JSON. NULL: out of memory. To be freed. */
char *ovbd_text_escape(const char *text);

#endif
