// SPDX-License-Identifier: Apache-2.0
/*
 * A server of its own, as the metrics have one: nothing but snapshots can be asked for here. Each
 * request has a thread, as it takes as long as the layer takes to be sealed.
 */
#include "daemon/snapshot_service.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "base/auto.h"
#include "daemon/api_snapshot.h"
#include "daemon/exporter.h"

#define CONNECTIONS_MAX 16
#define TIMEOUT_S       120u /* of one that says nothing */

struct ovbd_snapshot_service {
	struct MHD_Daemon *mhd;
	struct ovbd_devices *devices;
};

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status,
                                 json_t *take_json)
{
	char *text = take_json ? json_dumps(take_json, 0) : NULL;
	struct MHD_Response *response;
	enum MHD_Result r;

	json_decref(take_json);
	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

/* Called for the head of a request, for pieces of a body, which mean nothing, and at the end. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
	const struct ovbd_snapshot_service *s = arg;
	json_t *json = NULL;
	unsigned status;

	(void)method;
	(void)version;
	(void)data;
	if (!*state) {
		*state = connection; /* anything: it has begun */
		return MHD_YES;
	}
	if (*len > 0) {
		*len = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/snapshot") != 0) {
		json = json_pack("{sb, ss}", "success", 0, "message",
		                 "There are only snapshots here");
		return send_json(connection, MHD_HTTP_NOT_FOUND, json);
	}
	status = ovbd_api_snapshot_original(
		s->devices,
		MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "dev_id"),
		MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "config"), &json);
	return send_json(connection, status, json);
}

int ovbd_snapshot_service_start(int take_fd, struct ovbd_devices *ds,
                                struct ovbd_snapshot_service **ret, struct ovbd_error *err)
{
	struct ovbd_snapshot_service *s = calloc(1, sizeof(*s));
	AUTO_FD fd = take_fd;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->devices = ds;
	s->mhd = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
	                                  MHD_USE_POLL | MHD_USE_ITC,
	                          0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
	                          MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
	                          MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	if (!s->mhd) {
		free(s);
		return ovbd_fail_errno(err, -EIO, "serviceConfig: starting the server");
	}
	fd = -1; /* the server's */
	*ret = s;
	return 0;
}

void ovbd_snapshot_service_stop(struct ovbd_snapshot_service *take_s)
{
	if (!take_s)
		return;
	MHD_stop_daemon(take_s->mhd);
	free(take_s);
}

int ovbd_snapshot_service_listen(const char *address, int *ret_fd, struct ovbd_error *err)
{
	static const char http[] = "http://";
	AUTO_FREE char *place = NULL;
	int r;

	if (strncmp(address, http, strlen(http)) != 0)
		return ovbd_fail(err, -EINVAL, "serviceConfig.address: '%s' is no http URL",
		                 address);
	address += strlen(http);
	place = strndup(address, strcspn(address, "/"));
	if (!place)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_exporter_listen(place, ret_fd, err);
	return r < 0 ? ovbd_fail_within(err, r, "serviceConfig.address") : 0;
}
