// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as an archive of an image, OCI's and docker's: what it names is found, its documents
 * and its layers are read to their ends.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oci/place.h"

static void read_layers(struct oci_source *s, const json_t *manifest)
{
	const json_t *layers = json_object_get(manifest, "layers");

	for (size_t i = 0; i < json_array_size(layers) && i < 16; i++) {
		OVBD_AUTO(oci_stream_close) struct oci_stream in = {0};
		struct ovbd_error err;
		struct oci_ref ref;

		if (oci_ref_parse(json_array_get(layers, i), "a layer", &ref, &err) == 0 &&
		    oci_source_stream(s, &ref, &in, &err) == 0)
			oci_stream_verify(&in, NULL, NULL, &err);
	}
}

static void read_image(const char *prefix, int fd)
{
	static const struct oci_how how = {.temp_dir = "/tmp"};
	AUTO_JSON *entry = NULL, *manifest = NULL, *config = NULL;
	struct oci_source *s;
	struct ovbd_error err;
	struct oci_ref ref;
	char name[64];

	snprintf(name, sizeof(name), "%s/proc/self/fd/%d", prefix, fd);
	if (oci_source_open(name, &how, &s, &err) < 0)
		return;
	if (oci_source_find(s, &ref, &entry, &err) == 0 &&
	    oci_source_document(s, &ref, &manifest, &err) == 0) {
		if (oci_ref_parse(json_object_get(manifest, "config"), "config", &ref, &err) == 0)
			oci_source_document(s, &ref, &config, &err);
		read_layers(s, manifest);
	}
	oci_source_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int fd = memfd_create("archive", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	read_image("oci-archive:", fd);
	read_image("docker-archive:", fd);
	close(fd);
	return 0;
}
