/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/auth/session.h"

#include <errno.h>

#include "base/clock.h"
#include "base/str.h"
#include "hub/db/sessions.h"

int sk_session_start(struct sk_hub *hub, struct sk_conn *c, const char *uid,
		     struct sk_session_token *ret, struct sk_err *err)
{
	struct sk_device dev;
	struct sk_digest hash;
	int r = c->devices->find_any(c, uid, &dev, err);

	if (r <= 0)
		return r;
	if (!sk_streq(dev.status, "accepted"))
		return sk_err_set(err, -EPERM, "forbidden", "the device is %s", dev.status);
	r = sk_secret_new("skd_", ret->secret, &hash, err);
	if (r < 0)
		return r;
	ret->device = dev.id;
	ret->valid_s = hub->config.session_s;
	r = c->sessions->set(c, dev.id, &hash, sk_wall_s() + ret->valid_s, err);
	if (r < 0)
		return r;
	sk_seen_mark(hub->seen, dev.id, sk_wall_s());
	return 1;
}
