// SPDX-License-Identifier: Apache-2.0
/* What the users of a server have read, written down at its end. */
#include "image/recorder.h"
#include "tools/serving.h"
#include "tools/size.h"

int ovbd_serving_start_recording(struct ovbd_serving *s, const char *path)
{
	struct ovbd_error err;
	int r;

	if (!path)
		return 0;
	r = ovbd_recorder_create(&s->recorder, &err);
	if (r < 0)
		return ovbd_cli_fail(s->c, r, false, &err);
	s->trace_path = path;
	return 0;
}

int ovbd_serving_save_trace(struct ovbd_serving *s)
{
	char size[OVBD_SIZE_TEXT], count[OVBD_COUNT_TEXT];
	AUTO_TRACE t = {0};
	struct ovbd_error err;
	bool whole;
	int r;

	if (!s->recorder)
		return 0;
	r = ovbd_recorder_copy(s->recorder, &t, &whole, &err);
	if (r == 0)
		r = ovbd_trace_save(&t, s->trace_path, &err);
	if (r < 0) {
		ovbd_serving_tell(s, true, "%s", err.msg);
		return r;
	}
	ovbd_serving_tell(s, false, "%s: %s, %s%s", s->trace_path,
	                  ovbd_count_text(count, t.n, "range"),
	                  ovbd_size_text(size, ovbd_trace_size(&t)),
	                  whole ? "" : "; it is full, what was read later is not in it");
	return 0;
}
