// SPDX-License-Identifier: Apache-2.0
/* What "auto" means: the first kind that may be chosen, suits the device and is available. */
#include <errno.h>

#include "daemon/transports.h"
#include "test.h"

static int there(struct ovbd_error *err)
{
	(void)err;
	return 0;
}

static int lacking(struct ovbd_error *err)
{
	return ovbd_fail(err, -ENOENT, "kernel: the module is not loaded (modprobe kernel)");
}

static const struct ovbd_transport_kind socket_kind = {
	.name = "socket",
	.suffix = ".sock",
	.writable = true,
	.only_by_name = "is no device",
	.available = there,
};
static const struct ovbd_transport_kind kernel_kind = {
	.name = "kernel",
	.writable = true,
	.block_size = 512,
	.available = lacking,
};
static const struct ovbd_transport_kind disk_kind = {
	.name = "disk",
	.writable = true,
	.block_size = 512,
	.available = there,
};
static const struct ovbd_transport_kind file_kind = {
	.name = "file",
	.suffix = ".raw",
	.available = there,
};

static const struct ovbd_transport_kind *const all[] = {
	&socket_kind, &kernel_kind, &disk_kind, &file_kind, NULL,
};
static const struct ovbd_transport_kind *const none[] = {NULL};
static const struct ovbd_transport_kind *const only_socket[] = {&socket_kind, NULL};

static void test_choose(void **arg)
{
	static const struct {
		struct ovbd_transport_need need;
		const char *text;
	} cases[] = {
		{{.size = 4096},
	         "socket: is no device; kernel: the module is not loaded (modprobe kernel); disk: "
	         "taken"},
		{{.size = 4097},
	         "socket: is no device; kernel: makes disks of whole blocks of 512 bytes, and the "
	         "image has 4097 bytes; disk: makes disks of whole blocks of 512 bytes, and the "
	         "image "
	         "has 4097 bytes; file: taken"},
		{{.size = 0},
	         "socket: is no device; kernel: makes no disk of an empty image; disk: makes no "
	         "disk of an empty image; file: taken"},
		{{.size = 4096, .path = "/a"},
	         "socket: is no device; kernel: the kernel names its devices, none can be at /a; "
	         "disk: the kernel names its devices, none can be at /a; file: taken"},
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_transport_verdict *list = NULL;
		struct ovbd_error err;
		char text[512];

		assert_ok(ovbd_transport_kind_choose(all, &cases[i].need, &list, &err), err);
		ovbd_transport_verdicts_text(list, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
		ovbd_transport_verdicts_text(list, text, 8); /* is cut, not overrun */
		assert_string_equal(text, "socket:");
		ovbd_transport_verdicts_free(list);
	}
}

static void test_choose_again(void **arg)
{
	const struct ovbd_transport_need need = {.size = 512};
	struct ovbd_transport_verdict *list = NULL, *more = NULL;
	struct ovbd_error err;
	char text[512];

	(void)arg;
	assert_ok(ovbd_transport_kind_choose(all, &need, &list, &err), err);
	assert_ok(ovbd_transport_kind_choose_again(all, &need, list, "disk: is full", &more, &err),
	          err);
	ovbd_transport_verdicts_text(more, text, sizeof(text));
	assert_string_equal(text, "socket: is no device; kernel: the module is not loaded "
	                          "(modprobe kernel); disk: is full; file: taken");
	ovbd_transport_verdicts_free(list);
	list = NULL;
	assert_fails(ovbd_transport_kind_choose_again(all, &need, more, "burnt", &list, &err),
	             -ENOTSUP, err, "disk: is full; file: burnt");
	assert_null(list);
	ovbd_transport_verdicts_free(more);
}

static void test_choose_nothing(void **arg)
{
	const struct ovbd_transport_need odd = {.size = 5, .writable = true};
	struct ovbd_transport_verdict *list = NULL;
	struct ovbd_error err;

	(void)arg;
	assert_fails(ovbd_transport_kind_choose(all, &odd, &list, &err), -ENOTSUP, err,
	             "file: is read-only: it takes no writes");
	assert_fails(ovbd_transport_kind_choose(only_socket, &odd, &list, &err), -ENOTSUP, err,
	             "no transport for it ('ovbd doctor' says more): socket: is no device");
	assert_fails(ovbd_transport_kind_choose(none, &odd, &list, &err), -ENOTSUP, err,
	             "this build has none");
	assert_null(list);
	ovbd_transport_verdicts_free(NULL);
}

static void test_find(void **arg)
{
	const struct ovbd_transport_kind *k = &disk_kind;
	struct ovbd_error err;

	(void)arg;
	assert_ok(ovbd_transport_kind_find("auto", &k, &err), err);
	assert_null(k);
	for (unsigned i = 0; ovbd_transport_kinds[i]; i++) {
		assert_ok(ovbd_transport_kind_find(ovbd_transport_kinds[i]->name, &k, &err), err);
		assert_ptr_equal(k, ovbd_transport_kind_at(i));
	}
	assert_fails(ovbd_transport_kind_find("tape", &k, &err), -EINVAL, err,
	             "unknown transport 'tape': there are auto, ");
}

static void test_suits(void **arg)
{
	const struct ovbd_transport_need unknown = {.size = OVBD_TRANSPORT_ANY_SIZE};
	const struct ovbd_transport_need writable = {.size = 512, .writable = true};
	struct ovbd_error err;

	(void)arg;
	assert_ok(ovbd_transport_kind_suits(&disk_kind, &unknown, &err), err);
	assert_ok(ovbd_transport_kind_suits(&disk_kind, &writable, &err), err);
	assert_fails(ovbd_transport_kind_suits(&file_kind, &writable, &err), -ENOTSUP, err,
	             "is read-only");
}

/* The last test, as it cannot be taken back. */
static void test_select(void **arg)
{
	const struct ovbd_transport_kind *k;
	struct ovbd_error err;
	uint64_t caps;
	unsigned calls;

	(void)arg;
	assert_fails(ovbd_transport_kinds_select("nbd,tape", &err), -EINVAL, err,
	             "transports 'nbd,tape': there is no 'tape'");
	assert_fails(ovbd_transport_kinds_select("auto", &err), -EINVAL, err, "no 'auto'");
	assert_fails(ovbd_transport_kinds_select(", ,", &err), -EINVAL, err, "names none");
	assert_ok(ovbd_transport_kinds_select("", &err), err);
	assert_ok(ovbd_transport_kind_find("nbd", &k, &err), err);
	assert_ok(ovbd_transport_kinds_select("nbd-socket", &err), err);
	assert_fails(ovbd_transport_kind_find("nbd", &k, &err), -EINVAL, err,
	             "there are auto, nbd-socket");
	assert_null(ovbd_transport_kind_at(1));
	ovbd_transport_kinds_needs(&caps, &calls);
	assert_true(caps == 0 && calls == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),       cmocka_unit_test(test_choose_nothing),
		cmocka_unit_test(test_choose_again), cmocka_unit_test(test_find),
		cmocka_unit_test(test_suits),        cmocka_unit_test(test_select),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
