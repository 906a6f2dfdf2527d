// SPDX-License-Identifier: Apache-2.0
/* The only code that knows the bytes of a store. */
#include "ota/dm_snapshot_format.h"

#include <errno.h>

#include "base/bytes.h"

#define MAGIC       0x70416e53u /* "SnAp" */
#define VERSION     1u
#define SECTOR      512u
#define SECTORS_MAX (32u << 10) /* of a chunk: 16 MiB, far more than anybody uses */

bool ovbd_snapshot_magic(const uint8_t buf[SNAPSHOT_HEADER_SIZE])
{
	return ovbd_get_le32(buf + SNAPSHOT_OFF_MAGIC) == MAGIC;
}

int ovbd_snapshot_header_decode(const uint8_t buf[SNAPSHOT_HEADER_SIZE],
                                struct snapshot_header *ret, struct ovbd_error *err)
{
	const uint32_t valid = ovbd_get_le32(buf + SNAPSHOT_OFF_VALID);
	const uint32_t version = ovbd_get_le32(buf + SNAPSHOT_OFF_VERSION);
	const uint32_t sectors = ovbd_get_le32(buf + SNAPSHOT_OFF_CHUNK_SIZE);

	if (!ovbd_snapshot_magic(buf))
		return ovbd_fail(err, -EBADMSG, "is no store of dm-snapshot");
	if (version != VERSION)
		return ovbd_fail(err, -ENOTSUP, "store of dm-snapshot: version %u, not %u", version,
		                 VERSION);
	if (valid > 1)
		return ovbd_fail(err, -EBADMSG, "store of dm-snapshot: valid is %u, not 0 or 1",
		                 valid);
	if (sectors == 0 || (sectors & (sectors - 1)) != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "store of dm-snapshot: chunks of %u sectors: not a power of two",
		                 sectors);
	if (sectors > SECTORS_MAX)
		return ovbd_fail(err, -ENOTSUP,
		                 "store of dm-snapshot: chunks of %u sectors: at most %u", sectors,
		                 SECTORS_MAX);
	if (!valid)
		return ovbd_fail(
			err, -EBADMSG,
			"store of dm-snapshot: it is marked as no longer valid: the kernel "
			"ran out of room in it, or could not write it");
	*ret = (struct snapshot_header){.chunk_size = sectors * SECTOR};
	return 0;
}

struct snapshot_exception ovbd_snapshot_exception_decode(const uint8_t buf[SNAPSHOT_EXCEPTION_SIZE])
{
	return (struct snapshot_exception){
		.old = ovbd_get_le64(buf + SNAPSHOT_OFF_OLD),
		.new = ovbd_get_le64(buf + SNAPSHOT_OFF_NEW),
	};
}
