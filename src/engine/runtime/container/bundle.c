/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/runtime/container/image_mount.h"
#include "engine/runtime/container/oci.h"
#include "engine/runtime/container/rootfs.h"
#include "io/image/head.h"
#include "io/json.h"

/* All of it lies in memory (the run folder) and is remade after a boot: no fsync. */
static int write_file(const char *dir, const char *name, const char *text, mode_t mode,
		      struct sk_err *err)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r = -ENAMETOOLONG;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path)) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
		r = fd < 0 ? -errno : sk_fd_write(fd, text, strlen(text));
	}
	return r < 0 ? sk_err_set(err, r, "io", "cannot write %s in %s: %s", name, dir,
				  strerror(-r))
		     : 0;
}

static int read_info(int fd, uint64_t file_size, struct sk_image_info **ret, struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	size_t len;
	int r = sk_image_head_read(fd, sk_image_tree_size, &tree, &len, err);

	return r < 0 ? r : sk_image_parse(tree, len, file_size, ret, err);
}

static int mount_image(const struct sk_runtime_unit *u, const struct sk_rootfs *root,
		       struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	uint64_t size;
	int r;

	r = sk_store_image_fd(u->kind->env->store, &u->image, &fd, &size, err);
	if (r == 0)
		r = read_info(fd, size, &info, err);
	if (r == 0)
		r = sk_image_mount_get(u->kind->env->run_dir, &u->image, fd, info, path, err);
	return r < 0 ? r : sk_rootfs_mount_image(root, path, err);
}

static bool exists_in(int root_fd, const char *path)
{
	_cleanup_close_ int fd = sk_open_in_root(root_fd, path, O_PATH);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int write_hosts(const struct sk_runtime_unit *u, struct sk_err *err)
{
	_cleanup_free_ char *text = sk_asprintf("127.0.0.1\tlocalhost %s\n"
						"::1\tlocalhost ip6-localhost\n",
						u->app->name);

	return text ? write_file(u->dir, "hosts", text, 0644, err) : sk_err_oom(err);
}

static int write_config(const struct sk_runtime_unit *u, const struct sk_oci_input *in,
			struct sk_err *err)
{
	_cleanup_json_ json_t *config = NULL;
	_cleanup_free_ char *text = NULL;
	int r = sk_oci_config(in, &config, err);

	if (r < 0)
		return r;
	text = json_dumps(config, JSON_COMPACT);
	return text ? write_file(u->dir, "config.json", text, 0600, err) : sk_err_oom(err);
}

static int configure(const struct sk_runtime_unit *u, const struct sk_user *user, int root_fd,
		     struct sk_err *err)
{
	_cleanup_free_ char *cgroup = sk_asprintf("/skerry/%s", u->id);
	struct sk_oci_input in = {
		.app = u->app,
		.user = user,
		.dir = u->dir,
		.uid_base = sk_runtime_uid_base(u),
		.cgroup_path = cgroup,
		.cgroup = &sk_container_kind_of(u)->cgroup,
		.best_effort = u->kind->env->limits_best_effort,
		.device_rules = sk_container_kind_of(u)->device_rules,
		.spared = sk_container_kind_of(u)->spared,
		.user_made = u->user_made,
		.terminal = u->tty,
		.has_hosts = exists_in(root_fd, "/etc/hosts"),
		.has_resolv = exists_in(root_fd, "/etc/resolv.conf"),
		.device_hosts = access("/etc/hosts", F_OK) == 0,
		.device_resolv = access("/etc/resolv.conf", F_OK) == 0,
	};
	int r = cgroup ? write_hosts(u, err) : sk_err_oom(err);

	return r < 0 ? r : write_config(u, &in, err);
}

static int bundle_fill(const struct sk_runtime_unit *u, const struct sk_rootfs *root,
		       struct sk_err *err)
{
	_cleanup_close_ int root_fd = -1;
	_cleanup_strv_ char **targets = NULL;
	char path[PATH_MAX];
	struct sk_user user;
	int r;

	(void)snprintf(path, sizeof(path), "%s/rootfs", u->dir);
	root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return sk_err_set(err, -errno, "io", "cannot open %s: %s", path, strerror(errno));
	r = sk_user_resolve(root_fd, u->app->run.user, &user, err);
	if (r == 0 && sk_oci_targets(u->app, &targets) < 0)
		r = sk_err_oom(err);
	if (r == 0)
		r = sk_rootfs_add_layers(root, targets, err);
	if (r == 0)
		r = sk_rootfs_mount_volumes(root, u->app, &user, err);
	if (r == 0)
		r = sk_rootfs_make_devices(root, u->app, &user, err);
	return r < 0 ? r : configure(u, &user, root_fd, err);
}

int sk_bundle_make(const struct sk_runtime_unit *u, struct sk_userns *userns, struct sk_err *err)
{
	struct sk_rootfs root = {
		.dir = u->dir,
		.upper_dir = u->app->writable_root ? u->upper_dir : NULL,
		.volume_dir = u->kind->env->volume_dir,
		.uid_base = sk_runtime_uid_base(u),
	};
	int r;

	if (mkdir(u->dir, 0711) < 0 && errno != EEXIST)
		return sk_err_set(err, -errno, "io", "cannot make %s: %s", u->dir, strerror(errno));
	r = sk_userns_open(userns, root.uid_base);
	if (r < 0)
		return sk_err_set(err, r, "not-supported",
				  "cannot make a user namespace: %s (is user.max_user_namespaces "
				  "above 0?)",
				  strerror(-r));
	root.userns_fd = userns->fd;
	r = mount_image(u, &root, err);
	return r < 0 ? r : bundle_fill(u, &root, err);
}
