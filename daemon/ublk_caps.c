// SPDX-License-Identifier: Apache-2.0
/*
 * A thread has its own capabilities, and so has glibc no function for them that is about one
 * thread; one that is lowered stays permitted, and can be raised again.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/ublk_impl.h"

struct caps {
	struct __user_cap_header_struct head;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static int get_caps(struct caps *ret)
{
	*ret = (struct caps){.head.version = _LINUX_CAPABILITY_VERSION_3};
	return syscall(SYS_capget, &ret->head, ret->data) < 0 ? -errno : 0;
}

static int set_caps(struct caps *c)
{
	return syscall(SYS_capset, &c->head, c->data) < 0 ? -errno : 0;
}

static uint32_t *admin_word(struct caps *c)
{
	return &c->data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective;
}

int ublk_admin_lower(bool *ret_had)
{
	struct caps c;
	int r = get_caps(&c);

	if (r < 0)
		return r;
	*ret_had = *admin_word(&c) & CAP_TO_MASK(CAP_SYS_ADMIN);
	*admin_word(&c) &= ~(uint32_t)CAP_TO_MASK(CAP_SYS_ADMIN);
	return *ret_had ? set_caps(&c) : 0;
}

int ublk_admin_raise(void)
{
	struct caps c;
	int r = get_caps(&c);

	if (r < 0)
		return r;
	*admin_word(&c) |= CAP_TO_MASK(CAP_SYS_ADMIN);
	return set_caps(&c);
}
