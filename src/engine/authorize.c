/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/docker/docker.h"
#include "base/str.h"
#include "engine/daemon.h"

#define GROUPS_MAX	      1024
#define STRANGERS_CONNECTIONS 16
#define AGENT_CONNECTIONS     32

/*
 * The kernel reports the peer's primary group only. The others are looked up in the account data base
 * and not in /proc, where another process may have the peer's number by now.
 */
static bool in_group(uid_t uid, gid_t primary, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	char buf[4096];
	struct passwd pw, *found = NULL;
	int n = GROUPS_MAX;

	if (group == (gid_t)-1)
		return false;
	if (primary == group)
		return true;
	if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) != 0 || !found)
		return false;
	if (getgrouplist(pw.pw_name, primary, groups, &n) < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* Without an agent @d->agent_uid is (uid_t)-1, which a peer that the kernel does not know has too. */
static bool is_agent(const struct sk_daemon *d, uid_t uid)
{
	return uid != (uid_t)-1 && uid == d->agent_uid;
}

/* STRANGERS may do nothing and share one limit, AGENT brings updates, OWNERS may do everything. */
enum peer_kind { STRANGERS, AGENT, OWNERS };

unsigned sk_daemon_peer_max(uid_t uid, gid_t gid, unsigned *ret_kind, void *arg)
{
	const struct sk_daemon *d = arg;

	*ret_kind = uid == 0			       ? OWNERS
		    : is_agent(d, uid)		       ? AGENT
		    : in_group(uid, gid, d->group_gid) ? OWNERS
						       : STRANGERS;
	return *ret_kind == OWNERS  ? UINT_MAX
	       : *ret_kind == AGENT ? AGENT_CONNECTIONS
				    : STRANGERS_CONNECTIONS;
}

/* The Docker CLI asks for this header before it does anything. */
static int add_version_headers(struct sk_http_req *req, struct sk_err *err)
{
	if (sk_str_starts(sk_http_path(req), "/skerry/"))
		return 0;
	if (sk_http_add_header(req, "Api-Version", SK_DOCKER_API_VERSION) < 0 ||
	    sk_http_add_header(req, "Ostype", "linux") < 0 ||
	    sk_http_add_header(req, "Server", "Skerry/" SK_VERSION " (linux)") < 0)
		return sk_err_oom(err);
	return 0;
}

int sk_daemon_authorize(struct sk_http_req *req, unsigned route_flags, void *arg,
			struct sk_err *err)
{
	const struct sk_daemon *d = arg;
	uid_t uid;
	gid_t gid;
	pid_t pid;

	if (sk_http_peer_cred(req, &uid, &gid, &pid) < 0)
		return sk_err_set(err, -EPERM, "forbidden", "only local peers are served");
	/* Checked before the group: an agent that is a member of it gets no more rights for that. */
	if (uid != 0 && is_agent(d, uid) && !(route_flags & SK_API_ROUTE_AGENT))
		return sk_err_set(err, -EPERM, "forbidden",
				  "the link to the hub may take in releases and images only");
	if (uid != 0 && !is_agent(d, uid) && !in_group(uid, gid, d->group_gid))
		return sk_err_set(
			err, -EPERM, "forbidden",
			"only root and the members of group \"%s\" may control this device",
			d->config.socket_group);
	if (add_version_headers(req, err) < 0)
		return err->code;
	return sk_docker_check_version(sk_http_full_path(req), err);
}
