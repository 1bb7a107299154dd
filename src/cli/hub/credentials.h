/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

/** ~/.config/skerry/hub.json (XDG_CONFIG_HOME is honoured), for its owner only. */
struct sk_credentials {
	char *url;
	char *token;
	char *ca_file; /* a copy beside it; NULL: the system's authorities */
};
void sk_credentials_done(struct sk_credentials *c);

/** sk_credentials_load() - no file: everything NULL. "bad-value" when it is damaged. */
int sk_credentials_load(struct sk_credentials *ret, struct sk_err *err);
/** sk_credentials_save() - @ca_pem: copied beside the file; NULL for none. */
int sk_credentials_save(const char *url, const char *token, const char *ca_pem, struct sk_err *err);
int sk_credentials_forget(struct sk_err *err);
