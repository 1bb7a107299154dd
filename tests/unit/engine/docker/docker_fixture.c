/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "docker_fixture.h"

struct sk_daemon the_daemon;

/* Removing images: not asked for here. */
void sk_claims_collect(struct sk_claims *c)
{
}

int docker_setup(void **state)
{
	int r = setup(state);
	struct world *w = *state;

	the_daemon = (struct sk_daemon){ .event = w->event, .store = w->store, .engine = w->e };
	assert_int_equal(sk_names_open(w->store, &the_daemon.names, NULL), 0);
	return r;
}

int docker_teardown(void **state)
{
	sk_names_free(the_daemon.names);
	return teardown(state);
}

unsigned docker_ask(struct sk_http_req *req, const struct sk_http_route *table, const char *method,
		    const char *pattern, const char *id, const char *const *query)
{
	static const char *params[] = { "id", NULL, NULL };
	bool dying = req->dying;

	params[1] = id;
	*req = (struct sk_http_req){ .params = params, .query = query, .dying = dying };
	return fake_call(req, fake_route(table, method, pattern), &the_daemon);
}

struct sk_capsule *docker_running(struct world *w, const char *name)
{
	struct sk_capsule *c = make(w, name, (struct sk_app){ 0 });

	assert_int_equal(sk_capsule_start(c, NULL, NULL, NULL), 0);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	return c;
}
