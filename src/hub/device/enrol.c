/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hub/auth/session.h"
#include "hub/db/deployments.h"
#include "hub/db/devices.h"
#include "hub/db/enrolments.h"
#include "hub/db/orgs.h"
#include "hub/device/body.h"
#include "hub/device/routes.h"
#include "hub/domain/proof.h"
#include "hub/domain/rollout.h"
#include "hub/domain/secret.h"
#include "hub/request/call.h"
#include "io/json.h"

#define SIGNATURE_MAX 256

static int challenge(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_hub *hub = arg;
	char text[SK_CHALLENGE_MAX];
	int r = sk_challenge_new(hub->challenges, sk_mono_ms(), text, err);

	return r < 0 ? r : sk_http_reply_json(req, 200, json_pack("{s:s}", "challenge", text));
}

/* The signature is checked before the challenge is used up: a forger cannot burn another's. */
static int prove(struct sk_hub *hub, const char *key, const char *purpose, const char *challenge,
		 const char *uid, const char *signature, struct sk_err *err)
{
	uint64_t now = sk_mono_ms();
	int r = sk_challenge_check(hub->challenges, challenge, now, err);

	if (r < 0)
		return r;
	r = sk_proof_verify(key, purpose, challenge, uid, signature, err);
	return r < 0 ? r : sk_challenge_use(hub->challenges, challenge, now, err);
}

/* With a token: its deployment. Without: pending, in the named or the only organisation. */
static int find_place(struct sk_call *call, const struct sk_enrol_request *a, int64_t *org,
		      int64_t *deployment, struct sk_err *err)
{
	struct sk_enrolment e;
	struct sk_digest hash;
	int r;

	*deployment = 0;
	if (a->token) {
		r = sk_secret_hash(a->token, &hash) < 0
			    ? 0
			    : call->db->enrolments->use(call->db, &hash, sk_wall_s(), &e, err);
		if (r < 0)
			return r;
		if (r == 0)
			return sk_err_set(err, -EPERM, "forbidden",
					  "the enrolment token is unknown, expired, revoked or "
					  "used up");
		*org = e.org;
		*deployment = e.deployment;
		return 0;
	}
	r = a->organisation ? call->db->orgs->find(call->db, a->organisation, org, err)
			    : call->db->orgs->only(call->db, org, err);
	if (r == 0)
		return sk_err_set(err, -EPERM, "forbidden",
				  a->organisation ? "this hub does not know that organisation"
						  : "name an organisation, or use a token");
	return SK_MIN(r, 0);
}

static int enrol_check_room(struct sk_call *call, int64_t org, struct sk_err *err)
{
	const struct sk_hub_config *c = &call->hub->config;
	int64_t in_org = 0, from_peer = 0;
	int r = call->db->devices->count_pending(call->db, org, sk_http_peer(call->req), &in_org,
						 &from_peer, err);

	if (r < 0)
		return r;
	if ((in_org >= c->pending_max || from_peer >= c->pending_per_ip_max))
		return sk_err_set(err, -EAGAIN, "too-many",
				  "too many devices wait to be accepted: try again later, or use "
				  "an enrolment token");
	return 0;
}

static int join(struct sk_call *call, const struct sk_device *dev, int64_t deployment,
		struct sk_err *err)
{
	struct sk_deployment d;
	int r = call->db->deployments->get(call->db, dev->org, deployment, &d, err);

	return r <= 0 ? r : sk_rollout_join(call->db, dev, &d, "enrolment", err);
}

static int add_device(struct sk_call *call, const struct sk_enrol_request *a, int64_t org,
		      int64_t deployment, struct sk_err *err)
{
	struct sk_device dev = { .org = org };
	int r = deployment ? 0 : enrol_check_room(call, org, err);

	if (r < 0)
		return r;
	r = call->db->devices->add(call->db,
				   &(struct sk_device_new){ .org = org,
							    .deployment = deployment,
							    .uid = a->uid,
							    .name = a->name,
							    .public_key = a->public_key,
							    .compatible = a->compatible,
							    .peer = sk_http_peer(call->req) },
				   &dev.id, err);
	if (r < 0 || !deployment)
		return r;
	return SK_MIN(join(call, &dev, deployment, err), 0);
}

/*
 * A device that the hub knows. What its organisation decided stands; but one that was never
 * accepted is free to go to another organisation, or to come in by a token.
 */
static int known_device(struct sk_call *call, const struct sk_enrol_request *a,
			const struct sk_device *dev, struct sk_err *err)
{
	bool undecided = sk_streq(dev->status, "pending") || sk_streq(dev->status, "rejected");
	int64_t org = dev->org, deployment = 0;
	bool elsewhere;
	int r = 0;

	if (undecided && (a->token || a->organisation))
		r = find_place(call, a, &org, &deployment, err);
	if (r < 0)
		return r;
	elsewhere = org != dev->org;
	if (undecided && (elsewhere || (deployment && sk_streq(dev->status, "pending")))) {
		r = call->db->devices->remove(call->db, dev, err);
		return r < 0 ? r : add_device(call, a, org, deployment, err);
	}
	call->action = NULL; /* nothing changed */
	return call->db->devices->update_enrolment(call->db, dev->id, a->name, a->compatible, err);
}

static int answer_status(struct sk_call *call, const struct sk_enrol_request *a, struct sk_err *err)
{
	struct sk_device dev;
	int r = call->db->devices->find_any(call->db, a->uid, &dev, err);

	if (r <= 0)
		return r < 0 ? r : sk_call_none("device", a->uid, err);
	call->audit_org = dev.org;
	call->status = sk_streq(dev.status, "accepted")	 ? 200
		       : sk_streq(dev.status, "pending") ? 202
							 : 403;
	if (call->status == 403)
		call->answer = json_pack("{s:s, s:s, s:s, s:s}", "error", "forbidden", "message",
					 "the device was shut out by its organisation", "device_id",
					 a->uid, "status", dev.status);
	else
		call->answer = json_pack("{s:s, s:s}", "device_id", a->uid, "status", dev.status);
	return call->answer ? 0 : sk_err_oom(err);
}

static int do_enrol(struct sk_call *call, struct sk_err *err)
{
	const struct sk_enrol_request *a = call->data;
	struct sk_device dev;
	int64_t org = 0, deployment = 0;
	int r = call->db->devices->find_any(call->db, a->uid, &dev, err);

	sk_call_object(call, "%s", a->uid);
	(void)snprintf(call->by, sizeof(call->by), "device:%.12s", a->uid);
	if (r > 0) {
		r = known_device(call, a, &dev, err);
	} else if (r == 0) {
		r = find_place(call, a, &org, &deployment, err);
		if (r == 0)
			r = add_device(call, a, org, deployment, err);
	}
	return r < 0 ? r : answer_status(call, a, err);
}

/* Proved before the transaction: strangers must not hold the lock of all who write. */
static int enrol(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_(sk_enrol_request_done) struct sk_enrol_request a = { 0 };
	_cleanup_json_ json_t *body = NULL;
	int r = sk_http_body_json(req, &body, err);

	if (r < 0)
		return r;
	r = sk_enrol_request_read(body, &a, err);
	if (r < 0)
		return r;
	r = prove(arg, a.public_key, "skerry-enrol", a.challenge, a.uid, a.signature, err);
	return r < 0 ? r
		     : sk_call_change_prepared(req, arg,
					       &(struct sk_call_steps){ .action = "device.enrol",
									.run = do_enrol,
									.data = &a },
					       err);
}

static int enrol_refuse(struct sk_err *err)
{
	return sk_err_set(err, -EACCES, "unauthorized",
			  "the signature over the challenge is wrong");
}

/* The device that says it is @uid, and its key. 1, 0 or a failure. */
static int find_key(struct sk_hub *hub, const char *uid, struct sk_device *dev,
		    char key[static SK_PUBLIC_KEY_MAX], struct sk_err *err)
{
	_cleanup_read_ struct sk_conn *c = NULL;
	int r = sk_db_begin_read(hub->db, &c, err);

	if (r < 0)
		return r;
	r = c->devices->find_any(c, uid, dev, err);
	return r <= 0 ? r : c->devices->public_key(c, dev->id, key, err);
}

static int check_session(struct sk_hub *hub, const json_t *body, struct sk_device *dev,
			 struct sk_err *err)
{
	static const char *const known[] = { "device_id", "challenge", "signature", NULL };
	const char *uid, *text, *signature;
	char key[SK_PUBLIC_KEY_MAX];
	int r = sk_json_only(body, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_str(body, "device_id", SK_DIGEST_HEX, &uid, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(body, "challenge", SK_CHALLENGE_MAX - 1, &text, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(body, "signature", SIGNATURE_MAX, &signature, err);
	if (r < 0)
		return r;
	r = find_key(hub, uid, dev, key, err);
	if (r < 0)
		return r;
	/* The same answer for an unknown device and a wrong key: strangers do not learn which devices there are. */
	return r == 0 ? enrol_refuse(err)
		      : prove(hub, key, "skerry-session", text, uid, signature, err);
}

static int do_session(struct sk_call *call, struct sk_err *err)
{
	const struct sk_device *proved = call->data;
	struct sk_session_token t;
	int r = sk_session_start(call->hub, call->db, proved->uid, &t, err);

	if (r <= 0)
		return r < 0 ? r : enrol_refuse(err);
	call->drop_device = t.device; /* a poll of the session before ends with it */
	call->answer =
		json_pack("{s:s, s:I}", "token", t.secret, "expires_in_s", (json_int_t)t.valid_s);
	return call->answer ? 0 : sk_err_oom(err);
}

static int session(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;
	struct sk_device dev;
	int r = sk_http_body_json(req, &body, err);

	if (r < 0)
		return r;
	r = check_session(arg, body, &dev, err);
	return r < 0 ? r
		     : sk_call_change_prepared(
			       req, arg, &(struct sk_call_steps){ .run = do_session, .data = &dev },
			       err);
}

const struct sk_http_route sk_device_enrol_routes[] = {
	{ "POST", "/device/v1/challenge", challenge, SK_HUB_BODY_MAX, NULL, SK_HUB_PUBLIC },
	{ "POST", "/device/v1/enrol", enrol, SK_HUB_BODY_MAX, NULL, SK_HUB_PUBLIC },
	{ "POST", "/device/v1/session", session, SK_HUB_BODY_MAX, NULL, SK_HUB_PUBLIC },
	{ 0 },
};
