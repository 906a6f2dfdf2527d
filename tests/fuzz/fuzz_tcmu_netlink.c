// SPDX-License-Identifier: Apache-2.0
/* A datagram of generic netlink, as TCMU's listener reads it. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/tcmu_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct genl g;
	struct ovbd_tcmu_event event;
	struct genl_event e;

	if (size > sizeof(g.in))
		return 0;
	g = (struct genl){.fd = -1, .nin = size};
	memcpy(g.in, data, size);
	while (genl_receive(&g, MSG_DONTWAIT, &e) > 0)
		if (ovbd_tcmu_event_decode(&e, &event) &&
		    (!event.name.device[0] ||
		     !memchr(event.name.config, '\0', sizeof(event.name.config))))
			abort();
	return 0;
}
