/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Mounting a capsule with each system call failed in turn: whatever was done by then is undone, and
 * nothing stays. Needs root, and runs in a mount namespace of its own.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/bundle.h"
#include "engine/runtime/container/image_mount.h"
#include "engine/runtime/container/rootfs.h"
#include "io/sys/child.h"
#include "model/image.h"

#define S(s)  ((char *)(s))
#define TRIES 300

static int countdown; /* the call at which it reaches 0 fails */

static bool fails_now(void)
{
	return countdown > 0 && --countdown == 0;
}

/* The calls that prepare is made of, each of them through here. */
long __real_syscall(long n, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	if (fails_now()) {
		errno = EIO;
		return -1;
	}
	return __real_syscall(n, a, b, c, d, e, f);
}

#define WRAP(ret, name, params, args)      \
	ret __real_##name params;          \
	ret __wrap_##name params;          \
	ret __wrap_##name params           \
	{                                  \
		if (fails_now()) {         \
			errno = EIO;       \
			return -1;         \
		}                          \
		return __real_##name args; \
	}                                  \
	struct sk_semicolon_please

WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode));
WRAP(int, lchown, (const char *path, uid_t u, gid_t g), (path, u, g));
WRAP(int, chown, (const char *path, uid_t u, gid_t g), (path, u, g));
WRAP(int, mknod, (const char *path, mode_t mode, dev_t dev), (path, mode, dev));

struct world {
	char dir[64], unit_dir[96];
	struct sk_store *store;
	struct sk_runtime_env env;
	struct sk_container_kind container;
	struct sk_runtime kind;
	struct sk_app app;
	struct sk_runtime_unit unit;
};

static struct sk_volume volumes[] = { { S("data"), S("/srv/data"), false } };
static struct sk_device_grant devices[] = { { S("/dev/zero"), S("/dev/zz"), "rw" } };
static char *command[] = { S("/bin/x"), NULL };

static void make_squashfs(const char *dir, const char *to)
{
	const char *const argv[] = { "mksquashfs",   dir, to, "-all-root", "-noappend", "-quiet",
				     "-no-progress", NULL };
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = argv);

	assert_int_equal(sk_child_run(&spec, 0, NULL, NULL, NULL), 0);
}

/* A .itb with an almost empty root file system, in the store */
static void add_image(struct world *w, struct sk_digest *ret)
{
	struct sk_image_info info = { .name = S("x"), .arch = S("amd64") };
	char root[96], image[96];
	_cleanup_free_ char *fs = NULL;
	_cleanup_free_ void *tree = NULL;
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	struct sk_staged *st;
	size_t len, tree_len;

	(void)snprintf(root, sizeof(root), "%s/root", w->dir);
	(void)snprintf(image, sizeof(image), "%s/fs", w->dir);
	assert_int_equal(sk_mkdir_p(AT_FDCWD, root, 0755), 0);
	make_squashfs(root, image);
	assert_int_equal(sk_file_read(AT_FDCWD, image, 1 << 20, &fs, &len), 0);
	info.rootfs_size = len;
	assert_int_equal(sk_digest_of(fs, len, &info.rootfs_digest), 0);
	assert_int_equal(sk_image_build_tree(&info, &tree, &tree_len, NULL), 0);
	assert_int_equal(sk_hasher_add(h, tree, tree_len), 0);
	assert_int_equal(sk_hasher_add(h, fs, len), 0);
	assert_int_equal(sk_hasher_end(h, ret), 0);
	assert_int_equal(sk_staged_open(w->store, ret, tree_len + len, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, tree, tree_len, NULL), 0);
	assert_int_equal(sk_staged_write(st, fs, len, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[96];

	*state = w;
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 0;
	(void)snprintf(w->dir, sizeof(w->dir), "/var/tmp/test-bundle-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(path, sizeof(path), "%s/store", w->dir);
	assert_int_equal(sk_store_open(path, &w->store, NULL), 0);
	(void)snprintf(w->unit_dir, sizeof(w->unit_dir), "%s/unit", w->dir);
	(void)snprintf(path, sizeof(path), "%s/images", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	w->env = (struct sk_runtime_env){ .store = w->store,
					  .run_dir = strdup(w->dir),
					  .volume_dir = strdup(w->dir),
					  .uid_base = 1000000 };
	w->container.cgroup.v2 = true;
	w->kind = (struct sk_runtime){ &sk_container_ops, &w->env, &w->container };
	w->app = (struct sk_app){ .name = S("app"),
				  .run.command = command,
				  .volumes = volumes,
				  .n_volumes = 1,
				  .devices = devices,
				  .n_devices = 1,
				  .writable_root = true };
	w->unit = (struct sk_runtime_unit){ .kind = &w->kind,
					    .id = "id",
					    .dir = w->unit_dir,
					    .upper_dir = strdup(w->dir),
					    .app = &w->app };
	add_image(w, &w->unit.image);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->store) {
		sk_store_close(w->store);
		assert_int_equal(sk_rm_rf(AT_FDCWD, w->dir), 0);
	}
	free(S(w->env.run_dir));
	free(S(w->env.volume_dir));
	free(S(w->unit.upper_dir));
	free(w);
	return 0;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static bool mounted(const char *dir)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(sk_file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &text, NULL), 0);
	return strstr(text, dir) != NULL;
}

static bool unused(void *arg, const struct sk_digest *digest)
{
	return false;
}

static void undo(struct world *w)
{
	assert_int_equal(sk_rootfs_umount(w->unit_dir), 0);
	sk_image_mount_sweep(w->dir, unused, NULL);
	assert_false(mounted(w->dir));
	assert_int_equal(sk_rm_rf(AT_FDCWD, w->unit_dir), 0);
}

/* As the runtime does it, apart from what it does meanwhile. */
static int make(const struct sk_runtime_unit *u, struct sk_err *err)
{
	struct sk_userns userns = SK_USERNS_INIT;
	int r = sk_bundle_make(u, &userns, err);

	sk_userns_close(&userns);
	return r;
}

static void made_and_undone(void **state)
{
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;
	char path[128];
	struct stat st;
	int fds;

	if (!w->store)
		skip();
	fds = open_fds();
	if (make(&w->unit, &err) < 0)
		fail_msg("%s", err.text);
	(void)snprintf(path, sizeof(path), "%s/rootfs/srv/data", w->unit_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 1000000);
	(void)snprintf(path, sizeof(path), "%s/dev/0", w->unit_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(fds, open_fds());
	undo(w);
}

static unsigned long flags_of(const struct world *w, const char *name)
{
	struct statvfs fs;
	char path[192];

	(void)snprintf(path, sizeof(path), "%s/%s", w->unit_dir, name);
	assert_int_equal(statvfs(path, &fs), 0);
	return fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC);
}

/* What comes from an image, or was written by a capsule, gives no rights on this device. */
static void mounts_give_no_rights(void **state)
{
	struct world *w = *state;

	if (!w->store)
		skip();
	assert_int_equal(make(&w->unit, NULL), 0);
	assert_int_equal(flags_of(w, "rootfs"), ST_NOSUID | ST_NODEV);
	assert_int_equal(flags_of(w, "vol/0"), ST_NOSUID | ST_NODEV);
	/* Device nodes, and nothing else that could be of use, are in the capsule's own folder of them. */
	assert_int_equal(flags_of(w, "dev"), ST_NOSUID | ST_NOEXEC);
	undo(w);
	w->app.writable_root = false;
	w->app.volumes[0].read_only = true;
	assert_int_equal(make(&w->unit, NULL), 0);
	assert_int_equal(flags_of(w, "rootfs"), ST_RDONLY | ST_NOSUID | ST_NODEV);
	assert_int_equal(flags_of(w, "vol/0"), ST_RDONLY | ST_NOSUID | ST_NODEV);
	w->app.volumes[0].read_only = false;
	undo(w);
	/* Without a layer over it, the image itself */
	w->app.n_volumes = w->app.n_devices = 0;
	assert_int_equal(make(&w->unit, NULL), 0);
	assert_int_equal(flags_of(w, "rootfs"), ST_RDONLY | ST_NOSUID | ST_NODEV);
	undo(w);
}

/* How many lines of the mount table have a mount point that begins so */
static int mounts_below(const char *dir, const char *name)
{
	_cleanup_free_ char *text = NULL;
	char start[160], path[512];
	int n = 0;

	(void)snprintf(start, sizeof(start), "%s/%s", dir, name);
	assert_int_equal(sk_file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &text, NULL), 0);
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		n += strncmp(sk_mountinfo_path(line, path, sizeof(path)), start, strlen(start)) ==
		     0;
	return n;
}

static bool used(void *arg, const struct sk_digest *digest)
{
	return sk_digest_equal(digest, arg);
}

static struct sk_runtime_unit second_unit(const struct world *w, char dir[static 96])
{
	struct sk_runtime_unit u = w->unit;

	(void)snprintf(dir, 96, "%s/second", w->dir);
	u.dir = dir;
	return u;
}

static void image_is_mounted_once(void **state)
{
	struct world *w = *state;
	struct sk_runtime_unit second;
	char dir[96];

	if (!w->store)
		skip();
	second = second_unit(w, dir);
	assert_int_equal(make(&w->unit, NULL), 0);
	assert_int_equal(make(&second, NULL), 0);
	assert_int_equal(mounts_below(w->dir, "images/"), 1);
	/* It stays for as long as a capsule has it, also one that is not mounted. */
	assert_int_equal(sk_rootfs_umount(w->unit_dir), 0);
	assert_int_equal(sk_rootfs_umount(dir), 0);
	sk_image_mount_sweep(w->dir, used, &w->unit.image);
	assert_int_equal(mounts_below(w->dir, "images/"), 1);
	undo(w);
}

/* A damaged image that was fetched again: a capsule gets the good file, not the mount of the bad one. */
static void another_file_is_another_mount(void **state)
{
	struct world *w = *state;
	struct sk_runtime_unit second;
	char dir[96], from[256], to[256];
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;

	if (!w->store)
		skip();
	second = second_unit(w, dir);
	assert_int_equal(make(&w->unit, NULL), 0);
	(void)snprintf(from, sizeof(from), "%s/store/images/%s", w->dir,
		       SK_DIGEST_STR(&w->unit.image));
	(void)snprintf(to, sizeof(to), "%s/copy", w->dir);
	assert_int_equal(sk_file_read(AT_FDCWD, from, 1 << 20, &data, &len), 0);
	assert_int_equal(sk_file_write(AT_FDCWD, to, data, len, 0444), 0);
	assert_int_equal(rename(to, from), 0);
	assert_int_equal(make(&second, NULL), 0);
	assert_int_equal(mounts_below(w->dir, "images/"), 1);
	assert_int_equal(stat(from, &st), 0);
	(void)snprintf(to, sizeof(to), "images/%s.%llu", SK_DIGEST_STR(&w->unit.image),
		       (unsigned long long)st.st_ino);
	assert_int_equal(mounts_below(w->dir, to), 1);
	/* The first one, which runs from the old file, still has it. */
	assert_int_equal(mounts_below(w->unit_dir, "rootfs"), 2);
	assert_int_equal(sk_rootfs_umount(dir), 0);
	undo(w);
}

static void each_step_fails(void **state)
{
	struct world *w = *state;
	int fds, failures = 0, i;

	if (!w->store)
		skip();
	fds = open_fds();
	for (i = 1; i < TRIES; i++) {
		struct sk_err err = SK_ERR_INIT;
		int r;

		countdown = i;
		r = make(&w->unit, &err);
		failures += r < 0;
		if (r < 0)
			assert_true(err.text[0] != '\0');
		assert_int_equal(fds, open_fds());
		/* Nothing was left to fail: all steps have been seen. */
		if (countdown > 0) {
			countdown = 0;
			assert_int_equal(r, 0);
			undo(w);
			break;
		}
		countdown = 0;
		undo(w);
	}
	assert_true(i < TRIES);
	assert_true(failures > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(made_and_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(mounts_give_no_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(each_step_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(image_is_mounted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(another_file_is_another_mount, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
