/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/domain/waiters.h"

/** How the long polls of this protocol wait and end; a poll is its struct sk_http_req. */
extern const struct sk_poll_ops sk_device_poll;

/** What a poll answers when there are revocation lists to look at; new reference. */
json_t *sk_device_poll_crls(void);
