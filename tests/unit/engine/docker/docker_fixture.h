/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/docker/docker.h"
#include "engine_world.h"
#include "fake_http.h"

/* The Docker API over the engine with a runtime that only pretends, without sockets. */

extern struct sk_daemon the_daemon;

/** As setup() and teardown() of engine_world.h, with the_daemon around it. */
int docker_setup(void **state);
int docker_teardown(void **state);

/** One request about "{id}"; 0: it is answered later. */
unsigned docker_ask(struct sk_http_req *req, const struct sk_http_route *table, const char *method,
		    const char *pattern, const char *id, const char *const *query);
/** A capsule that runs. */
struct sk_capsule *docker_running(struct world *w, const char *name);

#define DOCKER_TEST(f) cmocka_unit_test_setup_teardown(f, docker_setup, docker_teardown)
