/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/capsule/capsule.h"
#include "cli/capsule/guard.h"
#include "cli/output.h"
#include "io/image/archive.h"
#include "io/image/rootfs.h"
#include "io/sys/child.h"

#define UNPACKED_MAX_DEFAULT (4ull << 30)
#define COPY_SEPARATOR	     ':'

/* What is being built, from start to end. */
struct build {
	struct sk_cli *cli;
	const char *source; /* folder, archive, "-"; NULL with packages */
	const char *packages;
	char *output;
	const char *work; /* folder of its own; borrowed */
	char *root;	  /* what is packed: <work>/rootfs, or the user's folder itself */
	bool keep_times, all_root;
	bool in_place;	 /* the user's own folder: nothing may be added to it */
	int64_t epoch_s; /* -1 until it is known */
	struct sk_unpacked unpacked;
	struct sk_image_info info;
};

static void build_done(struct build *b)
{
	free(b->output);
	free(b->root);
	sk_unpacked_done(&b->unpacked);
	free(b->info.name);
	free(b->info.version);
	free(b->info.arch);
	sk_run_done(&b->info.run);
}

static const char *machine_arch(void)
{
	static struct utsname u;

	if (uname(&u) < 0 || sk_streq(u.machine, "x86_64"))
		return "amd64";
	return sk_streq(u.machine, "aarch64") ? "arm64" : "armhf";
}

static int take_epoch(struct build *b, struct sk_err *err)
{
	const char *s = getenv("SOURCE_DATE_EPOCH");
	uint64_t v;

	b->epoch_s = -1;
	if (!s)
		return 0;
	if (sk_parse_u64(s, &v) < 0 || v > UINT32_MAX)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "SOURCE_DATE_EPOCH=%s: write seconds since 1970", s);
	b->epoch_s = (int64_t)v;
	return 0;
}

/* A folder of this build's own; *ret is owned by the caller, who removes it. */
static int make_work(char **ret, struct sk_err *err)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *work =
		sk_asprintf("%s/skerry-capsule.XXXXXX", tmp && *tmp ? tmp : "/var/tmp");

	if (!work)
		return sk_err_oom(err);
	if (!mkdtemp(work))
		return sk_err_set(err, -errno, errno == ENOSPC ? "no-space" : "io",
				  "cannot make a folder to work in, %s: %s (TMPDIR names another "
				  "place)",
				  work, strerror(errno));
	*ret = TAKE_PTR(work);
	return 0;
}

static int unpacked_max(struct sk_cli *cli, uint64_t *ret, struct sk_err *err)
{
	const char *s = sk_cli_opt(cli, "max-unpacked");

	*ret = UNPACKED_MAX_DEFAULT;
	if (s && (sk_parse_size(s, ret) < 0 || *ret == 0 || *ret > (1ull << 40)))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "--max-unpacked %s: write a size, e.g. 8G", s);
	return 0;
}

static void print_left_out(const struct build *b)
{
	if (b->unpacked.left_out_devices > 0)
		sk_say(b->cli, "left out: %u device nodes below /dev (a capsule gets its own /dev)",
		       b->unpacked.left_out_devices);
	if (b->unpacked.left_out_xattrs > 0)
		sk_say(b->cli,
		       "left out: extended attributes and ACLs of %u files (images carry none)",
		       b->unpacked.left_out_xattrs);
}

static int from_archive(struct build *b, struct sk_err *err)
{
	const char *arch = sk_cli_opt(b->cli, "arch");
	_cleanup_close_ int fd = -1;
	uint64_t max;
	int r = unpacked_max(b->cli, &max, err);

	if (r < 0)
		return r;
	fd = sk_streq(b->source, "-") ? dup(STDIN_FILENO)
				      : open(b->source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return sk_err_set(err, -errno, errno == ENOENT ? "not-found" : "io", "%s: %s",
				  b->source, strerror(errno));
	sk_say(b->cli, "unpacking %s", b->source);
	r = sk_archive_unpack_arch(fd, b->work, max, arch, &b->unpacked, err);
	if (r < 0)
		return r;
	b->keep_times = true;
	return sk_run_from_oci(b->unpacked.config, b->unpacked.config_len, &b->info.run,
			       &b->info.arch, err);
}

static int from_packages(struct build *b, struct sk_err *err)
{
	const char *arch = sk_cli_opt(b->cli, "arch") ? sk_cli_opt(b->cli, "arch") : machine_arch();
	_cleanup_close_ int tar = open(b->work, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	uint64_t max;
	int r = unpacked_max(b->cli, &max, err);

	if (r < 0)
		return r;
	if (tar < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", b->work, strerror(errno));
	b->info.arch = strdup(arch);
	if (!b->info.arch)
		return sk_err_oom(err);
	sk_say(b->cli, "fetching packages for %s with mmdebstrap", arch);
	r = sk_capsule_packages(b->cli, b->packages, arch, tar, err);
	if (r < 0)
		return r;
	if (lseek(tar, 0, SEEK_SET) < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", b->work, strerror(errno));
	sk_say(b->cli, "unpacking");
	r = sk_archive_unpack_root(tar, b->work, max, sk_capsule_packages_keep, &b->unpacked, err);
	/* Maintainer scripts write files with the time of this build: no time stamp to take over. */
	if (sk_cli_flag(b->cli, "scripts"))
		b->unpacked.newest_s = 0;
	b->unpacked.left_out_devices = b->unpacked.left_out_xattrs = 0;
	b->keep_times = true;
	return r;
}

/* A folder is packed where it is, unless files are to be added to it. */
static int from_folder(struct build *b, struct sk_err *err)
{
	const char *arch = sk_cli_opt(b->cli, "arch") ? sk_cli_opt(b->cli, "arch") : machine_arch();
	_cleanup_free_ char *from = sk_asprintf("%s%s", b->source[0] == '/' ? "" : "./", b->source);
	/* Without owners modes stay whole: where cp cannot give a file away it drops set-id bits. */
	const char *owners = geteuid() == 0 ? "--preserve=all" : "--no-preserve=ownership";
	const char *argv[] = { "cp", "-a", owners, "--reflink=auto", "--", from, b->root, NULL };
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = argv, .kill_with_parent = true);

	b->info.arch = strdup(arch);
	if (!from || !b->info.arch)
		return sk_err_oom(err);
	b->all_root = geteuid() != 0;
	if (sk_cli_opt_all(b->cli, "copy")) {
		/* Files are added with their present owners; the owners file makes them root's. */
		if (b->all_root)
			b->unpacked.owners = sk_asprintf("%s/owners", b->work);
		if (b->all_root && !b->unpacked.owners)
			return sk_err_oom(err);
		return sk_child_run(&spec, 0, NULL, NULL, err);
	}
	b->in_place = true;
	free(b->root);
	b->root = TAKE_PTR(from);
	return 0;
}

static int unpack_source(struct build *b, struct sk_err *err)
{
	struct stat st;

	if (b->packages)
		return from_packages(b, err);
	if (!sk_streq(b->source, "-") && stat(b->source, &st) == 0 && S_ISDIR(st.st_mode))
		return from_folder(b, err);
	return from_archive(b, err);
}

static int copy_one(struct build *b, const char *value, struct sk_err *err)
{
	const char *colon = strrchr(value, COPY_SEPARATOR);
	_cleanup_free_ char *source = colon ? strndup(value, (size_t)(colon - value)) : NULL;
	struct sk_copy copy = { .source = source, .target = colon ? colon + 1 : NULL };

	if (!colon || colon == value || copy.target[0] != '/')
		return sk_err_set(err, -EINVAL, "bad-value", "--copy %s: write SOURCE:/path/inside",
				  value);
	if (!source)
		return sk_err_oom(err);
	return sk_archive_copy_in(b->work, &copy, b->unpacked.owners, b->epoch_s, err);
}

static int copy_all(struct build *b, struct sk_err *err)
{
	SK_STRV_FOREACH (c, sk_cli_opt_all(b->cli, "copy")) {
		int r = copy_one(b, *c, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* What the start of a capsule needs in it, and the user's files. */
static int add_files(struct build *b, struct sk_err *err)
{
	_cleanup_free_ char *file = NULL;
	int r;

	if (b->in_place) {
		if (sk_cli_opt(b->cli, "rootfs") &&
		    !sk_streq(sk_cli_opt(b->cli, "rootfs"), "squashfs"))
			return 0;
		file = sk_asprintf("%s/owners", b->work);
		r = file ? sk_archive_write_places(b->root, file, err) : sk_err_oom(err);
		b->unpacked.owners = r == 0 ? TAKE_PTR(file) : NULL;
		return r;
	}
	r = sk_archive_add_places(b->work, b->unpacked.owners, b->epoch_s, err);
	if (r == 0 && b->packages)
		r = sk_capsule_packages_users(b->work, b->unpacked.owners, b->epoch_s, err);
	return r == 0 ? copy_all(b, err) : r;
}

/* "repo/nginx:1.2" -> "nginx", "/srv/web/" -> "web", "nginx-light,curl" -> "nginx-light" */
static char *name_from(const char *s, const char *stop)
{
	_cleanup_free_ char *copy = strndup(s, strcspn(s, ","));
	size_t len = copy ? strlen(copy) : 0;
	char *base;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	if (!copy)
		return NULL;
	base = strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy;
	base[strcspn(base, stop)] = '\0';
	return strdup(base);
}

static int take_name(struct build *b, struct sk_err *err)
{
	const char *name = sk_cli_opt(b->cli, "name"), *out = sk_cli_opt(b->cli, "output");

	if (name)
		b->info.name = strdup(name);
	else if (out)
		b->info.name = name_from(out, ".");
	else if (b->packages)
		b->info.name = name_from(b->packages, ":");
	else if (b->unpacked.tags)
		b->info.name = name_from(b->unpacked.tags[0], ":@");
	else
		b->info.name = name_from(b->source, ".");
	if (!b->info.name)
		return sk_err_oom(err);
	if (!sk_name_ok(b->info.name))
		return sk_err_set(err, -EINVAL, "bad-name",
				  "\"%s\" cannot name an image: give one with --name",
				  b->info.name);
	b->output = out ? strdup(out) : sk_asprintf("%s.itb", b->info.name);
	return b->output ? 0 : sk_err_oom(err);
}

static int take_version(struct build *b, struct sk_err *err)
{
	const char *version = sk_cli_opt(b->cli, "version");

	b->info.version = version ? strdup(version) : NULL;
	return version && !b->info.version ? sk_err_oom(err) : 0;
}

static int pack(struct build *b, int *ret_fd, struct sk_err *err)
{
	const char *owners = sk_cli_opt(b->cli, "owners");
	struct sk_rootfs_spec spec = {
		.root = b->root,
		.type = sk_cli_opt(b->cli, "rootfs"),
		.compression = sk_cli_opt(b->cli, "compression"),
		.epoch_s = b->epoch_s,
		.keep_times = b->keep_times,
		.tmp_dir = b->work,
		.all_root = b->all_root,
		.owners = b->unpacked.owners,
	};
	int r;

	if (owners && !sk_streq(owners, "keep") && !sk_streq(owners, "root"))
		return sk_err_set(err, -EINVAL, "bad-value", "--owners %s: write keep or root",
				  owners);
	if (owners) {
		spec.all_root = sk_streq(owners, "root");
		spec.owners = spec.all_root && !b->in_place ? NULL : spec.owners;
	}
	sk_say(b->cli, "packing %s", spec.type ? spec.type : "squashfs");
	r = sk_rootfs_pack(&spec, ret_fd, &b->info.rootfs_size, err);
	if (r < 0)
		return r;
	b->info.type =
		spec.type && sk_streq(spec.type, "erofs") ? SK_ROOTFS_EROFS : SK_ROOTFS_SQUASHFS;
	r = sk_digest_of_fd(*ret_fd, 0, b->info.rootfs_size, &b->info.rootfs_digest);
	return r < 0 ? sk_err_set(err, r, "io", "packed file system: %s", strerror(-r)) : 0;
}

/* Written, then read as a device will: what would be refused there is refused here. */
static int make_tree(const struct build *b, void **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *check = NULL;
	int r = sk_image_build_tree(&b->info, ret, ret_len, err);

	if (r < 0)
		return r;
	return sk_image_parse(*ret, *ret_len, *ret_len + b->info.rootfs_size, &check, err);
}

static int write_image(const struct build *b, const void *tree, size_t len, int rootfs_fd,
		       struct sk_err *err)
{
	_cleanup_output_ struct sk_output out = { .fd = -1 };
	int r = sk_output_open(&out, b->output, err);

	if (r == 0 && !out.replaces)
		r = sk_err_set(err, -EINVAL, "bad-value", "cannot write %s: it is no file",
			       b->output);
	if (r == 0)
		r = sk_image_assemble(out.fd, tree, len, rootfs_fd, err);
	return r == 0 ? sk_output_commit(&out, err) : r;
}

static int print_result(const struct build *b, size_t tree_len, struct sk_err *err)
{
	_cleanup_close_ int fd = open(b->output, O_RDONLY | O_CLOEXEC);
	uint64_t size = tree_len + b->info.rootfs_size;
	struct sk_digest digest;
	char human[32];
	int r = fd < 0 ? -errno : sk_digest_of_fd(fd, 0, size, &digest);

	if (r < 0)
		return sk_err_set(err, r, "io", "%s: %s", b->output, strerror(-r));
	if (sk_cli_json(b->cli)) {
		sk_cli_print_json(json_pack("{s:s, s:s, s:s, s:I}", "file", b->output, "name",
					    b->info.name, "digest", SK_DIGEST_STR(&digest),
					    "size_bytes", (json_int_t)size));
		return 0;
	}
	if (!b->info.run.command && !b->info.run.arguments)
		sk_say(b->cli, "note: the image says no command; the manifest has to");
	(void)printf("%s: sha256:%s, %s\n", b->output, SK_DIGEST_STR(&digest),
		     sk_format_size(human, size));
	return 0;
}

static int build_finish(struct build *b, struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	_cleanup_close_ int rootfs = -1;
	size_t len = 0;
	int r;

	r = pack(b, &rootfs, err);
	if (r < 0)
		return r;
	r = make_tree(b, &tree, &len, err);
	if (r < 0)
		return r;
	r = write_image(b, tree, len, rootfs, err);
	return r < 0 ? r : print_result(b, len, err);
}

static int check_usage(const struct build *b, struct sk_err *err)
{
	const char *arch = sk_cli_opt(b->cli, "arch"), *output = sk_cli_opt(b->cli, "output");

	if (!b->source == !b->packages)
		return sk_err_set(err, -EINVAL, "usage",
				  "name one source: a folder, an archive, or --packages");
	if (arch && !sk_streq(arch, "amd64") && !sk_streq(arch, "arm64") &&
	    !sk_streq(arch, "armhf"))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "--arch %s: write amd64, arm64 or armhf", arch);
	if (b->source && sk_streq(b->source, "-") && isatty(STDIN_FILENO))
		return sk_err_set(err, -EINVAL, "usage",
				  "standard input is a terminal: send an archive into it");
	return output ? sk_output_check(output, err) : 0;
}

static int build_in(struct build *b, struct sk_err *err)
{
	int r;

	b->root = sk_asprintf("%s/rootfs", b->work);
	r = b->root ? unpack_source(b, err) : sk_err_oom(err);
	if (r < 0)
		return r;
	print_left_out(b);
	if (b->epoch_s < 0)
		b->epoch_s = b->unpacked.newest_s;
	b->info.created_s = b->epoch_s;
	r = add_files(b, err);
	if (r < 0)
		return r;
	r = take_name(b, err);
	if (r < 0)
		return r;
	r = take_version(b, err);
	if (r < 0)
		return r;
	r = sk_capsule_run_opts(b->cli, &b->info.run, err);
	return r < 0 ? r : build_finish(b, err);
}

static int run_capsule_build(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(build_done) struct build b = {
		.cli = cli,
		.source = sk_cli_arg(cli, 0),
		.packages = sk_cli_opt(cli, "packages"),
	};
	_cleanup_free_ char *work = NULL;
	int r = check_usage(&b, err), code = 0;

	if (r < 0)
		return r;
	r = take_epoch(&b, err);
	if (r < 0)
		return r;
	r = make_work(&work, err);
	if (r < 0)
		return r;
	r = sk_guard_fork(&code, err);
	if (r == 1) {
		b.work = work;
		return build_in(&b, err);
	}
	if (sk_rm_rf(AT_FDCWD, work) < 0)
		sk_say(cli, "note: %s could not be removed", work);
	return r < 0 ? r : code;
}

static const struct sk_opt opts[] = {
	{ "output", 'o', "FILE", "the image to write (default: NAME.itb)" },
	{ "name", 0, "NAME", "name of the image (default: from --output, tag or source)" },
	{ "version", 0, "VERSION", "version of what is inside, e.g. 1.4.0" },
	{ "arch", 0, "ARCH", "amd64, arm64 or armhf (default: the source's, or this machine's)" },
	{ "packages", 0, "NAMES", "Debian packages instead of a source, with commas between" },
	{ "suite", 0, "SUITE", "their Debian release: trixie (default), bookworm, …" },
	{ "mirror", 0, "URI", "where from (default: this machine's mirror); may be repeated" },
	{ "scripts", 0, NULL, "install packages fully: run their scripts, add essential ones" },
	{ "copy", 0, "SRC:DST", "add a file or folder; may be repeated" },
	{ "command", 0, "PROGRAM", "program to run" },
	{ "arg", 0, "WORD", "argument of it; may be repeated" },
	{ "env", 0, "NAME=VALUE", "environment variable; may be repeated" },
	{ "user", 0, "USER[:GROUP]", "who it runs as" },
	{ "workdir", 0, "PATH", "folder it starts in" },
	{ "stop-signal", 0, "SIGNAL", "what asks it to end (default SIGTERM)" },
	{ "stop-grace", 0, "TIME", "how long it may take to end, e.g. 30s" },
	{ "health-command", 0, "PROGRAM", "health check: run this inside" },
	{ "health-arg", 0, "WORD", "argument of it; may be repeated" },
	{ "health-http", 0, "PORT/PATH", "health check: GET this" },
	{ "health-tcp", 0, "PORT", "health check: connect to this" },
	{ "health-interval", 0, "TIME", "time between checks" },
	{ "health-timeout", 0, "TIME", "longest time of one" },
	{ "health-start-period", 0, "TIME", "failures in this time do not count" },
	{ "health-retries", 0, "N", "failures in a row that make it unhealthy" },
	{ "no-health", 0, NULL, "no health check, even if the source has one" },
	{ "rootfs", 0, "TYPE", "squashfs (default) or erofs" },
	{ "compression", 0, "NAME", "lz4 (default), zstd, xz, gzip, none; erofs: lz4hc, none" },
	{ "owners", 0, "WHICH", "keep: as in the source; root: everything is root's" },
	{ "max-unpacked", 0, "SIZE", "most bytes that a source may unpack to (default 4G)" },
	{ 0 },
};

static const char *const examples[] = {
	"skerry capsule build --packages nginx-light --command /usr/sbin/nginx\tfrom packages",
	"docker save web:1.2 | skerry capsule build - --version 1.2 -o web.itb\tfrom Docker",
	"skerry capsule build ./rootfs --command /app -o app.itb\tfrom a folder",
	"skerry capsule build image.oci.tar --arch arm64 -o web.itb\tone platform of an OCI layout",
	NULL,
};

const struct sk_cmd sk_cmd_capsule_build = {
	.name = "build",
	.summary = "make a capsule image",
	.args = "[FOLDER | ARCHIVE | -]",
	.max_args = 1,
	.about =
		"The source is a folder, a docker-archive or OCI layout (tar, plain or compressed; - "
		"reads it from standard input), or a list of Debian packages. The same source gives "
		"the same image, bit by bit; SOURCE_DATE_EPOCH sets its time stamps.",
	.examples = examples,
	.opts = opts,
	.run = run_capsule_build,
};
