// SPDX-License-Identifier: Apache-2.0
/*
 * The least that libfuse can do: one file, whose reads are preads of another. What FUSE itself
 * costs, for bench/ceiling: ovbd-bench-ceiling-fuse FILE MOUNTPOINT, where MOUNTPOINT is a file.
 * Serves until SIGTERM or an unmount.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX (1u << 20)

static int source;

static void answer_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)ino;
	(void)fi;
	fstat(source, &st);
	st.st_ino = FUSE_ROOT_ID;
	st.st_mode = S_IFREG | 0400;
	fuse_reply_attr(req, &st, 3600);
}

static void answer_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void answer_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        struct fuse_file_info *fi)
{
	static _Thread_local char *buf; /* fuse_reply_data() would get one each time */
	ssize_t n;

	(void)ino;
	(void)fi;
	if (!buf)
		buf = aligned_alloc(4096, READ_MAX);
	n = buf && size <= READ_MAX ? pread(source, buf, size, off) : -1;
	if (n < 0)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

int main(int argc, char **argv)
{
	static const struct fuse_lowlevel_ops ops = {
		.getattr = answer_getattr,
		.open = answer_open,
		.read = answer_read,
	};
	char *names[] = {argv[0], NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, names);
	struct fuse_session *s;
	int r = EXIT_FAILURE;

	if (argc != 3)
		return EXIT_FAILURE;
	source = open(argv[1], O_RDONLY | O_CLOEXEC);
	s = source < 0 ? NULL : fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (s && fuse_set_signal_handlers(s) == 0 && fuse_session_mount(s, argv[2]) == 0) {
		struct fuse_loop_config *config = fuse_loop_cfg_create();

		r = fuse_session_loop_mt(s, config) < 0;
		fuse_loop_cfg_destroy(config);
		fuse_session_unmount(s);
	}
	return r;
}
