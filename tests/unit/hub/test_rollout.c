/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "hub/db/deployments.h"
#include "hub/db/devices.h"
#include "hub/db/images.h"
#include "hub/db/jobs.h"
#include "hub/db/orgs.h"
#include "hub/db/projects.h"
#include "hub/db/releases.h"
#include "hub/db/sqlite/sqlite.h"
#include "hub/domain/rollout.h"
#include "hub/domain/seen.h"
#include "temp.h"

/* What sends a release on its way: which devices get a job, and when none may. */
static struct sk_err err;

#define RELEASE "1111111111111111111111111111111111111111111111111111111111111111"
#define IMAGE	"2222222222222222222222222222222222222222222222222222222222222222"

struct world {
	struct temp temp;
	struct sk_db *db;
	struct sk_conn *c;
	int64_t org, project;
	struct sk_deployment deployment;
	struct sk_release_row release;
	struct sk_device device;
};

static void add_release(struct world *w)
{
	int64_t id, image;

	assert_int_equal(w->c->releases->add(w->c,
					     &(struct sk_release_new){ .org = w->org,
								       .project = w->project,
								       .digest = RELEASE,
								       .version = "1.0",
								       .file_digest = IMAGE,
								       .file_size = 1,
								       .created_by = "alice",
								       .compatible = "[]",
								       .graph = "{}" },
					     &id, &err),
			 0);
	assert_int_equal(w->c->images->ensure(w->c, w->org, IMAGE, 10, &image, &err), 0);
	assert_int_equal(w->c->releases->add_image(w->c, id, image, "app", &err), 0);
	assert_int_equal(w->c->releases->get(w->c, w->org, id, &w->release, &err), 1);
}

static void add_device(struct world *w)
{
	int64_t id;

	assert_int_equal(w->c->devices->add(w->c,
					    &(struct sk_device_new){ .org = w->org,
								     .uid = "u",
								     .name = "n",
								     .public_key = "k",
								     .compatible = "[]",
								     .peer = "p" },
					    &id, &err),
			 0);
	assert_int_equal(w->c->devices->get(w->c, w->org, id, &w->device, &err), 1);
	assert_int_equal(
		w->c->devices->set_status(w->c, &w->device, "accepted", w->deployment.id, &err), 0);
	assert_int_equal(w->c->devices->get(w->c, w->org, id, &w->device, &err), 1);
}

static void start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	temp_make(&w->temp);
	assert_int_equal(sk_sqlite_open(temp_path(&w->temp, "db"), &w->db, &err), 0);
	assert_int_equal(sk_db_begin(w->db, &w->c, &err), 0);
	assert_int_equal(w->c->orgs->add(w->c, "acme", &w->org, &err), 0);
	assert_int_equal(w->c->projects->add(w->c, w->org, "boat", &err), 0);
	assert_int_equal(w->c->projects->find(w->c, w->org, "boat", &w->project, &err), 1);
	assert_int_equal(w->c->deployments->add(w->c, w->org, w->project, "fleet", &err), 0);
	assert_int_equal(
		w->c->deployments->find(w->c, w->org, "boat", "fleet", &w->deployment, &err), 1);
	add_release(w);
	add_device(w);
}

static void stop(struct world *w)
{
	if (w->c)
		sk_db_rollback(w->c);
	sk_db_close(w->db);
	temp_done(&w->temp);
}
#define _cleanup_world_ _cleanup_(stop)

static void image_is_here(struct world *w)
{
	assert_int_equal(w->c->images->set_complete(w->c, w->org, IMAGE, true, &err), 0);
}

static int64_t open_jobs(struct world *w)
{
	int64_t n = -1;

	assert_int_equal(w->c->jobs->count_open(w->c, w->device.id, &n, &err), 0);
	return n;
}

static int attach(struct world *w)
{
	return sk_rollout_attach(w->c, &w->deployment, &w->release, false, "alice", &err);
}

static void nothing_leaves_before_all_images_are_here(void **state)
{
	_cleanup_world_ struct world w;
	int64_t job;

	start(&w);
	assert_int_equal(attach(&w), -EBUSY);
	assert_string_equal(err.slug, "bad-state");
	assert_int_equal(sk_rollout_one(w.c, &w.device, &w.release, "alice", &job, &err), -EBUSY);
	assert_int_equal(open_jobs(&w), 0);
	image_is_here(&w);
	assert_int_equal(attach(&w), 1);
	assert_int_equal(open_jobs(&w), 1);
	assert_true(w.deployment.release == w.release.id);
}

static void of_its_own_project_only(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	image_is_here(&w);
	w.deployment.project++;
	assert_int_equal(attach(&w), -EINVAL);
	assert_string_equal(err.slug, "bad-value");
	assert_int_equal(open_jobs(&w), 0);
}

static void an_aborted_one_ends_its_jobs(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	image_is_here(&w);
	assert_int_equal(attach(&w), 1);
	assert_int_equal(sk_rollout_detach(w.c, &w.deployment, "alice", &err), 1);
	assert_int_equal(open_jobs(&w), 0);
	assert_int_equal(w.deployment.release, 0);
	assert_int_equal(sk_rollout_join(w.c, &w.device, &w.deployment, "alice", &err), 0);
}

static void one_device_gets_one_job(void **state)
{
	_cleanup_world_ struct world w;
	int64_t job = 0;

	start(&w);
	image_is_here(&w);
	assert_int_equal(sk_rollout_one(w.c, &w.device, &w.release, "alice", &job, &err), 0);
	assert_true(job > 0);
	assert_int_equal(open_jobs(&w), 1);
}

static void who_joins_gets_what_the_others_have(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	image_is_here(&w);
	assert_int_equal(w.c->deployments->attach(w.c, &w.deployment, w.release.id, &err), 0);
	assert_int_equal(open_jobs(&w), 0);
	assert_int_equal(sk_rollout_join(w.c, &w.device, &w.deployment, "alice", &err), 1);
	assert_int_equal(open_jobs(&w), 1);
}

static void who_has_it_already_gets_no_job(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	image_is_here(&w);
	assert_int_equal(w.c->deployments->attach(w.c, &w.deployment, w.release.id, &err), 0);
	(void)snprintf(w.device.release, sizeof(w.device.release), "%s", RELEASE);
	assert_int_equal(sk_rollout_join(w.c, &w.device, &w.deployment, "alice", &err), 0);
	assert_int_equal(open_jobs(&w), 0);
}

static void when_a_device_was_seen_is_on_record(void **state)
{
	_cleanup_(sk_seen_freep) struct sk_seen *seen = sk_seen_new();
	_cleanup_world_ struct world w;
	json_t *shown = NULL;
	struct sk_conn *c;

	start(&w);
	assert_int_equal(sk_db_commit(w.c, &err), 0);
	w.c = NULL;
	sk_seen_mark(seen, w.device.id, 1801357323);
	assert_int_equal(sk_seen_flush(seen, w.db, &err), 1);
	assert_int_equal(sk_db_read(w.db, &c, &err), 0);
	assert_true(c->devices->show(c, w.org, w.device.id, &shown, &err) >= 0);
	assert_true(json_integer_value(json_object_get(shown, "last_seen_s")) == 1801357323);
	json_decref(shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_leaves_before_all_images_are_here),
		cmocka_unit_test(of_its_own_project_only),
		cmocka_unit_test(an_aborted_one_ends_its_jobs),
		cmocka_unit_test(one_device_gets_one_job),
		cmocka_unit_test(who_joins_gets_what_the_others_have),
		cmocka_unit_test(who_has_it_already_gets_no_job),
		cmocka_unit_test(when_a_device_was_seen_is_on_record),
	};

	return cmocka_run_group_tests_name("hub/rollout", tests, NULL, NULL);
}
