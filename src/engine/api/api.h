/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "engine/capsule/engine.h"
#include "engine/claims/scrub.h"
#include "engine/intake/intake.h"
#include "engine/release/verifier.h"
#include "engine/update/update.h"
#include "io/http/server.h"
#include "store/store.h"

/*
 * Skerry's own API, /skerry/v1: what is HTTP and JSON of it. What it is about lies in intake, claims, update and
 * capsule, which know neither.
 * Reference: docs/reference/skerryd-api.yaml
 */
struct sk_api_waiter;

/**
 * struct sk_api - what the handlers of the tables below are given; borrowed, and to outlive it
 * @scrub:   of POST /store/verify, under way; @scrub_req: who asked, NULL once the peer went away
 * @waiters: requests of GET /update that wait for the next step
 */
struct sk_api {
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *engine;
	struct sk_verifier *verifier;
	struct sk_intake *intake;
	struct sk_update *update;
	char *const *compatible; /* the device's own types */

	struct sk_scrub *scrub;
	struct sk_http_req *scrub_req;
	struct sk_api_waiter *waiters;
};

/** sk_api_start() - the objects are there: listen to them */
void sk_api_start(struct sk_api *api);
/** sk_api_done() - ends what is under way; the server is gone by then, and its requests with it */
void sk_api_done(struct sk_api *api);

extern const struct sk_http_route sk_api_routes[];
/** /skerry/v1/capsules, /skerry/v1/halt */
extern const struct sk_http_route sk_api_capsule_routes[];

/** Route flag: the link to the hub (skerry-agent's user) may call it too. */
#define SK_API_ROUTE_AGENT SK_HTTP_USER
