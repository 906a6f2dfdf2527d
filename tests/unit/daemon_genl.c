// SPDX-License-Identifier: Apache-2.0
/* Messages of generic netlink as they come, and what TCMU says in them. */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/uio.h>
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

#include "daemon/tcmu_impl.h"

#define FAMILY 29
#define NAME   "tcm-user/999999999/dev_12/overlaybd//var/c.json;12"

static struct genl g;

/* Puts the message behind those that have come. */
static void arrive(const struct genl_message *m)
{
	const uint32_t len = (uint32_t)m->n;

	memcpy(g.in + g.nin, m->raw, m->n);
	memcpy(g.in + g.nin + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	g.nin += m->n;
}

static void empty(void)
{
	g.nin = g.at = 0;
	g.fd = -1;
}

/* What TCMU sends of an event, but for the parts that are left out. */
static void begin_event(struct genl_message *m, uint8_t command, const char *name)
{
	const uint32_t minor = 3, id = 70000;

	genl_begin(m, FAMILY, command, 2);
	if (name)
		genl_put(m, TCMU_ATTR_DEVICE, name, strlen(name) + 1);
	genl_put(m, TCMU_ATTR_MINOR, &minor, sizeof(minor));
	genl_put(m, TCMU_ATTR_DEVICE_ID, &id, sizeof(id));
}

static bool next(struct ovbd_tcmu_event *ret)
{
	struct genl_event e;

	assert_int_equal(genl_receive(&g, MSG_DONTWAIT, &e), 1);
	assert_int_equal(e.type, FAMILY);
	return ovbd_tcmu_event_decode(&e, ret);
}

static void test_events(void **state)
{
	const uint64_t size = UINT64_C(5) << 40;
	struct ovbd_tcmu_event e;
	struct genl_message m;

	(void)state;
	empty(); /* three in one datagram, with what a later kernel may add */
	begin_event(&m, TCMU_CMD_ADDED_DEVICE, NAME);
	genl_put(&m, 77, "later", 5);
	arrive(&m);
	begin_event(&m, TCMU_CMD_REMOVED_DEVICE, NAME);
	arrive(&m);
	begin_event(&m, TCMU_CMD_RECONFIG_DEVICE, NAME);
	genl_put(&m, TCMU_ATTR_DEV_SIZE, &size, sizeof(size));
	arrive(&m);

	assert_true(next(&e));
	assert_int_equal(e.kind, OVBD_TCMU_ADDED);
	assert_int_equal(e.id, 70000);
	assert_int_equal(e.minor, 3);
	assert_int_equal(e.name.hba, 999999999);
	assert_string_equal(e.name.device, "dev_12");
	assert_string_equal(e.name.subtype, "overlaybd");
	assert_string_equal(e.name.config, "/var/c.json;12");
	assert_false(e.has_size || e.has_config);
	assert_true(next(&e));
	assert_int_equal(e.kind, OVBD_TCMU_REMOVED);
	assert_true(next(&e));
	assert_int_equal(e.kind, OVBD_TCMU_RECONFIGURED);
	assert_true(e.has_size);
	assert_int_equal(e.size, size);

	empty();
	begin_event(&m, TCMU_CMD_RECONFIG_DEVICE, NAME);
	genl_put(&m, TCMU_ATTR_DEV_CFG, "overlaybd//x", 13);
	arrive(&m);
	assert_true(next(&e));
	assert_true(e.has_config && !e.has_size);
	assert_string_equal(e.config, "overlaybd//x");
}

static void test_no_events(void **state)
{
	const uint16_t half = 1;
	struct ovbd_tcmu_event e;
	struct genl_message m;

	(void)state;
	empty();
	begin_event(&m, TCMU_CMD_ADDED_DEVICE_DONE, NAME);
	arrive(&m);
	assert_false(next(&e));
	begin_event(&m, TCMU_CMD_ADDED_DEVICE, NULL);
	arrive(&m);
	assert_false(next(&e));
	begin_event(&m, TCMU_CMD_ADDED_DEVICE, "scsi/1/2");
	arrive(&m);
	assert_false(next(&e));
	genl_begin(&m, FAMILY, TCMU_CMD_ADDED_DEVICE, 2);
	genl_put(&m, TCMU_ATTR_DEVICE, NAME, sizeof(NAME));
	genl_put(&m, TCMU_ATTR_MINOR, &half, sizeof(half));
	arrive(&m);
	assert_false(next(&e));
	begin_event(&m, TCMU_CMD_ADDED_DEVICE, NULL);
	genl_put(&m, TCMU_ATTR_DEVICE, "tcm-user/1/a\0b", 15); /* a NUL within */
	arrive(&m);
	assert_false(next(&e));
}

/* Each message cut off anywhere, and lengths that are none. */
static void test_cut(void **state)
{
	struct ovbd_tcmu_event event;
	struct genl_message m;
	struct genl_event e;
	size_t whole;

	(void)state;
	empty();
	begin_event(&m, TCMU_CMD_ADDED_DEVICE, NAME);
	arrive(&m);
	whole = g.nin;
	for (size_t n = NLMSG_HDRLEN; n < whole; n++) {
		g.at = 0;
		g.nin = n;
		assert_int_equal(genl_receive(&g, MSG_DONTWAIT, &e), -EBADMSG);
	}
	for (uint32_t len = 0; len < whole; len++) {
		g.at = 0;
		g.nin = whole;
		memcpy(g.in, &len, sizeof(len));
		if (genl_receive(&g, MSG_DONTWAIT, &e) == 1)
			assert_false(ovbd_tcmu_event_decode(&e, &event));
	}
	for (size_t at = NLMSG_HDRLEN; at < whole; at++) { /* any byte of it wrong */
		empty();
		arrive(&m);
		g.in[at] ^= 0xff;
		if (genl_receive(&g, MSG_DONTWAIT, &e) == 1)
			ovbd_tcmu_event_decode(&e, &event);
	}
}

static void test_attributes(void **state)
{
	struct genl_attributes outer, inner, v;
	struct genl_message m;
	struct genl_event e;
	uint32_t number = 7;
	char text[4];
	size_t nest;

	(void)state;
	empty();
	genl_begin(&m, FAMILY, 1, 1);
	nest = genl_nest(&m, 5);
	genl_put(&m, 1, "abc", 4);
	genl_put(&m, 2, &number, sizeof(number));
	genl_put(&m, 3, "abcd", 4); /* without its NUL, and too long */
	genl_nest_end(&m, nest);
	arrive(&m);
	assert_int_equal(genl_receive(&g, MSG_DONTWAIT, &e), 1);
	outer = e.attributes;
	assert_true(genl_find(outer, 5, &inner));
	assert_false(genl_find(outer, 1, &v));
	assert_true(genl_find_text(inner, 1, text, sizeof(text)));
	assert_string_equal(text, "abc");
	assert_true(genl_find_number(inner, 2, &number, sizeof(number)));
	assert_int_equal(number, 7);
	assert_false(genl_find_text(inner, 3, text, sizeof(text)));
	assert_false(genl_find_number(inner, 4, &number, sizeof(number)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_no_events),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
