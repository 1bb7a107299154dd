/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/auth/principal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "hub/db/devices.h"
#include "hub/db/sessions.h"
#include "hub/db/tokens.h"
#include "hub/domain/secret.h"

#define RECHECK_MS 10000

static void principal_free(void *arg)
{
	struct sk_principal *p = arg;

	sk_principal_set_data(p, NULL, NULL);
	free(p);
}

void sk_principal_set_data(struct sk_principal *p, void *data, void (*data_free)(void *data))
{
	if (p->data_free)
		p->data_free(p->data);
	p->data = data;
	p->data_free = data_free;
}

int64_t sk_principal_device(const struct sk_http_req *req)
{
	const struct sk_principal *p = sk_http_user(req);

	return p ? p->device : 0;
}

static int authorize_refuse(struct sk_http_req *req, struct sk_err *err)
{
	(void)sk_http_add_header(req, "WWW-Authenticate", "Bearer");
	return sk_err_set(err, -EACCES, "unauthorized",
			  "log in first: the token is missing, unknown or expired");
}

static int check_device(struct sk_conn *c, struct sk_principal *p, struct sk_err *err)
{
	struct sk_session s;
	int r = c->sessions->check(c, &p->token_hash, sk_wall_s(), &s, err);

	if (r <= 0)
		return r;
	p->is_device = true;
	p->org = s.org;
	p->device = s.device;
	p->deployment = s.deployment;
	p->has_work = s.has_work;
	p->crls_due = s.crls_due;
	return 1;
}

static int check_user(struct sk_conn *c, struct sk_principal *p, struct sk_err *err)
{
	struct sk_token_owner t;
	int r = c->tokens->check(c, &p->token_hash, sk_wall_s(), &t, err);

	if (r <= 0)
		return r;
	p->org = t.org;
	p->user = t.user;
	p->token = t.token;
	p->owner = t.owner;
	(void)snprintf(p->name, sizeof(p->name), "%s", t.name);
	if (t.temporary && !(p->flags & SK_HUB_TEMPORARY))
		return sk_err_set(err, -EPERM, "forbidden",
				  "this password was for the first login only: set your own "
				  "(skerry hub user password)");
	if ((p->flags & SK_HUB_OWNER) && !t.owner)
		return sk_err_set(err, -EPERM, "forbidden",
				  "%s may only look: this needs the role owner", t.name);
	return 1;
}

/* Who the token belongs to now. 1, 0 nobody's, or a failure. */
static int look_up(struct sk_conn *c, struct sk_principal *p, struct sk_err *err)
{
	return p->flags & SK_HUB_DEVICE ? check_device(c, p, err) : check_user(c, p, err);
}

int sk_hub_recheck(struct sk_http_req *req, struct sk_conn *c, const struct sk_principal *p,
		   struct sk_err *err)
{
	struct sk_principal now = { .flags = p->flags, .token_hash = p->token_hash };
	int r = look_up(c, &now, err);

	return r == 0 ? authorize_refuse(req, err) : SK_MIN(r, 0);
}

/* A device may have got another session meanwhile: what counts is that it is there and accepted. */
static int device_goes_on(struct sk_conn *c, const struct sk_principal *p, struct sk_err *err)
{
	struct sk_device dev;
	int r = c->devices->get(c, p->org, p->device, &dev, err);

	return r > 0 ? sk_streq(dev.status, "accepted") : r;
}

bool sk_hub_go_on(struct sk_http_req *req, void *arg)
{
	struct sk_hub *hub = arg;
	struct sk_principal *p = sk_http_user(req);
	uint64_t rights = atomic_load(&hub->rights), now_ms = sk_mono_ms();
	struct sk_err err = SK_ERR_INIT;
	struct sk_conn *c;

	if (!p || (p->checked_ms && p->rights == rights && now_ms - p->checked_ms < RECHECK_MS))
		return true;
	if (sk_db_read(hub->db, &c, &err) < 0)
		return false;
	if (p->is_device ? device_goes_on(c, p, &err) <= 0 : sk_hub_recheck(req, c, p, &err) < 0)
		return false;
	p->rights = rights;
	p->checked_ms = now_ms;
	return true;
}

/* A user without the right: the handler, which knows the action, is not reached, so the line names the path. */
static void audit_refused(struct sk_http_req *req, struct sk_hub *hub, const struct sk_principal *p,
			  const struct sk_err *err)
{
	char actor[SK_NAME_MAX + 8], object[192];

	if (p->org == 0 || !sk_streq(err->slug, "forbidden"))
		return;
	(void)snprintf(actor, sizeof(actor), "user:%s", p->name);
	(void)snprintf(object, sizeof(object), "%s %s", sk_http_method(req), sk_http_path(req));
	sk_text_clean(object, "");
	sk_hub_refused(hub, &(struct sk_audit){ .org = p->org,
						.actor = actor,
						.action = "request",
						.object = object,
						.peer = sk_http_peer(req),
						.outcome = err->slug });
}

int sk_hub_authorize(struct sk_http_req *req, unsigned flags, void *arg, struct sk_err *err)
{
	struct sk_hub *hub = arg;
	const char *header = sk_http_header(req, "Authorization");
	struct sk_principal *p;
	struct sk_digest hash;
	struct sk_conn *c;
	int r;

	if (flags & SK_HUB_PUBLIC)
		return 0;
	if (!header || strncasecmp(header, "Bearer ", 7) != 0 ||
	    sk_secret_hash(header + 7, &hash) < 0)
		return authorize_refuse(req, err);
	r = sk_db_read(hub->db, &c, err);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return sk_err_oom(err);
	*p = (struct sk_principal){ .flags = flags,
				    .token_hash = hash,
				    .epoch = sk_waiters_epoch(hub->waiters) };
	r = look_up(c, p, err);
	if (r <= 0) {
		audit_refused(req, hub, p, err);
		free(p);
		return r < 0 ? r : authorize_refuse(req, err);
	}
	if (p->is_device)
		sk_seen_mark(hub->seen, p->device, sk_wall_s());
	sk_http_set_user(req, p, principal_free);
	return 0;
}
