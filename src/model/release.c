/* SPDX-License-Identifier: Apache-2.0 */
#include "model/release.h"

#include <errno.h>

#include "base/clock.h"
#include "base/str.h"
#include "model/version.h"

static int check_device(const struct sk_manifest *m, const struct sk_device_facts *facts,
			struct sk_err *err)
{
	_cleanup_free_ char *mine = NULL, *wanted = NULL;

	SK_STRV_FOREACH (type, facts->compatible)
		if (sk_strv_has(m->compatible, *type))
			return 0;
	mine = sk_strv_join(facts->compatible, ", ");
	wanted = sk_strv_join(m->compatible, ", ");
	return sk_err_set(err, -EPERM, "wrong-device",
			  "release %s %s is for devices of type %s; this one is %s", m->project,
			  m->version, wanted && *wanted ? wanted : "(none)",
			  mine && *mine ? mine : "of no type");
}

/* Versions of two projects have no order: a change of project must be allowed by the signer. */
static int check_version(const struct sk_manifest *m, const struct sk_device_facts *facts,
			 struct sk_err *err)
{
	if (m->allow_downgrade || !facts->version)
		return 0;
	if (facts->project && !sk_streq(facts->project, m->project))
		return sk_err_set(err, -EPERM, "wrong-device",
				  "this device runs project \"%s\" and the release is of project "
				  "\"%s\"; going over takes a release signed with allow-downgrade",
				  facts->project, m->project);
	if (sk_version_cmp(m->version, facts->version) < 0)
		return sk_err_set(
			err, -EPERM, "downgrade",
			"version %s is older than the newest good one here, %s; going back "
			"takes a release signed with allow-downgrade",
			m->version, facts->version);
	return 0;
}

static int check_expiry(const struct sk_manifest *m, const struct sk_device_facts *facts,
			struct sk_err *err)
{
	char date[32];

	if (m->expires_s == 0 || facts->now_s == 0 || facts->now_s < m->expires_s)
		return 0;
	return sk_err_set(err, -EPERM, "expired",
			  "release %s %s expired at %s; build and sign it again with a later date",
			  m->project, m->version, sk_time_format(date, m->expires_s));
}

int sk_release_suits(const struct sk_manifest *m, const struct sk_device_facts *facts,
		     struct sk_err *err)
{
	int r;

	if (sk_manifest_pinned(m, err) < 0)
		return -EPERM;
	r = check_device(m, facts, err);
	if (r < 0)
		return r;
	r = check_version(m, facts, err);
	if (r < 0)
		return r;
	r = check_expiry(m, facts, err);
	if (r < 0)
		return r;
	if (m->system && !facts->has_os_slots)
		return sk_err_set(
			err, -EPERM, "not-supported",
			"release %s %s brings an operating system (%s) and this device has "
			"no slots for one",
			m->project, m->version, m->system->name);
	return 0;
}
