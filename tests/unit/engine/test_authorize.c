/* SPDX-License-Identifier: Apache-2.0 */

/* Who may call what: each route that the daemon serves, by each kind of peer. */
#include "unit.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "fake_http.h"

#define AGENT  990u
#define MEMBER 1000u
#define PEER   1001u
#define CROWD  1002u /* in more groups than are looked at */
#define GROUP  500u
#define OTHER  501u

/* --- the account data base --- */

static int passwd_fails;

int __wrap_getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t len, struct passwd **found);
int __wrap_getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t len, struct passwd **found)
{
	static char names[][8] = { "agent", "member", "peer", "crowd" };

	*found = NULL;
	if (passwd_fails)
		return passwd_fails;
	if (uid != AGENT && (uid < MEMBER || uid > CROWD))
		return 0;
	*pw = (struct passwd){ .pw_name = names[uid == AGENT ? 0 : 1 + uid - MEMBER] };
	*found = pw;
	return 0;
}

/* "member" has been put into the group, and so has "agent". */
int __wrap_getgrouplist(const char *name, gid_t primary, gid_t *groups, int *n);
int __wrap_getgrouplist(const char *name, gid_t primary, gid_t *groups, int *n)
{
	int max = *n;

	if (sk_streq(name, "crowd")) {
		*n = max + 1;
		for (int i = 0; i < max; i++)
			groups[i] = GROUP;
		return -1;
	}
	groups[0] = primary;
	groups[1] = OTHER;
	groups[2] = GROUP;
	*n = sk_streq(name, "member") || sk_streq(name, "agent") ? 3 : 2;
	return *n;
}

/* --- what is served --- */

static const struct sk_http_route *const tables[] = {
	sk_api_routes,		sk_api_capsule_routes,	    sk_docker_system_routes,
	sk_docker_image_routes, sk_docker_container_routes, sk_docker_wait_routes,
	sk_docker_log_routes,	sk_docker_event_routes,	    sk_docker_unsupported_routes,
};

/* All that the link to the hub may do. Nothing is added here without a look at what it gives away. */
static const char *const agent_may[] = {
	"GET /skerry/v1/status",
	"GET /skerry/v1/generations",
	"GET /skerry/v1/releases",
	"POST /skerry/v1/releases",
	"GET /skerry/v1/releases/{id}",
	"POST /skerry/v1/releases/{id}/apply",
	"GET /skerry/v1/images",
	"GET /skerry/v1/images/{digest}",
	"PUT /skerry/v1/images/{digest}",
	"GET /skerry/v1/update",
	"GET /skerry/v1/trust",
	"PUT /skerry/v1/trust/crl",
	"GET /skerry/v1/capsules",
	"GET /skerry/v1/capsules/{name}",
	"GET /skerry/v1/capsules/{name}/logs",
	NULL,
};

static bool for_agent(const struct sk_http_route *r, bool *seen)
{
	_cleanup_free_ char *text = sk_asprintf("%s %s", r->method, r->pattern);

	for (size_t i = 0; agent_may[i]; i++)
		if (sk_streq(agent_may[i], text)) {
			seen[i] = true;
			return true;
		}
	return false;
}

static struct sk_daemon daemon_ = {
	.agent_uid = AGENT,
	.group_gid = GROUP,
	.config = { .socket_group = (char *)"skerry" },
};

static int authorize(struct sk_http_req *req, const struct sk_http_route *r, struct sk_err *err)
{
	req->path = req->path ?: r->pattern;
	*err = SK_ERR_INIT;
	return sk_daemon_authorize(req, r->flags, &daemon_, err);
}

struct peer {
	const char *who;
	uid_t uid;
	gid_t gid;
	bool remote;
	enum { NOTHING, AGENTS, ALL } may;
};

static void may(const struct peer *p)
{
	bool seen[ARRAY_SIZE(agent_may)] = { 0 };
	unsigned n = 0;

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (const struct sk_http_route *r = tables[t]; r->method; r++) {
			struct sk_http_req req = { .uid = p->uid,
						   .gid = p->gid,
						   .remote = p->remote };
			bool agents = for_agent(r, seen);
			bool allowed = p->may == ALL || (p->may == AGENTS && agents);
			struct sk_err err;
			int r_ = authorize(&req, r, &err);

			n++;
			if (r_ != (allowed ? 0 : -EPERM))
				fail_msg("%s: %s %s: %d", p->who, r->method, r->pattern, r_);
			/* Who is refused learns nothing but that. */
			if (!allowed) {
				assert_string_equal(err.slug, "forbidden");
				assert_int_equal(req.n_added, 0);
			}
		}
	assert_true(n > 50);
	for (size_t i = 0; agent_may[i]; i++)
		if (!seen[i])
			fail_msg("there is no %s any more", agent_may[i]);
}

/* What follows a parameter's name does not tell two routes apart. */
static char *shape(const struct sk_http_route *r)
{
	char *text = sk_asprintf("%s %s", r->method, r->pattern), *to = text;
	bool inside = false;

	assert_non_null(text);
	for (const char *c = text; *c; c++) {
		inside = inside && *c != '}' && *c != '*';
		if (!inside)
			*to++ = *c;
		inside = inside || *c == '{';
	}
	*to = '\0';
	return text;
}

/* Of two rows for the same requests the second would never be asked. */
static void each_route_once(void **state)
{
	_cleanup_strv_ char **seen = NULL;

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (const struct sk_http_route *r = tables[t]; r->method; r++) {
			_cleanup_free_ char *text = shape(r);

			SK_STRV_FOREACH (other, seen)
				if (sk_streq(*other, text))
					fail_msg("two rows serve %s", text);
			assert_int_equal(sk_strv_add(&seen, text), 0);
		}
}

static const struct peer peers[] = {
	{ "root", 0, 0, .may = ALL },
	{ "root, of whatever group", 0, OTHER, .may = ALL },
	{ "the agent", AGENT, AGENT, .may = AGENTS },
	{ "the agent, in the group", AGENT, GROUP, .may = AGENTS },
	{ "by the primary group", 77, GROUP, .may = ALL },
	{ "by another group", MEMBER, MEMBER, .may = ALL },
	{ "a peer", PEER, PEER },
	{ "a peer of another group", PEER, OTHER },
	{ "of too many groups", CROWD, CROWD },
	{ "nobody's", 65534, 65534 },
	{ "no user", (uid_t)-1, (gid_t)-1 },
	{ "not over the socket", 0, 0, .remote = true },
};

static void each_route_by_each_peer(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		may(&peers[i]);
}

/* Neither agent nor group is configured, or their names are not known here: only root is let in. */
static void nobody_but_root(void **state)
{
	daemon_.agent_uid = (uid_t)-1;
	daemon_.group_gid = (gid_t)-1;
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		struct peer p = peers[i];

		p.may = p.uid == 0 && !p.remote ? ALL : NOTHING;
		may(&p);
	}
	daemon_.agent_uid = AGENT;
	daemon_.group_gid = GROUP;
}

/* A data base that does not answer gives nobody a right. */
static void no_accounts(void **state)
{
	static const int ways[] = { EIO, ERANGE, ENOMEM };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		passwd_fails = ways[i];
		may(&(struct peer){ "a member", MEMBER, MEMBER });
		may(&(struct peer){ "by the primary group", 77, GROUP, .may = ALL });
		may(&(struct peer){ "the agent", AGENT, AGENT, .may = AGENTS });
		passwd_fails = 0;
	}
}

static void how_many_connections(void **state)
{
	static const unsigned most[] = { [NOTHING] = 16, [AGENTS] = 32, [ALL] = UINT_MAX };
	unsigned kinds[3], kind;

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		if (peers[i].remote)
			continue;
		assert_int_equal(sk_daemon_peer_max(peers[i].uid, peers[i].gid, &kind, &daemon_),
				 most[peers[i].may]);
		kinds[peers[i].may] = kind;
	}
	/* Strangers share their room with each other alone. */
	assert_true(kinds[NOTHING] != kinds[AGENTS] && kinds[AGENTS] != kinds[ALL] &&
		    kinds[NOTHING] != kinds[ALL]);
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		(void)sk_daemon_peer_max(peers[i].uid, peers[i].gid, &kind, &daemon_);
		if (!peers[i].remote)
			assert_int_equal(kind, kinds[peers[i].may]);
	}
}

static void docker_headers(void **state)
{
	const struct sk_http_route *r = fake_route(sk_docker_system_routes, "GET", "/_ping");
	struct sk_http_req req = { .path = "/_ping" };
	struct sk_err err;

	assert_int_equal(authorize(&req, r, &err), 0);
	assert_int_equal(req.n_added, 3);
	assert_string_equal(req.added[0][0], "Api-Version");
	assert_string_equal(req.added[0][1], SK_DOCKER_API_VERSION);
	req = (struct sk_http_req){ .path = "/skerry/v1/status" };
	assert_int_equal(authorize(&req, r, &err), 0);
	assert_int_equal(req.n_added, 0);
}

/* Versions are not spoken of with strangers; whoever may ask is told which there are. */
static void versions(void **state)
{
	static const char *const bad[] = { "/v1.23/info", "/v1.45/info", "/v2/info", "/v0.1/info",
					   "/v99999999999999999999.1/info" };
	const struct sk_http_route *r = fake_route(sk_docker_system_routes, "GET", "/info");
	struct sk_http_req req;
	struct sk_err err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		req = (struct sk_http_req){ .path = bad[i] };
		assert_int_equal(authorize(&req, r, &err), -EINVAL);
		req = (struct sk_http_req){ .path = bad[i], .uid = PEER, .gid = PEER };
		assert_int_equal(authorize(&req, r, &err), -EPERM);
	}
	req = (struct sk_http_req){ .path = "/v1.24/info" };
	assert_int_equal(authorize(&req, r, &err), 0);
	req = (struct sk_http_req){ .path = "/v1.44/info" };
	assert_int_equal(authorize(&req, r, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_route_by_each_peer),
		cmocka_unit_test(nobody_but_root),
		cmocka_unit_test(no_accounts),
		cmocka_unit_test(how_many_connections),
		cmocka_unit_test(docker_headers),
		cmocka_unit_test(versions),
		cmocka_unit_test(each_route_once),
	};

	return cmocka_run_group_tests_name("engine/authorize", tests, NULL, NULL);
}
