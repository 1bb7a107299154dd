/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/identity.h"
#include "io/http/client.h"

/*
 * The link to the hub: enrol, session, requests. Nothing that the hub says is believed beyond its
 * form; what matters is signed and checked by skerryd.
 */
struct sk_hub_link {
	const struct sk_agent_config *config;
	const struct sk_identity *identity;
	struct sk_http_client *client;
	bool session;
	unsigned sessions; /* opened so far */
	bool pending;	   /* the hub knows the device, its owner has not said yes yet */
	uint64_t session_ends_ms;
};

int sk_hub_link_init(struct sk_hub_link *h, const struct sk_agent_config *config,
		     const struct sk_identity *identity, struct sk_err *err);
void sk_hub_link_done(struct sk_hub_link *h);

/**
 * sk_hub_session() - have a session that lasts a while yet; enrols first when that is needed
 * Return: 0; -EINPROGRESS ("forbidden") while the device waits to be accepted; other failures
 */
int sk_hub_session(struct sk_hub_link *h, struct sk_err *err);

/** sk_hub_call() - within the session; a 401 ends it, so that the next try makes a new one. */
int sk_hub_call(struct sk_hub_link *h, struct sk_http_call *call, struct sk_err *err);

/** sk_hub_json() - request with optional JSON body; @ret: new reference, NULL for no content. */
int sk_hub_json(struct sk_hub_link *h, const char *method, const char *path, json_t *body,
		uint64_t timeout_ms, json_t **ret, struct sk_err *err);

/** sk_hub_is_away() - was the hub not reached at all, or the session not accepted? */
bool sk_hub_is_away(int code);

/** sk_hub_is_final() - will asking the hub again never help? (404, 403, malformed …) */
bool sk_hub_is_final(int code);
