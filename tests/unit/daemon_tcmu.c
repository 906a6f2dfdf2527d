// SPDX-License-Identifier: Apache-2.0
/* TCMU without a kernel: its ring as memory that the test writes as the kernel would, and names. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

#include "base/bytes.h"
#include "daemon/tcmu.h"
#include "daemon/tcmu_ring.h"

enum {
	RING = 128, /* where the entries begin */
	RING_SIZE = 1024,
	DATA = 4096,
	MAP_SIZE = 16384,
	ENTRY = 176, /* a command with up to four pieces, its CDB at the end */
	NPIECES = 4,
};

struct kernel {
	_Alignas(64) uint8_t map[MAP_SIZE];
	uint32_t head;
	struct tcmu_ring ring;
	struct tcmu_command command;
	struct iovec pieces[NPIECES];
};

static void put_mailbox(struct kernel *k, uint32_t size)
{
	const struct tcmu_mailbox m = {
		.version = TCMU_MAILBOX_VERSION,
		.flags = TCMU_MAILBOX_FLAG_CAP_OOOC,
		.cmdr_off = RING,
		.cmdr_size = size,
	};

	memcpy(k->map, &m, sizeof(m));
}

static void start(struct kernel *k)
{
	struct ovbd_error err;

	*k = (struct kernel){.head = 0};
	k->command.iov = k->pieces;
	k->command.iov_max = NPIECES;
	put_mailbox(k, RING_SIZE);
	assert_ok(ovbd_tcmu_ring_open(k->map, MAP_SIZE, &k->ring, &err), err);
}

static void put_head(struct kernel *k, uint32_t len)
{
	k->head = (k->head + len) % RING_SIZE;
	memcpy(k->map + offsetof(struct tcmu_mailbox, cmd_head), &k->head, sizeof(k->head));
}

static void put_other(struct kernel *k, enum tcmu_opcode op, uint32_t len)
{
	struct tcmu_cmd_entry_hdr h = {.len_op = len | op};

	memcpy(k->map + RING + k->head, &h, sizeof(h));
	put_head(k, len);
}

/* A command whose CDB is its number, with npieces of 16 bytes. */
static void put_command(struct kernel *k, uint16_t id, uint32_t npieces)
{
	struct tcmu_cmd_entry e = {.hdr = {.len_op = ENTRY | TCMU_OP_CMD, .cmd_id = id}};
	uint8_t *p = k->map + RING + k->head;

	e.req.iov_cnt = npieces;
	e.req.cdb_off = RING + k->head + ENTRY - 16;
	memset(p, 0, ENTRY);
	memcpy(p, &e, sizeof(e));
	for (uint32_t i = 0; i < npieces && i < NPIECES; i++) {
		const struct iovec v = {(void *)(uintptr_t)(DATA + 64 * i), 16};

		memcpy(p + offsetof(struct tcmu_cmd_entry, req.iov) + i * sizeof(v), &v, sizeof(v));
	}
	memset(p + ENTRY - 16, (uint8_t)id, 16);
	put_head(k, ENTRY);
}

static uint32_t tail(const struct kernel *k)
{
	uint32_t v;

	memcpy(&v, k->map + offsetof(struct tcmu_mailbox, cmd_tail), sizeof(v));
	return v;
}

static void wants(struct kernel *k, uint16_t id)
{
	struct ovbd_error err = {0};

	assert_int_equal(ovbd_tcmu_ring_take(&k->ring, &k->command, &err), 1);
	assert_int_equal(k->command.id, id);
	assert_int_equal(k->command.cdb_len, 16);
	assert_int_equal(k->command.cdb[0], (uint8_t)id);
}

static void wants_none(struct kernel *k)
{
	struct ovbd_error err = {0};

	assert_int_equal(ovbd_tcmu_ring_take(&k->ring, &k->command, &err), 0);
}

/* The kernel's view of the entry at off: whose answer, and which. */
static void answered(const struct kernel *k, uint32_t off, uint16_t id, uint8_t status)
{
	struct tcmu_cmd_entry e;

	memcpy(&e, k->map + RING + off, sizeof(e));
	assert_int_equal(e.hdr.len_op, ENTRY | TCMU_OP_CMD);
	assert_int_equal(e.hdr.cmd_id, id);
	assert_int_equal(e.rsp.scsi_status, status);
}

static void test_any_order(void **state)
{
	const struct ovbd_scsi_sense sense = {3, 0x11, 0};
	struct kernel k;
	struct tcmu_cmd_entry e;

	(void)state;
	start(&k);
	wants_none(&k);
	for (uint16_t id = 1; id <= 3; id++)
		put_command(&k, id, 2);
	for (uint16_t id = 1; id <= 3; id++)
		wants(&k, id);
	assert_int_equal(k.command.niov, 2);
	assert_ptr_equal(k.command.iov[1].iov_base, k.map + DATA + 64);
	wants_none(&k);
	assert_int_equal(tail(&k), 0);

	ovbd_tcmu_ring_complete(&k.ring, 3, OVBD_SCSI_GOOD, NULL);
	answered(&k, 0, 3, OVBD_SCSI_GOOD);
	assert_int_equal(tail(&k), ENTRY);
	ovbd_tcmu_ring_complete(&k.ring, 1, OVBD_SCSI_CHECK_CONDITION, &sense);
	answered(&k, ENTRY, 1, OVBD_SCSI_CHECK_CONDITION);
	memcpy(&e, k.map + RING + ENTRY, sizeof(e));
	assert_int_equal(e.rsp.sense_buffer[2], 3);
	assert_int_equal(e.rsp.sense_buffer[12], 0x11);
	ovbd_tcmu_ring_complete(&k.ring, 2, OVBD_SCSI_GOOD, NULL);
	assert_int_equal(tail(&k), k.head);
}

/* Many rounds, so that entries and padding lie everywhere; answers one behind. */
static void test_around(void **state)
{
	struct kernel k;
	uint16_t previous = 0;

	(void)state;
	start(&k);
	for (uint16_t id = 1; id < 200; id++) {
		if (k.head + ENTRY > RING_SIZE)
			put_other(&k, TCMU_OP_PAD, RING_SIZE - k.head);
		if (id % 7 == 0 && k.head + 48 + ENTRY <= RING_SIZE)
			put_other(&k, TCMU_OP_TMR, 48);
		put_command(&k, id, 1);
		wants(&k, id);
		if (previous)
			ovbd_tcmu_ring_complete(&k.ring, previous, OVBD_SCSI_GOOD, NULL);
		previous = id;
	}
	ovbd_tcmu_ring_complete(&k.ring, previous, OVBD_SCSI_GOOD, NULL);
	assert_int_equal(tail(&k), k.head);
	put_other(&k, TCMU_OP_TMR, 48);
	wants_none(&k);
	assert_int_equal(tail(&k), k.head);
}

static void test_bad_commands(void **state)
{
	const uint64_t far = MAP_SIZE - 3;
	const struct iovec outside = {(void *)(uintptr_t)(MAP_SIZE - 8), 16};
	struct ovbd_error err = {0};
	struct kernel k;

	(void)state;
	start(&k);
	put_command(&k, 1, NPIECES + 1);
	assert_int_equal(ovbd_tcmu_ring_take(&k.ring, &k.command, &err), -E2BIG);
	put_command(&k, 2, 1);
	memcpy(k.map + RING + ENTRY + offsetof(struct tcmu_cmd_entry, req.iov), &outside,
	       sizeof(outside));
	assert_int_equal(ovbd_tcmu_ring_take(&k.ring, &k.command, &err), -E2BIG);
	assert_int_equal(k.command.id, 2);
	put_command(&k, 3, 0);
	memcpy(k.map + RING + 2 * ENTRY + offsetof(struct tcmu_cmd_entry, req.cdb_off), &far,
	       sizeof(far));
	assert_int_equal(ovbd_tcmu_ring_take(&k.ring, &k.command, &err), 1);
	assert_int_equal(k.command.cdb_len, 3);

	put_other(&k, TCMU_OP_CMD, 16); /* too short for one */
	assert_fails(ovbd_tcmu_ring_take(&k.ring, &k.command, &err), -EPROTO, err,
	             "ring entry at 528");
	start(&k);
	put_other(&k, TCMU_OP_PAD, RING_SIZE - 8);
	put_other(&k, TCMU_OP_PAD, 16);
	assert_fails(ovbd_tcmu_ring_take(&k.ring, &k.command, &err), -EPROTO, err, "1016");
}

static void test_bad_rings(void **state)
{
	struct tcmu_ring ring;
	struct ovbd_error err = {0};
	struct kernel k = {0};
	const uint32_t at = RING_SIZE;

	(void)state;
	assert_fails(ovbd_tcmu_ring_open(k.map, 64, &ring, &err), -EPROTO, err, "64 bytes");
	assert_fails(ovbd_tcmu_ring_open(k.map, MAP_SIZE, &ring, &err), -EPROTO, err, "version 0");
	put_mailbox(&k, MAP_SIZE - RING + 1);
	assert_fails(ovbd_tcmu_ring_open(k.map, MAP_SIZE, &ring, &err), -EPROTO, err,
	             "ring at 128");
	put_mailbox(&k, 0);
	assert_fails(ovbd_tcmu_ring_open(k.map, MAP_SIZE, &ring, &err), -EPROTO, err,
	             "ring at 128");
	put_mailbox(&k, RING_SIZE);
	memcpy(k.map + offsetof(struct tcmu_mailbox, cmd_tail), &at, sizeof(at));
	assert_fails(ovbd_tcmu_ring_open(k.map, MAP_SIZE, &ring, &err), -EPROTO, err,
	             "tail at 1024");
	k.map[offsetof(struct tcmu_mailbox, flags)] = 0;
	assert_fails(ovbd_tcmu_ring_open(k.map, MAP_SIZE, &ring, &err), -EPROTO, err,
	             "out-of-order");
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"",
		"tcm-user",
		"other/1/dev/ovbd/x",
		"tcm-user/-1/dev/ovbd/x",
		"tcm-user/1x/dev/ovbd/x",
		"tcm-user/1//ovbd/x",
		"tcm-user/4294967296/dev/ovbd/x",
		"tcm-user//dev/ovbd/x",
	};
	struct ovbd_tcmu_name n;
	struct ovbd_error err = {0};

	(void)state;
	assert_ok(ovbd_tcmu_name_parse("tcm-user/999999999/dev_12/overlaybd//a/b c,d;12", &n, &err),
	          err);
	assert_int_equal(n.hba, 999999999);
	assert_string_equal(n.device, "dev_12");
	assert_string_equal(n.subtype, "overlaybd");
	assert_string_equal(n.config, "/a/b c,d;12");
	assert_ok(ovbd_tcmu_name_parse("tcm-user/0/d", &n, &err), err);
	assert_string_equal(n.subtype, "");
	assert_ok(ovbd_tcmu_name_parse("tcm-user/0/d/ovbd", &n, &err), err);
	assert_string_equal(n.subtype, "ovbd");
	assert_string_equal(n.config, "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_fails(ovbd_tcmu_name_parse(bad[i], &n, &err), -EBADMSG, err, "no name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),    cmocka_unit_test(test_around),
		cmocka_unit_test(test_bad_commands), cmocka_unit_test(test_bad_rings),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
