// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "tools/cli.h"

int ovbd_exit_status(int code, bool remote)
{
	if (code >= 0)
		return OVBD_EXIT_OK;
	if (!remote)
		return OVBD_EXIT_FAILURE;
	switch (-code) {
	case EBADMSG:
		return OVBD_EXIT_DATA;
	case ENOENT:
	case ENOTSUP:
		return OVBD_EXIT_UNAVAILABLE;
	case EAGAIN:
	case ETIMEDOUT:
	case ESTALE: /* the object changed under us: a new run finds the new one */
		return OVBD_EXIT_TEMPORARY;
	case EACCES:
	case EPERM:
		return OVBD_EXIT_DENIED;
	case EIO:
		return OVBD_EXIT_IO;
	default:
		return OVBD_EXIT_FAILURE;
	}
}
