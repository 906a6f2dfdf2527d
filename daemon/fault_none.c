// SPDX-License-Identifier: Apache-2.0
#include "daemon/fault_point.h"

void ovbd_fault_point(const char *name)
{
	(void)name;
}
