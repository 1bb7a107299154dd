/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/core/hub.h"
#include "hub/db/devices.h"
#include "hub/domain/secret.h"

/** A device's session that was made; the hub keeps the hash of its token only. */
struct sk_session_token {
	int64_t device;
	char secret[SK_SECRET_MAX];
	uint32_t valid_s;
};

/**
 * sk_session_start() - in the transaction: a session of a device that proved who it is
 * @uid: of the device; it may have been removed or shut out since it was asked for its proof
 * A session before it ends. Return: 1; 0 when there is no such device; or a failure, "forbidden"
 */
int sk_session_start(struct sk_hub *hub, struct sk_conn *c, const char *uid,
		     struct sk_session_token *ret, struct sk_err *err);
