// SPDX-License-Identifier: Apache-2.0
/*
 * libmicrohttpd with a thread for each connection: an attach takes as long as the registry takes,
 * and meanwhile only its own thread waits. A request is read whole (it is small, and bounded), then
 * routed by a table of methods and paths to a handler, which gives a JSON object and a status.
 */
#include "daemon/api.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/auto.h"
#include "daemon/api_bow.h"
#include "daemon/api_json.h"
#include "daemon/api_resize.h"
#include "daemon/api_snapshot.h"

#define DEVICES  "/v1/devices"
#define DRAIN_MS 30000

struct ovbd_api {
	struct MHD_Daemon *mhd;
	struct ovbd_devices *devices;
	struct ovbd_metrics *metrics;
	const char *version;
	int (*reload)(void *arg, struct ovbd_error *err);
	void (*asked)(void *arg, const char *sentence);
	void *arg;
	time_t started;
};

struct call {
	struct ovbd_api *api;
	struct MHD_Connection *connection;
	const char *id;                      /* what stands behind the path, or "" */
	char id_alone[OVBD_SPEC_ID_MAX + 2]; /* where something stands behind it */
	char *body;
	size_t len;
	bool too_big;
};

struct answer {
	unsigned status;
	json_t *json;
	char *text; /* instead of json */
	size_t len;
	const char *type;
};

static void fail(struct answer *a, int code, const char *message)
{
	a->status = ovbd_api_http_status(code);
	a->json = ovbd_api_json_error(code, message);
}

/* --- handlers --- */

static void append_device(void *arg, const struct ovbd_device_view *v)
{
	json_array_append_new(arg, ovbd_api_json_device(v));
}

static void answer_device(const struct call *c, const char *id, unsigned status, struct answer *a)
{
	json_auto_t *one = json_array();
	struct ovbd_error err;

	if (ovbd_devices_show(c->api->devices, id, append_device, one) > 0) {
		ovbd_api_json_put_places(one);
		a->json = json_incref(json_array_get(one, 0));
		a->status = status;
		return;
	}
	ovbd_fail(&err, -ENOENT, "device %.80s: there is none of this id", id);
	fail(a, -ENOENT, err.msg);
}

/* The body, an object; an empty one is {}. */
static int parse_body(const struct call *c, json_t **ret, struct ovbd_error *err)
{
	json_error_t why;

	if (c->len == 0)
		*ret = json_object();
	else
		*ret = json_loadb(c->body, c->len, JSON_REJECT_DUPLICATES, &why);
	if (!*ret)
		return ovbd_fail(err, -EINVAL, "the request's JSON, line %d column %d: %s",
		                 why.line, why.column, why.text);
	return 0;
}

/* Whether the client is there to hear the answer. */
static bool is_connected(void *arg)
{
	const struct call *c = arg;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	char byte;

	return !info || recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

static void attach(struct call *c, struct answer *a)
{
	struct ovbd_spec *spec;
	struct ovbd_error err;
	char id[OVBD_SPEC_ID_MAX + 1];
	json_t *body = NULL;
	int r = parse_body(c, &body, &err);

	if (r == 0)
		r = ovbd_spec_decode(body, &spec, &err);
	json_decref(body);
	if (r == 0)
		r = ovbd_devices_attach_while(c->api->devices, spec, is_connected, c, id, &err);
	if (r < 0)
		fail(a, r, err.msg);
	else
		answer_device(c, id, MHD_HTTP_OK, a);
}

static void list(struct call *c, struct answer *a)
{
	json_t *devices = json_array();

	ovbd_devices_show(c->api->devices, NULL, append_device, devices);
	ovbd_api_json_put_places(devices);
	a->json = json_pack("{ss, so}", "schema", "ovbd.devices.v1", "devices", devices);
}

static void show(struct call *c, struct answer *a)
{
	answer_device(c, c->id, MHD_HTTP_OK, a);
}

static bool is_set(const struct call *c, const char *name)
{
	const char *v = MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, name);

	return v && (strcmp(v, "1") == 0 || strcmp(v, "true") == 0);
}

static enum ovbd_detach detach_how(const struct call *c)
{
	if (is_set(c, "force"))
		return OVBD_DETACH_FORCE;
	return is_set(c, "lazy") ? OVBD_DETACH_LAZY : OVBD_DETACH_UNUSED;
}

static void detach(struct call *c, struct answer *a)
{
	struct ovbd_error err;
	const int r = ovbd_devices_detach(c->api->devices, c->id, detach_how(c), &err);

	if (r < 0) {
		fail(a, r, err.msg);
		return;
	}
	a->status = r == 0 ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED;
	a->json = json_pack("{ss, ss}", "id", c->id, "state", r == 0 ? "gone" : "leaving");
}

/* What POST /v1/devices/ID/... does with its body. */
static void change(struct call *c, struct answer *a,
                   unsigned (*how)(struct ovbd_devices *ds, const char *id, const json_t *body,
                                   json_t **ret))
{
	json_auto_t *body = NULL;
	struct ovbd_error err;
	const int r = parse_body(c, &body, &err);

	if (r < 0)
		fail(a, r, err.msg);
	else
		a->status = how(c->api->devices, c->id, body, &a->json);
}

static void snapshot(struct call *c, struct answer *a)
{
	change(c, a, ovbd_api_snapshot);
}

static void resize(struct call *c, struct answer *a)
{
	change(c, a, ovbd_api_resize);
}

static void bow(struct call *c, struct answer *a)
{
	change(c, a, ovbd_api_bow);
	if (a->status == MHD_HTTP_OK)
		answer_device(c, c->id, MHD_HTTP_OK, a);
}

static const char *argument(const struct call *c, const char *name)
{
	return MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, name);
}

static void snapshot_original(struct call *c, struct answer *a)
{
	a->status = ovbd_api_snapshot_original(c->api->devices, argument(c, "dev_id"),
	                                       argument(c, "config"), &a->json);
}

static void put_left(void *arg, const char *id, const char *why)
{
	json_object_set_new(arg, id, json_string(why));
}

static void drain(struct call *c, struct answer *a)
{
	json_auto_t *why = json_object();
	const struct ovbd_drain_params p = {
		.how = detach_how(c),
		.timeout_ms = DRAIN_MS,
		.left = put_left,
		.arg = why,
	};
	struct ovbd_error err = {0};
	const int left = ovbd_devices_drain(c->api->devices, &p, &err);

	if (left < 0 || (left > 0 && p.how == OVBD_DETACH_UNUSED)) {
		fail(a, left < 0 ? left : -EBUSY, err.msg);
	} else {
		a->status = left > 0 ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK;
		a->json = json_object();
	}
	json_object_set_new(a->json, "left", json_integer(left > 0 ? left : 0));
	json_object_set(a->json, "devices", why);
}

static void reload(struct call *c, struct answer *a)
{
	struct ovbd_error err;
	const int r = c->api->reload ? c->api->reload(c->api->arg, &err) : 0;

	if (r < 0) {
		fail(a, r, err.msg);
		return;
	}
	ovbd_devices_retry(c->api->devices);
	a->json = json_object();
}

static void count_states(void *arg, const struct ovbd_device_view *v)
{
	size_t *n = arg;

	n[v->state]++;
}

static void status(struct call *c, struct answer *a)
{
	size_t n[OVBD_DEVICE_GONE + 1] = {0};
	json_t *devices = json_object();
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ovbd_devices_show(c->api->devices, NULL, count_states, n);
	for (int s = 0; s < OVBD_DEVICE_GONE; s++)
		json_object_set_new(devices, ovbd_device_state_name((enum ovbd_device_state)s),
		                    json_integer((json_int_t)n[s]));
	a->json = json_pack("{ss, ss, si, sI, so, so, so}", "schema", "ovbd.status.v1", "version",
	                    c->api->version, "pid", (int)getpid(), "uptime",
	                    (json_int_t)(now.tv_sec - c->api->started), "devices", devices,
	                    "transports", ovbd_api_json_transports(), "confinement",
	                    ovbd_api_json_confinement());
}

static void metrics(struct call *c, struct answer *a)
{
	if (ovbd_metrics_write(c->api->metrics, &a->text, &a->len) < 0)
		fail(a, -ENOMEM, "out of memory");
	else
		a->type = OVBD_METRICS_TYPE;
}

/* --- routing --- */

static const struct route {
	const char *method; /* NULL: any */
	const char *path;
	bool with_id;     /* PATH/ID */
	const char *then; /* PATH/IDTHEN, or "" */
	void (*handle)(struct call *c, struct answer *a);
} routes[] = {
	{"POST", DEVICES, false, "", attach},
	{"GET", DEVICES, false, "", list},
	{"POST", DEVICES, true, "/snapshot", snapshot},
	{"POST", DEVICES, true, "/resize", resize},
	{"POST", DEVICES, true, "/bow", bow},
	{"GET", DEVICES, true, "", show},
	{"DELETE", DEVICES, true, "", detach},
	{"POST", "/v1/drain", false, "", drain},
	{"POST", "/v1/reload", false, "", reload},
	{"GET", "/v1/status", false, "", status},
	{"GET", "/metrics", false, "", metrics},
	{NULL, "/snapshot", false, "", snapshot_original},
};

/* The ID is in c then. */
static bool matches(const struct route *r, const char *url, struct call *c)
{
	const size_t n = strlen(r->path), n_then = strlen(r->then);
	size_t n_id;

	if (strncmp(url, r->path, n) != 0)
		return false;
	c->id = url + n;
	if (!r->with_id)
		return url[n] == '\0';
	if (url[n] != '/' || url[n + 1] == '\0')
		return false;
	c->id = url + n + 1;
	n_id = strlen(c->id);
	if (n_then == 0)
		return true;
	if (n_id <= n_then || strcmp(c->id + n_id - n_then, r->then) != 0)
		return false;
	snprintf(c->id_alone, sizeof(c->id_alone), "%.*s", (int)(n_id - n_then), c->id);
	c->id = c->id_alone;
	return true;
}

/* Who asks: the process, as long as it is there, and its user. */
static void tell_asked(const struct call *c, const char *method, const char *url)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);
	char name[32] = "", path[32];
	struct ovbd_error say;
	FILE *f;

	if (!c->api->asked || strcmp(method, MHD_HTTP_METHOD_GET) == 0)
		return;
	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)peer.pid);
	f = fopen(path, "re");
	if (f) {
		if (fgets(name, sizeof(name), f))
			name[strcspn(name, "\n")] = '\0';
		fclose(f);
	}
	ovbd_fail(&say, 0, "%s %.200s: asked by process %d (%s) of user %u", method, url,
	          (int)peer.pid, name, (unsigned)peer.uid);
	c->api->asked(c->api->arg, say.msg);
}

static void route(struct call *c, const char *method, const char *url, struct answer *a)
{
	struct ovbd_error err;
	bool known = false;

	if (c->too_big) {
		fail(a, -E2BIG, "the request is too long");
		return;
	}
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (matches(&routes[i], url, c)) {
			known = true;
			if (!routes[i].method || strcmp(method, routes[i].method) == 0) {
				routes[i].handle(c, a);
				return;
			}
		}
	ovbd_fail(&err, -ENOENT, known ? "%.80s: not with %.16s" : "%.80s: there is no such thing",
	          url, method);
	fail(a, -ENOENT, err.msg);
	if (known)
		a->status = MHD_HTTP_METHOD_NOT_ALLOWED;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer *take_a)
{
	struct MHD_Response *response;
	enum MHD_Result r;

	if (!take_a->text) {
		take_a->text = take_a->json ? json_dumps(take_a->json, JSON_INDENT(2)) : NULL;
		take_a->len = take_a->text ? strlen(take_a->text) : 0;
		take_a->type = "application/json";
	}
	json_decref(take_a->json);
	if (!take_a->text)
		return MHD_NO; /* no memory: the connection is closed */
	response =
		MHD_create_response_from_buffer(take_a->len, take_a->text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(take_a->text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, take_a->type);
	r = MHD_queue_response(connection, take_a->status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result take_body(struct call *c, const char *data, size_t *len)
{
	if (c->too_big || c->len + *len > OVBD_SPEC_SIZE_MAX) {
		c->too_big = true;
	} else {
		char *more = realloc(c->body, c->len + *len);

		if (!more)
			return MHD_NO;
		memcpy(more + c->len, data, *len);
		c->body = more;
		c->len += *len;
	}
	*len = 0;
	return MHD_YES;
}

/* Called for the head of a request, then for each piece of its body, then at its end. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
	struct answer a = {.status = MHD_HTTP_OK};
	struct call *c = *state;

	(void)version;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return MHD_NO;
		*c = (struct call){.api = arg, .connection = connection, .id = ""};
		*state = c;
		return MHD_YES;
	}
	if (*len > 0)
		return take_body(c, data, len);
	tell_asked(c, method, url);
	route(c, method, url, &a);
	return send_answer(connection, &a);
}

static void on_end(void *arg, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode how)
{
	struct call *c = *state;

	(void)arg;
	(void)connection;
	(void)how;
	if (c)
		free(c->body);
	free(c);
	*state = NULL;
}

int ovbd_api_start(const struct ovbd_api_params *p, struct ovbd_api **ret, struct ovbd_error *err)
{
	const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
	                       MHD_USE_POLL | MHD_USE_ITC;
	struct ovbd_api *api = calloc(1, sizeof(*api));
	struct timespec now;

	if (!api) {
		close(p->take_fd);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	*api = (struct ovbd_api){.devices = p->devices,
	                         .metrics = p->metrics,
	                         .version = p->version,
	                         .reload = p->reload,
	                         .asked = p->asked,
	                         .arg = p->arg,
	                         .started = now.tv_sec};
	api->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_request, api, MHD_OPTION_LISTEN_SOCKET,
	                            p->take_fd, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
	                            MHD_OPTION_END);
	if (!api->mhd) {
		close(p->take_fd);
		free(api);
		return ovbd_fail_errno(err, -EIO, "starting the control API");
	}
	*ret = api;
	return 0;
}

void ovbd_api_stop(struct ovbd_api *take_api)
{
	if (!take_api)
		return;
	MHD_stop_daemon(take_api->mhd);
	free(take_api);
}
