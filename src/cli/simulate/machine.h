/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * A virtual device: the real daemons in namespaces of their own (mounts, processes, network, host
 * name, control groups), their data on an ext4 image file. Below the device's folder:
 *   disk.ext4     /var and /etc/skerry of the device: what a power cut leaves
 *   run/          /run/skerry of the device; run/skerry.sock is its API, reachable from the desk
 *   console.log   what its daemons print
 *   machine.pid   host pid of its first process while it runs
 * Needs root: loop devices and mounts.
 */

enum sk_sim_network {
	SK_SIM_NET_SLIRP, /* a network of its own behind slirp4netns; the desk is 10.0.2.2 */
	SK_SIM_NET_HOST,  /* the desk's network */
	SK_SIM_NET_NONE,  /* loopback only */
};

struct sk_sim_config {
	char dir[PATH_MAX];  /* absolute, canonical */
	const char *name;    /* host name */
	uint64_t disk_bytes; /* of a new disk */
	enum sk_sim_network network;
	char *const *publish;	/* "8080:80": a desk port to a device port; NULL-terminated */
	char skerryd[PATH_MAX]; /* binaries to run */
	char unpacker[PATH_MAX];
	char agent[PATH_MAX]; /* "" for a device without a link */
	char tool[PATH_MAX];  /* the skerry command itself */
};

/* disk.c */
/** sk_sim_disk_make() - an empty ext4 file, unless there is one. */
int sk_sim_disk_make(const struct sk_sim_config *c, struct sk_err *err);
/** sk_sim_disk_mount() - mount it at @where, through a loop device that goes with the mount. */
int sk_sim_disk_mount(const struct sk_sim_config *c, const char *where, struct sk_err *err);
/**
 * sk_sim_power_cut() - kill everything at once and lose what the disk had not been told to keep
 * The file system is shut down without flushing (EXT4_IOC_SHUTDOWN), so unsynced data is gone, as
 * with a real cut; unmounting alone would write it all back.
 */
int sk_sim_power_cut(const struct sk_sim_config *c, struct sk_err *err);

/* provision.c */
struct sk_sim_provision {
	const char *trust_dir;	/* ca.pem, crl.pem; required for a new device */
	const char *compatible; /* "acme,gateway skerry,virtual": separated by blanks */
	const char *hub_url, *hub_ca_file, *organisation, *token_file;
	char *const *skerryd_settings; /* further "key=value" lines */
	char *const *agent_settings;
};
/** sk_sim_provision_check() - before anything is made: is all there that a device in @dir will need? */
int sk_sim_provision_check(const struct sk_sim_provision *p, const char *dir, struct sk_err *err);
/** Writes /etc/skerry on the mounted disk at @root. A device that has one keeps it unless @p says otherwise. */
int sk_sim_provision(const struct sk_sim_config *c, const struct sk_sim_provision *p,
		     const char *root, struct sk_err *err);

/* root.c */
/** sk_sim_root_enter() - in the device's namespaces: build its root folder and move there. */
int sk_sim_root_enter(const struct sk_sim_config *c, const struct sk_sim_provision *p,
		      struct sk_err *err);

/* init.c */
/** sk_sim_init() - be the device's first process: start the daemons, start them again, reap. Never returns. */
void sk_sim_init(const struct sk_sim_config *c, int ready_fd) __attribute__((noreturn));

/* network.c */
/** sk_sim_publish_check() - are these pairs of ports? @publish may be NULL. */
int sk_sim_publish_check(char *const *publish, struct sk_err *err);
/** sk_sim_network_up() - attach slirp4netns to the device's network. @ret_pid: its process, 0 where there is none. */
int sk_sim_network_up(const struct sk_sim_config *c, pid_t device_pid, pid_t *ret_pid,
		      struct sk_err *err);

/* machine.c */
/** sk_sim_run() - power on; returns when the device is off again. @on_ready may be NULL. */
int sk_sim_run(const struct sk_sim_config *c, const struct sk_sim_provision *p,
	       void (*on_ready)(void *), void *arg, struct sk_err *err);
/** sk_sim_pid() - host pid of a running device's first process, 0 when it is off. */
pid_t sk_sim_pid(const struct sk_sim_config *c);
/** sk_sim_wait_off() - until nothing of it is left on the desk, so that it can be switched on again. */
int sk_sim_wait_off(const struct sk_sim_config *c, struct sk_err *err);
int sk_sim_stop(const struct sk_sim_config *c, struct sk_err *err);
