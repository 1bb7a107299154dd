/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/*
 * What a device is: the manifest, read from its flattened device tree. Pure: no file, no clock.
 * Everything is checked here, once; who holds a struct sk_manifest need not check again.
 * Reference: docs/reference/manifest.md
 */
#define SK_MANIFEST_SIZE_MAX (4u << 20) /* bytes of the device tree */
#define SK_MANIFEST_APPS_MAX 256
#define SK_IMAGE_SIZE_MAX    ((uint64_t)UINT32_MAX) /* FIT has 32-bit sizes */

enum sk_kind { SK_KIND_CONTAINER, SK_KIND_VM };
enum sk_restart { SK_RESTART_NO, SK_RESTART_ON_FAILURE, SK_RESTART_ALWAYS };
enum sk_network { SK_NETWORK_NONE, SK_NETWORK_HOST };

/** An image by its file name in the manifest; digest and size once a release has pinned it. */
struct sk_image_ref {
	char *name;
	bool pinned;
	struct sk_digest digest;
	uint64_t size_bytes;
};

struct sk_env {
	char *name;
	char *value;
};

/** A host device node granted to an app; @mode is "r", "w", "rw" or with "m" (mknod). */
struct sk_device_grant {
	char *path;   /* "/dev/i2c-1" */
	char *target; /* path inside; same as @path unless given */
	char mode[4];
};

/** A persistent folder: kept over upgrades and restarts under the app's name. */
struct sk_volume {
	char *name;   /* "data" */
	char *target; /* absolute path inside */
	bool read_only;
};

enum sk_health_kind { SK_HEALTH_NONE, SK_HEALTH_COMMAND, SK_HEALTH_HTTP, SK_HEALTH_TCP };
struct sk_health {
	enum sk_health_kind kind;
	char **command;	 /* COMMAND: run inside the capsule; exit 0 is healthy */
	char *http_path; /* HTTP: GET http://127.0.0.1:<port><path>, 2xx or 3xx is healthy */
	uint16_t port;	 /* HTTP, TCP: inside the capsule's network */
	uint64_t interval_ms, timeout_ms, start_period_ms;
	uint32_t retries; /* failures in a row that make it unhealthy */
	bool disabled;	  /* NONE on purpose: an image's own check is switched off */
};

/**
 * struct sk_run - how a capsule runs: the words shared by an app node and by an image's defaults
 * A field that is not given is NULL, 0 or the *_set flag false; sk_run_merge() lays an app's over an
 * image's.
 */
struct sk_run {
	char **command;	  /* entry point: argv[0] and fixed arguments */
	char **arguments; /* appended */
	struct sk_env *env;
	size_t n_env;
	char *user; /* "1000", "1000:1000", "nginx" (looked up in the image's /etc/passwd) */
	char *working_dir;
	int stop_signal;	/* 0: SIGTERM */
	uint64_t stop_grace_ms; /* 0: 10 s */
	struct sk_health health;
};

struct sk_app {
	char *name;
	enum sk_kind kind;
	struct sk_image_ref *image; /* borrowed from sk_manifest.images */
	struct sk_run run;
	struct sk_device_grant *devices;
	size_t n_devices;
	struct sk_volume *volumes;
	size_t n_volumes;
	uint64_t memory_bytes; /* 0: no limit */
	uint64_t cpu_millis;   /* thousandths of a CPU; 0: no limit */
	uint32_t pids;	       /* default 512 */
	enum sk_restart restart;
	uint32_t
		restart_max; /* restarts within @restart_window_ms before it counts as failed; 0: no bound */
	uint64_t restart_window_ms;
	uint64_t backoff_min_ms, backoff_max_ms;
	enum sk_network network;
	bool writable_root;
	bool keep_logs; /* logs stay over a reboot */
	char **msg_servers;
	char *device_setup; /* aux_device_setup_script: path in the image; run by a later issue */
};

/** supervision { ethernet = "tunnel", "hello"; }: when @app fails, @dependants go with it. */
struct sk_supervision {
	char *app;
	char **dependants;
};

/** One row of a dir_access_control: who may publish or connect to @protocol. */
struct sk_msg_rule {
	char *protocol;
	char **publish;
	char **connect;
};
struct sk_msg_server {
	char *name;
	struct sk_msg_rule *rules;
	size_t n_rules;
};

struct sk_key_grant {
	char *name;
	char **apps;
	char **uses; /* "sign", "decrypt", "derive" */
};

struct sk_manifest {
	/* release */
	char *project;
	char *version;	   /* sk_version_ok() */
	char **compatible; /* device types, most specific first */
	int64_t created_s; /* 0: not given */
	int64_t expires_s; /* 0: never */
	bool allow_downgrade;
	uint64_t settle_ms;	    /* health gate: all capsules well for this long; default 10 s */
	uint64_t health_timeout_ms; /* not well by then: bad; default 5 min */
	uint32_t boots_max;	    /* boots in trying before it counts as bad; default 3 */

	bool persistent_boot;
	struct sk_image_ref *system; /* borrowed; NULL when the manifest has no system node */
	struct sk_image_ref *images;
	size_t n_images;
	struct sk_app *apps; /* in start order (see below) */
	size_t n_apps;
	struct sk_supervision *supervision;
	size_t n_supervision;
	struct sk_msg_server *msg_servers;
	size_t n_msg_servers;
	struct sk_key_grant *keys;
	size_t n_keys;
};
/*
 * Start order: an app stands after every app it depends on (supervision read backwards: "ethernet =
 * tunnel" means that tunnel starts after ethernet); within that, the order of the file.
 */

/** struct sk_diag - one thing wrong with a manifest */
struct sk_diag {
	char *path; /* node, "/apps/web" */
	char *prop; /* property, or NULL */
	char *text; /* what is wrong */
	char *hint; /* what to write instead; may be NULL */
};
struct sk_diags {
	struct sk_diag *v;
	size_t n; /* at most 64 are kept */
};
void sk_diags_done(struct sk_diags *d);

/**
 * sk_manifest_parse() - read and check a manifest
 * @dtb, @len: untrusted
 * @diags: every mistake found, in file order; may be NULL. The first becomes @err.
 * Return: 0, -EINVAL ("bad-manifest"), -EFBIG ("too-large"), -ENOMEM
 */
int sk_manifest_parse(const void *dtb, size_t len, struct sk_manifest **ret, struct sk_diags *diags,
		      struct sk_err *err);
void sk_manifest_free(struct sk_manifest *m);
SK_DEFINE_CLEANUP(struct sk_manifest, sk_manifest_free);

const struct sk_app *sk_manifest_app(const struct sk_manifest *m, const char *name);
/** All images pinned? Required of a release. The first that is not is in @err ("bad-release"). */
int sk_manifest_pinned(const struct sk_manifest *m, struct sk_err *err);

/**
 * sk_manifest_pin() - a new device tree with digest, size and creation time written in
 * @images: name, digest and size of every image of the manifest
 * The result is canonical: the same input gives the same bytes. Owned by the caller.
 */
int sk_manifest_pin(const void *dtb, size_t len, const struct sk_image_ref *images, size_t n_images,
		    int64_t created_s, void **ret, size_t *ret_len, struct sk_err *err);

/**
 * sk_run_parse() - the same words in an image's own "run" node
 * @fdt: passed fdt_check_full(), 8-byte aligned; @node has no other words
 * Return: 0, -EINVAL ("bad-manifest"), -ENOMEM; *ret is untouched on failure
 */
int sk_run_parse(const void *fdt, int node, struct sk_run *ret, struct sk_diags *diags,
		 struct sk_err *err);
/**
 * sk_run_write() - @run as properties and subnodes of the node being written (libfdt sequential
 * write); the node may get no more properties afterwards.
 * Return: 0, -ENOSPC (the caller's buffer is too small), -EINVAL, -ENOMEM
 */
int sk_run_write(void *fdt, const struct sk_run *run);
/**
 * sk_run_merge() - the app's words over the image's; @ret is a copy of its own. 0 or -ENOMEM
 * An app's own command drops the image's arguments; variables are merged by name.
 */
int sk_run_merge(const struct sk_run *image, const struct sk_run *app, struct sk_run *ret);
void sk_run_done(struct sk_run *run);

/** sk_signal_parse() - "SIGTERM", "TERM", "SIGRTMIN+3", "15". 0 or -EINVAL. */
int sk_signal_parse(const char *s, int *ret);
/** sk_signal_name() - "SIGTERM"; returns @buf. */
const char *sk_signal_name(char buf[static 16], int sig);
