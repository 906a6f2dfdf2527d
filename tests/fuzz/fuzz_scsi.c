// SPDX-License-Identifier: Apache-2.0
/* The first byte chooses the disk, the second how long the command is; parameters follow it. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "daemon/scsi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ovbd_scsi_disk d = {.size = UINT64_C(3) << 30,
	                           .block_size = 512,
	                           .max_transfer = 1 << 20,
	                           .serial = "fuzz"};
	struct ovbd_scsi_command c;
	size_t len, wanted;

	if (size < 2)
		return 0;
	d.writable = (data[0] & 1) != 0;
	d.block_size = (data[0] & 2) != 0 ? 4096 : 512;
	len = ovbd_min(data[1] % (OVBD_SCSI_CDB_SIZE_MAX + 1), size - 2);
	data += 2;
	wanted = ovbd_scsi_parameters_size(&d, data, len);
	if (wanted > OVBD_SCSI_PARAMETERS_SIZE_MAX)
		abort();
	ovbd_scsi_decode(&d, data, len, data + len, ovbd_min(wanted, size - 2 - len), &c);
	if (c.kind == OVBD_SCSI_REQUEST && !ovbd_within(c.request.off, c.request.len, d.size))
		abort();
	if (c.kind == OVBD_SCSI_REQUEST &&
	    (c.request.len == 0) != (c.request.op == OVBD_REQUEST_FLUSH))
		abort();
	if (c.nanswer > sizeof(c.answer))
		abort();
	return 0;
}
