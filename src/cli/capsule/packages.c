/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/capsule/capsule.h"
#include "io/image/archive.h"
#include "io/sys/child.h"

/*
 * mmdebstrap fetches packages with apt, checks their signatures and unpacks them. By default
 * (variant "extract") nothing of them is run: only the packages and what they depend on end up in
 * the capsule, quickly, for any architecture, as root or not. With --scripts they are installed as
 * on a real system.
 */
#define DEFAULT_SUITE "trixie"

/*
 * Folders that packages expect as symlinks since /usr was merged; made before unpacking. A fixed
 * time stamp: the newest one of a package's files becomes that of the image.
 */
#define MERGE(dirs)                                                                               \
	"--setup-hook=for d in " dirs "; do mkdir -p \"$1/usr/$d\"; ln -s \"usr/$d\" \"$1/$d\"; " \
	"touch -h -d @0 \"$1/$d\"; done"
#define MERGED_USR   MERGE("bin sbin lib")
#define MERGED_LIB64 MERGE("lib64")

/*
 * The list of packages in the image: "name version architecture" per line. Without scripts dpkg has no
 * database, so it is read from the archives.
 */
#define LIST_FILE "\"$1/usr/share/skerry/packages\""
#define LIST(command)                                                               \
	"mkdir -p \"$1/usr/share/skerry\"; " command " | LC_ALL=C sort >" LIST_FILE \
	"; touch -d @0 " LIST_FILE
#define LIST_ARCHIVES                                                              \
	"--extract-hook=" LIST("for d in \"$1\"/var/cache/apt/archives/*.deb; do " \
			       "dpkg-deb -W --showformat='${Package} ${Version} "  \
			       "${Architecture}\\n' \"$d\"; done")
#define LIST_INSTALLED                                                           \
	"--customize-hook=" LIST("dpkg-query --admindir=\"$1/var/lib/dpkg\" -W " \
				 "-f='${Package} ${Version} ${Architecture}\\n'")

/* Left out with all below: what a capsule neither needs nor may have from the building machine. */
static const char *const left_out[] = {
	"dev",
	"etc/apt",
	"etc/cron.d",
	"etc/cron.daily",
	"etc/cron.monthly",
	"etc/cron.weekly",
	"etc/dpkg",
	"etc/fstab",
	"etc/hostname",
	"etc/init.d",
	"etc/logrotate.d",
	"etc/machine-id",
	"etc/resolv.conf",
	"usr/bin/apt",
	"usr/bin/apt-cache",
	"usr/bin/apt-cdrom",
	"usr/bin/apt-config",
	"usr/bin/apt-get",
	"usr/bin/apt-key",
	"usr/bin/apt-mark",
	"usr/bin/dpkg",
	"usr/bin/dpkg-deb",
	"usr/bin/dpkg-divert",
	"usr/bin/dpkg-maintscript-helper",
	"usr/bin/dpkg-query",
	"usr/bin/dpkg-realpath",
	"usr/bin/dpkg-split",
	"usr/bin/dpkg-statoverride",
	"usr/bin/dpkg-trigger",
	"usr/bin/debconf",
	"usr/bin/debconf-apt-progress",
	"usr/bin/debconf-communicate",
	"usr/bin/debconf-copydb",
	"usr/bin/debconf-escape",
	"usr/bin/debconf-set-selections",
	"usr/bin/debconf-show",
	"usr/include",
	"usr/lib/apt",
	"usr/lib/dpkg",
	"usr/sbin/dpkg-preconfigure",
	"usr/sbin/dpkg-reconfigure",
	"usr/share/bash-completion",
	"usr/share/bug",
	"usr/share/debconf",
	"usr/share/doc-base",
	"usr/share/info",
	"usr/share/lintian",
	"usr/share/locale",
	"usr/share/man",
	"usr/share/perl5/Debconf",
	"usr/share/perl5/Debian",
	"var/cache/apt",
	"var/cache/debconf",
	"var/cache/ldconfig",
	"var/lib/apt",
	"var/lib/dpkg",
	"var/lib/systemd",
	"var/log/apt",
};

static bool at_or_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Licences ask that their text goes along; the rest of the documentation may stay behind. */
bool sk_capsule_packages_keep(const char *path)
{
	if (sk_str_starts(path, "usr/share/doc/"))
		return sk_str_ends(path, "/copyright");
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		if (at_or_below(path, left_out[i]))
			return false;
	if (sk_str_starts(path, "var/log/"))
		return !strchr(path + strlen("var/log/"), '.') && !sk_str_ends(path, "log") &&
		       !sk_str_ends(path, "tmp");
	return !sk_str_ends(path, ".dpkg-old") && !sk_streq(path, "etc/passwd-") &&
	       !sk_streq(path, "etc/group-") && !sk_streq(path, "etc/shadow-");
}

/*
 * The users that Debian's packages count on; on a system, base-passwd's script writes them. Their
 * numbers are fixed for all of Debian.
 */
static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
			     "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
			     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
static const char group[] = "root:x:0:\n"
			    "daemon:x:1:\n"
			    "adm:x:4:\n"
			    "tty:x:5:\n"
			    "www-data:x:33:\n"
			    "staff:x:50:\n"
			    "nogroup:x:65534:\n";

int sk_capsule_packages_users(const char *work, const char *owners, int64_t epoch_s,
			      struct sk_err *err)
{
	int r = sk_archive_add_text(work, "etc/passwd", passwd, owners, epoch_s, err);

	return r < 0 ? r : sk_archive_add_text(work, "etc/group", group, owners, epoch_s, err);
}

static int codename(char *buf, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	const char *at;

	if (sk_file_read(AT_FDCWD, "/etc/os-release", 65536, &text, &len) < 0)
		return -ENOENT;
	at = strstr(text, "VERSION_CODENAME=");
	if (!at)
		return -ENOENT;
	at += strlen("VERSION_CODENAME=");
	at += *at == '"';
	(void)snprintf(buf, size, "%.*s", (int)strcspn(at, "\"\n"), at);
	return 0;
}

/* --mirror as often as wanted: a URI, or a whole line "deb [options] URI suite component". */
static int mirror_lines(struct sk_cli *cli, const char *suite, char ***ret, struct sk_err *err)
{
	_cleanup_strv_ char **lines = NULL;
	char name[64];
	int r = 0;

	SK_STRV_FOREACH (m, sk_cli_opt_all(cli, "mirror")) {
		r = sk_str_starts(*m, "deb ") ? sk_strv_add(&lines, *m)
					      : sk_strv_addf(&lines, "deb %s %s main", *m, suite);
		if (r < 0)
			return sk_err_oom(err);
	}
	if (lines) {
		*ret = TAKE_PTR(lines);
		return 0;
	}
	if (codename(name, sizeof(name)) < 0)
		return sk_err_set(err, -ENOENT, "not-found",
				  "this machine is no Debian: give a mirror with --mirror");
	return sk_apt_sources("/etc/apt", name, suite, ret, err);
}

/* Names become an option of another program, and words of apt: only what Debian allows. */
static int check_words(const char *what, const char *s, const char *more, struct sk_err *err)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (!*s || !strchr(letters, *s))
		if (*s < '0' || *s > '9')
			return sk_err_set(err, -EINVAL, "bad-value", "\"%s\" is no %s", s, what);
	for (; *s; s++)
		if (!strchr(letters, *s) && !(*s >= '0' && *s <= '9') && !strchr(more, *s))
			return sk_err_set(err, -EINVAL, "bad-value",
					  "%s: '%c' stands in no name of that kind", what, *s);
	return 0;
}

static int build_argv(struct sk_cli *cli, const char *packages, const char *arch, char ***ret,
		      struct sk_err *err)
{
	const char *suite = sk_cli_opt(cli, "suite") ? sk_cli_opt(cli, "suite") : DEFAULT_SUITE;
	bool scripts = sk_cli_flag(cli, "scripts");
	_cleanup_strv_ char **argv = NULL, **mirrors = NULL;
	int r;

	r = check_words("package", packages, "0123456789+-.,:", err);
	if (r < 0)
		return r;
	r = check_words("suite", suite, "-.", err);
	if (r < 0)
		return r;
	r = mirror_lines(cli, suite, &mirrors, err);
	if (r < 0)
		return r;
	r = sk_strv_add(&argv, "mmdebstrap");
	r |= sk_strv_addf(&argv, "--variant=%s", scripts ? "essential" : "extract");
	r |= sk_strv_add(&argv, "--format=tar");
	r |= sk_strv_addf(&argv, "--architectures=%s", arch);
	r |= sk_strv_addf(&argv, "--include=%s", packages);
	if (!scripts)
		r |= sk_strv_add(&argv, MERGED_USR);
	if (!scripts && sk_streq(arch, "amd64"))
		r |= sk_strv_add(&argv, MERGED_LIB64);
	r |= sk_strv_add(&argv, scripts ? LIST_INSTALLED : LIST_ARCHIVES);
	r |= sk_strv_add(&argv, suite);
	r |= sk_strv_add(&argv, "-");
	SK_STRV_FOREACH (m, mirrors)
		r |= sk_strv_add(&argv, *m);
	if (r < 0)
		return sk_err_oom(err);
	*ret = TAKE_PTR(argv);
	return 0;
}

/* "I: …" are steps, "E: …" is why it failed; apt's "E: …" lines come before mmdebstrap's own. */
static void read_messages(struct sk_cli *cli, int fd, char *why, size_t size)
{
	FILE *in = fdopen(fd, "r");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	if (!in) {
		(void)close(fd);
		return;
	}
	while (getline(&line, &cap, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (sk_str_starts(line, "I: ") && !strchr(line, '/'))
			sk_say(cli, "  %s", line + 3);
		else if (sk_str_starts(line, "E: ") && !why[0])
			(void)snprintf(why, size, "%s", line + 3);
	}
	(void)fclose(in);
}

static int wait_for(pid_t pid, const char *why, struct sk_err *err)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return sk_err_set(err, -errno, "child-failed", "mmdebstrap was lost");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return sk_err_set(err, -ECHILD, "child-failed", "mmdebstrap failed: %s%s",
			  why[0] ? why : "it did not say why",
			  strstr(why, "chroot mode")
				  ? "; run as root, or install the package uidmap and have ids of "
				    "your own in /etc/subuid and /etc/subgid"
				  : "");
}

int sk_capsule_packages(struct sk_cli *cli, const char *packages, const char *arch, int out_fd,
			struct sk_err *err)
{
	_cleanup_strv_ char **argv = NULL;
	_cleanup_close_ int to = -1;
	struct sk_child_spec spec = SK_CHILD_SPEC(.stdout_fd = out_fd, .kill_with_parent = true);
	char why[512] = "";
	int messages[2], r;
	pid_t pid;

	r = build_argv(cli, packages, arch, &argv, err);
	if (r < 0)
		return r;
	if (pipe2(messages, O_CLOEXEC) < 0)
		return sk_err_set(err, -errno, "io", "pipe: %s", strerror(errno));
	to = messages[1];
	spec.argv = (const char *const *)argv;
	spec.stderr_fd = to;
	r = sk_child_spawn(&spec, &pid, err);
	if (r < 0) {
		(void)close(messages[0]);
		return r == -ENOENT ? sk_err_set(err, r, "not-found",
						 "mmdebstrap is not installed: install the package "
						 "mmdebstrap")
				    : r;
	}
	(void)close(TAKE_FD(to));
	read_messages(cli, messages[0], why, sizeof(why));
	return wait_for(pid, why, err);
}
