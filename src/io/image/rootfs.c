/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/str.h"
#include "io/sys/child.h"

#define PACK_ARGS_MAX	40
#define ROOTFS_SIZE_MAX ((uint64_t)UINT32_MAX)
#define ROOTFS_BLOCK	4096
#define ROOM_MIN	(1u << 20)

/* Any fixed value: a random one would change the digest. */
#define EROFS_UUID "00000000-0000-4000-8000-000000000001"

/* How one type and compression are asked for. The first of a type is its default. */
struct packer {
	const char *type, *compression;
	const char *args[8];
};

static const struct packer packers[] = {
	/* Small blocks, none of them shared: a start reads little, so it must unpack little. */
	{ "squashfs", "lz4", { "-comp", "lz4", "-Xhc", "-b", "65536", "-no-fragments" } },
	{ "squashfs", "zstd", { "-comp", "zstd", "-Xcompression-level", "19", "-b", "131072" } },
	{ "squashfs", "xz", { "-comp", "xz", "-b", "131072" } },
	{ "squashfs", "gzip", { "-comp", "gzip", "-b", "131072" } },
	{ "squashfs", "none", { "-comp", "lz4", "-noI", "-noId", "-noD", "-noF", "-noX" } },
	{ "erofs", "lz4hc", { "-zlz4hc,12", "-C65536" } },
	{ "erofs", "none", { NULL } },
};

static const struct packer *find_packer(const struct sk_rootfs_spec *spec)
{
	const char *type = spec->type ? spec->type : packers[0].type;

	for (size_t i = 0; i < ARRAY_SIZE(packers); i++)
		if (sk_streq(packers[i].type, type) &&
		    (!spec->compression || sk_streq(packers[i].compression, spec->compression)))
			return &packers[i];
	return NULL;
}

/* Command lines are built here; @n counts past the bound rather than writing past it. */
struct args {
	const char *v[PACK_ARGS_MAX + 1];
	size_t n;
};

static void arg(struct args *a, const char *s)
{
	if (a->n < PACK_ARGS_MAX)
		a->v[a->n++] = s;
}

struct root_owner {
	char mode[8], uid[16], gid[16];
};

/* The last "#root MODE UID GID" of the owners file; empty strings when there is none. */
static int read_root_owner(const char *file, struct root_owner *ret, struct sk_err *err)
{
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	FILE *in;

	*ret = (struct root_owner){ 0 };
	if (!file)
		return 0;
	in = fopen(file, "re");
	if (!in)
		return sk_err_set(err, -errno, "io", "%s: %s", file, strerror(errno));
	while (getline(&line, &cap, in) > 0)
		if (sk_str_starts(line, "#root ") &&
		    sscanf(line, "#root %7s %15s %15s", ret->mode, ret->uid, ret->gid) != 3)
			*ret = (struct root_owner){ 0 };
	(void)fclose(in);
	return 0;
}

/*
 * -reproducible is the tool's default, but a system-wide alias could turn it off. Hard links do not
 * survive every copy of a folder; their data is stored once in any case. Without
 * -exit-on-error an unreadable file would silently become an empty one.
 */
static void squashfs_args(struct args *a, const struct sk_rootfs_spec *spec, const struct packer *p,
			  const char *root, const char *out, const char *time,
			  const struct root_owner *owner)
{
	static const char *const fixed[] = { "-noappend",     "-reproducible", "-no-exports",
					     "-no-hardlinks", "-no-xattrs",    "-no-recovery",
					     "-no-progress",  "-quiet",	       "-exit-on-error" };

	arg(a, "mksquashfs");
	arg(a, root);
	arg(a, out);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		arg(a, fixed[i]);
	/* With keep_times the same comes by the environment, as a bound: see tool_env(). */
	if (!spec->keep_times) {
		arg(a, "-mkfs-time");
		arg(a, time);
		arg(a, "-all-time");
		arg(a, time);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p->args) && p->args[i]; i++)
		arg(a, p->args[i]);
	if (spec->all_root)
		arg(a, "-all-root");
	if (spec->owners) {
		arg(a, "-pf");
		arg(a, spec->owners);
	}
	if (owner->mode[0]) {
		arg(a, "-root-mode");
		arg(a, owner->mode);
		arg(a, "-root-uid");
		arg(a, owner->uid);
		arg(a, "-root-gid");
		arg(a, owner->gid);
	}
}

static void erofs_args(struct args *a, const struct sk_rootfs_spec *spec, const struct packer *p,
		       const char *root, const char *out, const char *time)
{
	arg(a, "mkfs.erofs");
	arg(a, "--quiet");
	arg(a, "-x-1"); /* no extended attributes */
	arg(a, "-U" EROFS_UUID);
	arg(a, time); /* "-T<seconds>" */
	for (size_t i = 0; i < ARRAY_SIZE(p->args) && p->args[i]; i++)
		arg(a, p->args[i]);
	if (spec->all_root)
		arg(a, "--all-root");
	arg(a, out);
	arg(a, root);
}

/*
 * The caller's environment less its SOURCE_DATE_EPOCH: mksquashfs refuses that beside -all-time,
 * and clamps time stamps to it otherwise, which is what keep_times wants.
 */
static int tool_env(const struct sk_rootfs_spec *spec, char ***ret)
{
	_cleanup_strv_ char **env = NULL;

	for (char **e = environ; *e; e++)
		if (!sk_str_starts(*e, "SOURCE_DATE_EPOCH=") && sk_strv_add(&env, *e) < 0)
			return -ENOMEM;
	if (sk_strv_add(&env, "LC_ALL=C.UTF-8") < 0)
		return -ENOMEM;
	if (spec->keep_times && sk_strv_addf(&env, "SOURCE_DATE_EPOCH=%" PRId64, spec->epoch_s) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(env);
	return 0;
}

/* The tools report a full disk in words of their own, or not at all: look at the free room. */
static bool is_full(const char *dir)
{
	struct statvfs fs;

	return statvfs(dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_MIN;
}

static int run_tool(const struct sk_rootfs_spec *s, const struct args *a, const char *package,
		    struct sk_err *err)
{
	_cleanup_strv_ char **env = NULL;
	struct sk_child_spec spec =
		SK_CHILD_SPEC(.argv = a->v, .kill_with_parent = true, .no_new_privs = true);
	int r;

	if (tool_env(s, &env) < 0)
		return sk_err_oom(err);
	spec.env = (const char *const *)env;
	r = sk_child_run(&spec, 0, NULL, NULL, err);
	if (r == -ENOENT)
		return sk_err_set(err, r, "not-found",
				  "%s is not installed: install the package %s", a->v[0], package);
	if (r < 0 && is_full(s->tmp_dir))
		return sk_err_set(err, -ENOSPC, "no-space",
				  "%s: No space left on device (TMPDIR names another place)",
				  s->tmp_dir);
	return r;
}

static int pack_to(const struct sk_rootfs_spec *spec, const struct packer *p, const char *out,
		   struct sk_err *err)
{
	_cleanup_free_ char *root = NULL;
	struct root_owner owner;
	struct args a = { 0 };
	char time[32];
	int r;

	/* A folder called "-e" must not become an option. */
	root = sk_asprintf("%s%s", spec->root[0] == '/' ? "" : "./", spec->root);
	if (!root)
		return sk_err_oom(err);
	if (sk_streq(p->type, "squashfs")) {
		(void)snprintf(time, sizeof(time), "%" PRId64, spec->epoch_s);
		r = read_root_owner(spec->owners, &owner, err);
		if (r < 0)
			return r;
		squashfs_args(&a, spec, p, root, out, time, &owner);
		return run_tool(spec, &a, "squashfs-tools", err);
	}
	(void)snprintf(time, sizeof(time), "-T%" PRId64, spec->epoch_s);
	erofs_args(&a, spec, p, root, out, time);
	return run_tool(spec, &a, "erofs-utils", err);
}

static int check_spec(const struct sk_rootfs_spec *spec, const struct packer *p, struct sk_err *err)
{
	struct stat st;

	if (!p)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "no such file system and compression: %s %s; squashfs takes lz4, "
				  "zstd, xz, gzip or none, erofs takes lz4hc or none",
				  spec->type ? spec->type : "squashfs",
				  spec->compression ? spec->compression : "");
	if (spec->epoch_s < 0 || spec->epoch_s > UINT32_MAX)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "time stamp %" PRId64 " is not between 1970 and 2106",
				  spec->epoch_s);
	if (spec->owners && !sk_streq(p->type, "squashfs"))
		return sk_err_set(err, -EINVAL, "not-supported",
				  "only squashfs can be given owners that are not on disk: run as "
				  "root, or choose squashfs");
	if (stat(spec->root, &st) < 0)
		return sk_err_set(err, -errno, "not-found", "%s: %s", spec->root, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return sk_err_set(err, -ENOTDIR, "bad-value", "%s is not a folder", spec->root);
	return 0;
}

static int take_result(int fd, uint64_t *ret_size, struct sk_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return sk_err_set(err, -errno, "io", "packed file system: %s", strerror(errno));
	if (st.st_size <= 0 || st.st_size % ROOTFS_BLOCK != 0)
		return sk_err_set(err, -EIO, "child-failed",
				  "the packed file system has an odd size: %" PRId64 " bytes",
				  (int64_t)st.st_size);
	if ((uint64_t)st.st_size > ROOTFS_SIZE_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "the packed file system has %" PRId64
				  " bytes; an image holds less than 4 GiB",
				  (int64_t)st.st_size);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int sk_rootfs_pack(const struct sk_rootfs_spec *spec, int *ret_fd, uint64_t *ret_size,
		   struct sk_err *err)
{
	const struct packer *p = find_packer(spec);
	_cleanup_free_ char *out = NULL;
	_cleanup_close_ int made = -1, fd = -1;
	int r = check_spec(spec, p, err);

	if (r < 0)
		return r;
	out = sk_asprintf("%s%s/rootfs.XXXXXX", spec->tmp_dir[0] == '/' ? "" : "./", spec->tmp_dir);
	if (!out)
		return sk_err_oom(err);
	made = mkostemp(out, O_CLOEXEC);
	if (made < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", spec->tmp_dir, strerror(errno));
	r = pack_to(spec, p, out, err);
	/* Opened again: a tool may have replaced the file rather than written into it. */
	if (r == 0) {
		fd = open(out, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		r = fd < 0 ? sk_err_set(err, -errno, "io", "%s: %s", out, strerror(errno)) : 0;
	}
	(void)unlink(out);
	if (r == 0)
		r = take_result(fd, ret_size, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int sk_rootfs_make(const char *root, const char *type, const char *compression, int64_t epoch_s,
		   const char *tmp_dir, int *ret_fd, uint64_t *ret_size, struct sk_err *err)
{
	const struct sk_rootfs_spec spec = {
		.root = root,
		.type = type,
		.compression = compression,
		.epoch_s = epoch_s,
		.tmp_dir = tmp_dir,
	};

	return sk_rootfs_pack(&spec, ret_fd, ret_size, err);
}

static int write_failed(int r, struct sk_err *err)
{
	const char *slug = r == -ENOSPC || r == -EDQUOT ? "no-space" : "io";

	return sk_err_set(err, r, slug, "cannot write the image: %s", strerror(-r));
}

int sk_image_assemble(int out_fd, const void *tree, size_t tree_len, int rootfs_fd,
		      struct sk_err *err)
{
	int r = sk_fd_write(out_fd, tree, tree_len);

	if (r == 0 && lseek(rootfs_fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == 0)
		r = sk_fd_copy(rootfs_fd, out_fd, ROOTFS_SIZE_MAX, NULL, NULL);
	if (r == 0 && fsync(out_fd) < 0)
		r = -errno;
	return r < 0 ? write_failed(r, err) : 0;
}
