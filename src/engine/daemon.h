/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "engine/api/api.h"
#include "engine/capsule/engine.h"
#include "engine/claims/claims.h"
#include "engine/config.h"
#include "engine/docker/names.h"
#include "engine/intake/intake.h"
#include "engine/release/verifier.h"
#include "engine/update/update.h"
#include "io/http/server.h"
#include "store/store.h"

/* Users of children that read strangers' input, counted from uid-base + SK_ENGINE_UIDS_MAX. */
#define SK_UID_LOAD	0 /* and on, one for each load at a time */
#define SK_UID_PRECHECK 1000

/* The first tables of routes are given the API object, the others the daemon. */
#define SK_DAEMON_API_TABLES 2
#define SK_DAEMON_TABLES     9

/**
 * struct sk_daemon - skerryd as a whole: what the HTTP server hands to handlers of the Docker API
 * Made and ended by main.c alone.
 */
struct sk_daemon {
	struct sk_daemon_config config;
	char *store_dir, *capsule_dir, *volume_dir;
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *engine;
	struct sk_claims *claims;
	struct sk_verifier *verifier;
	struct sk_intake *intake;
	struct sk_update *update;
	struct sk_api api;
	struct sk_names *names; /* local image names */
	struct sk_workdirs *workdirs;
	struct sk_docker_loads *loads;
	struct sk_http *http;
	void *table_args[SK_DAEMON_TABLES];
	uid_t agent_uid; /* (uid_t)-1: nobody */
	gid_t group_gid; /* (gid_t)-1: nobody */
	int64_t started_s;
};

/** sk_daemon_authorize() - who may call what; see struct sk_http_config */
int sk_daemon_authorize(struct sk_http_req *req, unsigned route_flags, void *arg,
			struct sk_err *err);

/** sk_daemon_peer_max() - how many connections who may hold; see struct sk_http_config */
unsigned sk_daemon_peer_max(uid_t uid, gid_t gid, unsigned *ret_kind, void *arg);
