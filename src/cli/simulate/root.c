/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/str.h"

/*
 * The device's root: a tmpfs with the desk's /usr below it read-only, an /etc made here, and /var
 * and /etc/skerry from the device's own disk. Nothing of the desk is written.
 */
#define AGENT_UID 64100
#define DEPTH_MAX 256 /* of the folder that a chroot may lie in */

static int mount_at(const char *root, const char *what, const char *at, const char *type,
		    unsigned long flags, const char *data, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s%s", root, at);

	if (!path)
		return sk_err_oom(err);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return sk_err_set(err, -errno, "io", "cannot make %s: %s", path, strerror(errno));
	if (mount(what, path, type, flags, data) < 0)
		return sk_err_set(err, -errno, "io", "cannot mount %s at %s of the device: %s",
				  what, at, strerror(errno));
	return 0;
}

/* A read-only view of a folder of the desk, where the desk has it. */
static int bind_read_only(const char *root, const char *what, const char *at, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s%s", root, at);
	int r;

	if (access(what, F_OK) < 0)
		return 0;
	r = mount_at(root, what, at, NULL, MS_BIND | MS_REC, NULL, err);
	if (r < 0)
		return r;
	if (!path || mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return sk_err_set(err, -errno, "io", "cannot make %s read-only: %s", at,
				  strerror(errno));
	return 0;
}

/* /bin, /lib … are links into /usr on every Debian since 12; copy whatever they point to. */
static int copy_links(const char *root, struct sk_err *err)
{
	static const char *const links[] = {
		"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"
	};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_free_ char *at = sk_asprintf("%s%s", root, links[i]);
		char target[256];
		ssize_t n = readlink(links[i], target, sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		if (!at || symlink(target, at) < 0)
			return sk_err_set(err, -errno, "io", "cannot make %s of the device",
					  links[i]);
	}
	return 0;
}

/* Without a devtmpfs (a bare chroot) the few nodes that the daemons need are made by hand. */
static int make_dev(const char *root, struct sk_err *err)
{
	static const struct {
		const char *name;
		unsigned major, minor;
	} nodes[] = {
		{ "null", 1, 3 },    { "zero", 1, 5 },
		{ "full", 1, 7 },    { "random", 1, 8 },
		{ "urandom", 1, 9 }, { "tty", 5, 0 },
		{ "fuse", 10, 229 }, { "loop-control", 10, 237 },
	};
	int r = mount_at(root, "dev", "/dev", "tmpfs", MS_NOSUID, "mode=0755,size=1m", err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(nodes); i++) {
		_cleanup_free_ char *at = sk_asprintf("%s/dev/%s", root, nodes[i].name);

		if (!at || mknod(at, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) < 0)
			r = sk_err_set(err, -errno, "io", "cannot make device node %s: %s",
				       nodes[i].name, strerror(errno));
	}
	for (unsigned i = 0; r == 0 && i < 256; i++) {
		_cleanup_free_ char *at = sk_asprintf("%s/dev/loop%u", root, i);

		if (!at || mknod(at, S_IFBLK | 0600, makedev(7, i)) < 0)
			r = sk_err_set(err, -errno, "io", "cannot make /dev/loop%u: %s", i,
				       strerror(errno));
	}
	return r;
}

static int mount_dev(const char *root, struct sk_err *err)
{
	_cleanup_free_ char *probe = sk_asprintf("%s/dev/loop-control", root);
	int r = mount_at(root, "dev", "/dev", "devtmpfs", MS_NOSUID, NULL, err);

	if (r < 0 || !probe || access(probe, F_OK) < 0)
		r = make_dev(root, err);
	if (r == 0)
		r = mount_at(root, "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m",
			     err);
	if (r == 0)
		r = mount_at(root, "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
			     "newinstance,ptmxmode=0666,mode=0620", err);
	return r;
}

static int mount_kernel(const struct sk_sim_config *c, const char *root, struct sk_err *err)
{
	int r = mount_at(root, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,
			 err);

	/* A sysfs can be mounted only by the owner of the network namespace that it shows. */
	if (r == 0 && c->network == SK_SIM_NET_HOST)
		r = mount_at(root, "/sys", "/sys", NULL, MS_BIND, NULL, err);
	else if (r == 0)
		r = mount_at(root, "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,
			     err);
	if (r == 0)
		r = mount_at(root, "cgroup2", "/sys/fs/cgroup", "cgroup2",
			     MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err);
	return r;
}

static int write_etc(const char *root, const char *name, const char *text, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/etc/%s", root, name);
	int r = path && text ? sk_file_write(AT_FDCWD, path, text, strlen(text), 0644) : -ENOMEM;

	return r < 0 ? sk_err_set(err, r, "io", "cannot write /etc/%s of the device: %s", name,
				  strerror(-r))
		     : 0;
}

static int make_etc(const struct sk_sim_config *c, const char *root, struct sk_err *err)
{
	_cleanup_free_ char *hosts = sk_asprintf(
		"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n10.0.2.2 desk\n", c->name);
	_cleanup_free_ char *cache = NULL, *resolv = NULL;
	size_t len;
	int r = 0;

	const struct {
		const char *name, *text;
	} files[] = {
		{ "hosts", hosts },
		{ "hostname", c->name },
		{ "passwd", "root:x:0:0:root:/root:/bin/sh\n"
			    "skerry-agent:x:64100:64100::/var/lib/skerry-agent:/usr/sbin/nologin\n"
			    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" },
		{ "group",
		  "root:x:0:\nskerry:x:64101:\nskerry-agent:x:64100:\nnogroup:x:65534:\n" },
		{ "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n" },
		{ "os-release",
		  "ID=skerry\nNAME=\"Skerry virtual device\"\nVERSION_ID=" SK_VERSION "\n"
		  "PRETTY_NAME=\"Skerry virtual device " SK_VERSION "\"\n" },
	};

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = write_etc(root, files[i].name, files[i].text, err);
	if (r == 0 && sk_file_read(AT_FDCWD, "/etc/ld.so.cache", 16 << 20, &cache, &len) == 0) {
		_cleanup_free_ char *at = sk_asprintf("%s/etc/ld.so.cache", root);

		r = at ? sk_file_write(AT_FDCWD, at, cache, len, 0644) : -ENOMEM;
	}
	if (r == 0 && c->network == SK_SIM_NET_SLIRP)
		r = write_etc(root, "resolv.conf", "nameserver 10.0.2.3\n", err);
	else if (r == 0 && sk_file_read(AT_FDCWD, "/etc/resolv.conf", 64 << 10, &resolv, &len) == 0)
		r = write_etc(root, "resolv.conf", resolv, err);
	return r;
}

/*
 * Each power-on is a boot of its own, and daemons tell one from the next by the boot id; the
 * kernel's stays the same on the desk, so the device gets one over it.
 */
static int new_boot_id(const char *root, struct sk_err *err)
{
	_cleanup_free_ char *file = sk_asprintf("%s/run/boot_id", root);
	_cleanup_free_ char *at = sk_asprintf("%s/proc/sys/kernel/random/boot_id", root);
	uint8_t b[16];
	char text[40];
	int r;

	if (!file || !at || getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return sk_err_oom(err);
	(void)snprintf(text, sizeof(text),
		       "%02x%02x%02x%02x-%02x%02x-4%01x%02x-8%01x%02x-%02x%02x%02x%02x%02x%02x\n",
		       b[0], b[1], b[2], b[3], b[4], b[5], b[6] & 15, b[7], b[8] & 15, b[9], b[10],
		       b[11], b[12], b[13], b[14], b[15]);
	r = sk_file_write(AT_FDCWD, file, text, strlen(text), 0444);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot write the boot id: %s", strerror(-r));
	if (mount(file, at, NULL, MS_BIND, NULL) < 0)
		return sk_err_set(err, -errno, "io", "cannot give the device a boot id: %s",
				  strerror(errno));
	/*
	 * The kernel lets a user namespace mount a proc of its own (as each capsule does) only where
	 * one is visible as a whole, with nothing mounted over parts of it.
	 */
	return mount_at(root, "proc", "/run/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,
			err);
}

/* The program of the build tree (or the desk's) appears as /run/bin/<name>. */
static int bind_program(const char *root, const char *from, const char *name, struct sk_err *err)
{
	_cleanup_free_ char *dir = sk_asprintf("%s/run/bin", root);
	_cleanup_free_ char *at = sk_asprintf("%s/run/bin/%s", root, name);

	if (!from[0])
		return 0;
	if (!dir || !at)
		return sk_err_oom(err);
	(void)mkdir(dir, 0755);
	if (mknod(at, S_IFREG | 0755, 0) < 0 || mount(from, at, NULL, MS_BIND, NULL) < 0)
		return sk_err_set(err, -errno, "io", "cannot hand %s to the device: %s", from,
				  strerror(errno));
	return 0;
}

static int mount_run(const struct sk_sim_config *c, const char *root, struct sk_err *err)
{
	_cleanup_free_ char *run = sk_asprintf("%s/run", c->dir);
	int r = mount_at(root, "run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64m",
			 err);

	if (r < 0)
		return r;
	if (!run)
		return sk_err_oom(err);
	/* A boot empties /run; a crash of the device did not. */
	r = sk_rm_rf(AT_FDCWD, run);
	/* The desk may have mounted memory there: then it is empty now, and stays. */
	if (r == -EBUSY)
		r = 0;
	if (r == 0 && mkdir(run, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot empty %s: %s", run, strerror(-r));
	return mount_at(root, run, "/run/skerry", NULL, MS_BIND, NULL, err);
}

static int mount_disk(const struct sk_sim_config *c, const struct sk_sim_provision *p,
		      const char *root, struct sk_err *err)
{
	static const char *const dirs[] = { "/disk/var/lib/skerry", "/disk/var/lib/skerry-agent",
					    "/disk/var/log/skerry", "/disk/var/tmp",
					    "/disk/etc/skerry" };
	_cleanup_free_ char *disk = sk_asprintf("%s/disk", root);
	_cleanup_free_ char *var = sk_asprintf("%s/disk/var", root);
	_cleanup_free_ char *etc = sk_asprintf("%s/disk/etc/skerry", root);
	_cleanup_free_ char *agent = sk_asprintf("%s/disk/var/lib/skerry-agent", root);
	int r;

	if (!disk || !var || !etc || !agent)
		return sk_err_oom(err);
	(void)mkdir(disk, 0755);
	r = sk_sim_disk_mount(c, disk, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = sk_asprintf("%s%s", root, dirs[i]);

		r = path ? sk_mkdir_p(AT_FDCWD, path, 0755) : -ENOMEM;
		if (r < 0)
			return sk_err_set(err, r, "io", "cannot lay out the device's disk: %s",
					  strerror(-r));
	}
	if (chown(agent, AGENT_UID, AGENT_UID) < 0 || chmod(agent, 0700) < 0)
		return sk_err_set(err, -errno, "io", "cannot lay out the device's disk: %s",
				  strerror(errno));
	r = sk_sim_provision(c, p, disk, err);
	if (r == 0)
		r = mount_at(root, var, "/var", NULL, MS_BIND, NULL, err);
	if (r == 0)
		r = mount_at(root, etc, "/etc/skerry", NULL, MS_BIND, NULL, err);
	if (r == 0 && umount2(disk, MNT_DETACH) < 0)
		r = sk_err_set(err, -errno, "io", "cannot detach the disk: %s", strerror(errno));
	(void)rmdir(disk);
	return r;
}

static int fill_root(const struct sk_sim_config *c, const struct sk_sim_provision *p,
		     const char *root, struct sk_err *err)
{
	static const char *const folders[] = { "/etc", "/root", "/tmp", "/mnt" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *path = sk_asprintf("%s%s", root, folders[i]);

		if (!path || mkdir(path, i == 2 ? 01777 : 0755) < 0)
			return sk_err_set(err, -errno, "io", "cannot make %s", folders[i]);
	}
	r = bind_read_only(root, "/usr", "/usr", err);
	r = r < 0 ? r : copy_links(root, err);
	r = r < 0 ? r : bind_read_only(root, "/etc/ssl", "/etc/ssl", err);
	r = r < 0 ? r : bind_read_only(root, "/etc/alternatives", "/etc/alternatives", err);
	r = r < 0 ? r : make_etc(c, root, err);
	r = r < 0 ? r : mount_dev(root, err);
	r = r < 0 ? r : mount_kernel(c, root, err);
	r = r < 0 ? r : mount_run(c, root, err);
	r = r < 0 ? r : new_boot_id(root, err);
	r = r < 0 ? r : bind_program(root, c->skerryd, "skerryd", err);
	r = r < 0 ? r : bind_program(root, c->unpacker, "skerry-unpack", err);
	r = r < 0 ? r : bind_program(root, c->agent, "skerry-agent", err);
	r = r < 0 ? r : bind_program(root, c->tool, "skerry", err);
	return r < 0 ? r : mount_disk(c, p, root, err);
}

/*
 * When the desk itself lives in a chroot, the device's root must still become the root of its mount
 * namespace: the kernel makes no user namespace, and so no capsule, for a process whose root is not.
 * So step out of the chroot first; this is the device's own copy of the mounts, and all of them are
 * left behind in a moment. @dir: a folder within the chroot.
 */
static int leave_chroot(int dir)
{
	if (fchdir(dir) < 0 || (mkdir("outside", 0700) < 0 && errno != EEXIST) ||
	    chroot("outside") < 0)
		return -errno;
	/* The working folder is now above the root, where ".." goes up to the very top. */
	for (int i = 0; i < DEPTH_MAX; i++)
		if (chdir("..") < 0)
			return -errno;
	if (chroot(".") < 0)
		return -errno;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int become_root(const char *root)
{
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : leave_chroot(fd);

	if (r < 0)
		return r;
	if (fchdir(fd) < 0 || rmdir("outside") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

int sk_sim_root_enter(const struct sk_sim_config *c, const struct sk_sim_provision *p,
		      struct sk_err *err)
{
	_cleanup_free_ char *root = sk_asprintf("%s/root", c->dir);
	int r;

	if (!root)
		return sk_err_oom(err);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return sk_err_set(err, -errno, "io", "cannot leave the desk's mounts: %s",
				  strerror(errno));
	if ((mkdir(root, 0755) < 0 && errno != EEXIST) ||
	    mount("skerry", root, "tmpfs", MS_NOSUID, "mode=0755,size=256m") < 0)
		return sk_err_set(err, -errno, "io", "cannot make the device's root: %s",
				  strerror(errno));
	r = fill_root(c, p, root, err);
	if (r < 0)
		return r;
	if (sethostname(c->name, strlen(c->name)) < 0)
		return sk_err_set(err, -errno, "io", "cannot name the device: %s", strerror(errno));
	r = become_root(root);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot move into the device's root: %s",
				  strerror(-r));
	return 0;
}
