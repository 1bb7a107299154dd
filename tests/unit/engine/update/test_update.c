/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "world.h"

/* The way from one generation to the next, and back; power goes after every step of the loop. */

static const struct spec one = { "1.0", { "d1", "w1", "j1" } };
static const struct spec two = { "2.0", { "d1", "w2", "j1" } };

static void first_release(void **state)
{
	assert_string_equal(w.u->progress.step, "idle");
	go(&one);
	expect_running(&one);
	assert_string_equal(w.u->progress.step, "good");
	assert_int_equal(sk_generations_good(w.u->gens)->number, 1);
	assert_string_equal(fake_trace.data,
			    "create db;prepare db;create web;prepare web;create job;prepare job;"
			    "start db;start job;start web;");
}

static void those_that_fail_hold_their_dependants(void **state)
{
	static const char side_by_side[] = "start db;start job;";
	const char *at;

	go(&one);
	sk_buf_drop(&fake_trace, fake_trace.len);
	fake_fail_start = "db";
	go(&(struct spec){ "3.0", { "d3", "w3", "j3" } });
	/* The job does not wait for the db, the web page does, and then there is nothing to wait for. */
	at = strstr(fake_trace.data, side_by_side);
	assert_non_null(at);
	at += strlen(side_by_side);
	assert_int_not_equal(strncmp(at, "start web", strlen("start web")), 0);
	/* On the way back all that can be started is. */
	assert_non_null(strstr(at, "start db;start job;start web;"));
	assert_string_equal(w.u->progress.step, "bad");
	fake_fail_start = NULL;
}

static void unchanged_capsules_are_not_touched(void **state)
{
	const char *before, *after, *web_before, *web_after;

	go(&one);
	assert_int_equal(fake_running("db", &before), 1);
	assert_int_equal(fake_running("web", &web_before), 1);
	sk_buf_drop(&fake_trace, fake_trace.len);
	go(&two);
	expect_running(&two);
	assert_int_equal(fake_running("db", &after), 1);
	assert_ptr_equal(before, after);
	assert_int_equal(fake_running("web", &web_after), 1);
	assert_ptr_not_equal(web_before, web_after);
	/* The new one is ready before the old one stops: only stop and start are felt. */
	assert_string_equal(fake_trace.data,
			    "create web;prepare web;stop web;start web;remove web;");
}

static void an_engine_with_one_capsule_per_name_does_too(void **state)
{
	fake_unique_names = true;
	go(&one);
	go(&two);
	expect_running(&two);
	fake_fail_start = "web";
	go(&(struct spec){ "3.0", { "d3", "w3", "j1" } });
	fake_fail_start = NULL;
	assert_string_equal(w.u->progress.step, "bad");
}

static void stops_in_reverse_order(void **state)
{
	go(&one);
	go(&two); /* web is younger now than job */
	sk_buf_drop(&fake_trace, fake_trace.len);
	go(&(struct spec){ "3.0", { NULL, NULL, NULL } });
	assert_int_equal(fake_count(), 0);
	assert_non_null(strstr(fake_trace.data, "stop job;stop web;stop db;"));
}

static void goes_back_when_a_start_fails(void **state)
{
	const char *before, *after;

	go(&one);
	assert_int_equal(fake_running("db", &before), 1);
	fake_fail_start = "job";
	go(&(struct spec){ "2.0", { "d1", "w2", "j2" } });
	/* It fails on the way back too, as the old job cannot start either: tried again later, and less and less often. */
	for (uint64_t wait_ms = SK_UPDATE_REPAIR_MIN_MS; wait_ms < SK_UPDATE_REPAIR_MAX_MS;) {
		wait_ms = SK_MIN(wait_ms * 2, SK_UPDATE_REPAIR_MAX_MS);
		assert_non_null(w.u->repair);
		assert_int_equal(w.u->repair_ms, wait_ms);
		sk_update_reconcile(w.u);
		run_until_idle();
	}
	assert_non_null(w.u->repair);
	fake_fail_start = NULL;
	sk_update_reconcile(w.u);
	run_until_idle();
	expect_running(&one);
	assert_int_equal(fake_running("db", &after), 1);
	assert_ptr_equal(before, after);
	assert_string_equal(w.u->progress.step, "bad");
	assert_int_equal(w.u->progress.generation, 2);
	assert_string_equal(w.u->progress.reason, "cannot start capsule job: no such program");
	assert_null(w.u->repair);
	assert_int_equal(w.u->repair_ms, SK_UPDATE_REPAIR_MIN_MS);
}

static void goes_back_when_unhealthy(void **state)
{
	go(&one);
	fake_sick = "web";
	apply(&two);
	while (!sk_upd_is_back(sk_machine_state(w.u->machine)))
		assert_true(sd_event_run(w.event, 1000000) >= 0);
	fake_sick = NULL;
	run_until_idle();
	expect_running(&one);
	assert_string_equal(w.u->progress.reason, "capsule web is unhealthy: HTTP 500");
	assert_int_equal(sk_generations_get(w.u->gens, 2)->state, SK_GEN_BAD);
	/* The next one gets a number of its own, and works. */
	go(&(struct spec){ "2.1", { "d1", "w3", "j1" } });
	assert_string_equal(w.u->progress.step, "good");
	assert_int_equal(w.u->progress.generation, 3);
}

static void goes_back_when_it_dies(void **state)
{
	go(&one);
	fake_dies = "web";
	apply(&two);
	while (!sk_upd_is_back(sk_machine_state(w.u->machine)))
		assert_true(sd_event_run(w.event, 1000000) >= 0);
	fake_dies = NULL;
	run_until_idle();
	expect_running(&one);
	assert_string_equal(w.u->progress.reason, "capsule web ended with exit code 3");
}

static void a_bad_first_release_leaves_nothing_running(void **state)
{
	fake_fail_start = "web";
	go(&one);
	fake_fail_start = NULL;
	assert_int_equal(fake_count(), 0);
	assert_null(sk_generations_running(w.u->gens));
	assert_string_equal(w.u->progress.step, "bad");
}

static void same_release_again_changes_nothing(void **state)
{
	go(&one);
	sk_buf_drop(&fake_trace, fake_trace.len);
	assert_int_equal(apply(&one), 1);
	run_until_idle();
	assert_int_equal(fake_trace.len, 0);
}

enum how { DAEMON_ENDS, POWER_GOES, SHUT_DOWN };

static void ended(void *arg, const struct sk_err *err)
{
}

static void drain(void)
{
	while (sd_event_run(w.event, 0) > 0)
		;
}

/* As the machine goes down, all capsules are stopped under the eyes of what judges them. */
static void shut_down(void)
{
	struct sk_capsule *c;

	sk_update_halt(w.u);
	drain();
	for (size_t pos = 0; (c = sk_engine_next(w.engine, &pos));)
		(void)sk_capsule_end(c, ended, NULL, NULL);
	drain();
	power_cut();
}

/* After every step of the loop, on the way to @to and on from there. */
static void interrupted(const struct spec *to, bool sick, enum how how)
{
	for (int at = 0, ended = 0; !ended; at++) {
		const struct spec *now;
		int steps = 0;

		go(&one);
		fake_sick = sick ? "web" : NULL;
		apply(to);
		for (; steps < at && !is_idle(); steps++) {
			assert_true(sd_event_run(w.event, 1000000) >= 0);
			if (sick && sk_upd_is_back(sk_machine_state(w.u->machine)))
				fake_sick = NULL;
		}
		ended = is_idle();
		if (how == POWER_GOES)
			power_cut();
		else if (how == SHUT_DOWN)
			shut_down();
		else {
			halt();
			boot();
		}
		for (int i = 0; !is_idle(); i++) {
			assert_true(i < 10000);
			assert_true(sd_event_run(w.event, 1000000) >= 0);
			if (sick && sk_upd_is_back(sk_machine_state(w.u->machine)))
				fake_sick = NULL;
		}
		now = sick ? &one : to;
		expect_running(now);
		assert_string_equal(w.u->progress.step, sick ? "bad" : "good");
		teardown(NULL);
		setup(NULL);
	}
}

static void daemon_ends_at_every_step(void **state)
{
	interrupted(&two, false, DAEMON_ENDS);
}

static void daemon_ends_at_every_step_of_a_bad_one(void **state)
{
	interrupted(&two, true, DAEMON_ENDS);
}

static void power_goes_at_every_step(void **state)
{
	interrupted(&two, false, POWER_GOES);
}

static void power_goes_at_every_step_of_a_bad_one(void **state)
{
	interrupted(&two, true, POWER_GOES);
}

/* That capsules end then is not held against the release that is being tried. */
static void shut_down_at_every_step(void **state)
{
	interrupted(&two, false, SHUT_DOWN);
}

static void shut_down_at_every_step_of_a_bad_one(void **state)
{
	interrupted(&two, true, SHUT_DOWN);
}

static void nothing_is_applied_on_the_way_down(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;
	uint64_t generation;

	go(&one);
	assert_int_equal(intake(&two, &id, NULL), 0);
	sk_update_halt(w.u);
	assert_true(sk_update_apply(w.u, &id, &generation, &err) < 0);
	assert_string_equal(err.slug, "bad-state");
	power_cut();
	run_until_idle();
	expect_running(&one);
}

static void boots_are_counted(void **state)
{
	go(&one);
	apply(&(struct spec){ "2.0", { "d1", "w2", "j1" }, "boot-attempts = <2>;" });
	power_cut();
	assert_int_equal(sk_machine_state(w.u->machine), SK_UPD_STAGING);
	power_cut();
	power_cut();
	run_until_idle();
	expect_running(&one);
	assert_string_equal(w.u->progress.step, "bad");
}

static void ephemeral_ends_with_the_boot(void **state)
{
	const struct spec eph = { "2.0", { "d1", "w2", "j1" }, .root = " " };

	go(&one);
	go(&eph);
	expect_running(&eph);
	halt();
	boot();
	run_until_idle();
	expect_running(&eph);
	power_cut();
	run_until_idle();
	expect_running(&one);
}

static void refusals(void **state)
{
	static const struct {
		struct spec spec;
		const char *slug;
	} bad[] = {
		{ { "3.0", { "d1" }, .stranger = true }, "untrusted" },
		{ { "0.9", { "d1" } }, "downgrade" },
		{ { "3.0", { "d1" }, .type = "other,box" }, "wrong-device" },
	};
	struct sk_digest id;

	go(&one);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sk_err err = SK_ERR_INIT;

		assert_true(intake(&bad[i].spec, &id, &err) < 0);
		assert_string_equal(err.slug, bad[i].slug);
		assert_int_equal(sk_strv_len(sk_intake_kept(w.intake)), 0);
	}
	assert_int_equal(intake(&(struct spec){ "0.9", { "d1" }, "allow-downgrade;" }, &id, NULL),
			 0);
	expect_running(&one);
}

/* What was right when the release came may not be so any more when it is applied. */
static void checked_again_when_applied(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest old, next;
	uint64_t number;
	X509_CRL *crl;
	size_t len;
	char *pem;

	go(&one);
	assert_int_equal(intake(&two, &old, NULL), 0);
	go(&(struct spec){ "3.0", { "d1", "w3", "j1" } });
	assert_int_equal(sk_update_apply(w.u, &old, &number, &err), -EPERM);
	assert_string_equal(err.slug, "downgrade");
	assert_int_equal(intake(&(struct spec){ "4.0", { "d1", "w4", "j1" } }, &next, NULL), 0);
	crl = pki_crl(&(struct pki_crl_spec){
		.issuer = &w.ca, .number = 1, .revoked = { w.signer.cert } });
	pem = pki_pem_crl(crl, &len);
	assert_int_equal(sk_trust_update_crl(sk_verifier_trust(w.verifier), pem, len, &err), 0);
	free(pem);
	X509_CRL_free(crl);
	assert_int_equal(sk_update_apply(w.u, &next, &number, &err), -EKEYREJECTED);
	assert_string_equal(err.slug, "revoked");
	assert_int_equal(sk_machine_state(w.u->machine), SK_UPD_IDLE);
	/* What runs was right when it came, and goes on over a restart. */
	power_cut();
	run_until_idle();
	assert_string_equal(sk_generations_running(w.u->gens)->version, "3.0");
	assert_int_equal(fake_count(), 3);
}

/* An ephemeral release raises no floor, and is no way below one. */
static void ephemeral_and_the_floor(void **state)
{
	struct spec eph = { "5.0", { "d1", "w5", "j1" }, .root = " " };
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;

	go(&two);
	go(&eph);
	assert_string_equal(w.u->progress.step, "good");
	power_cut();
	run_until_idle();
	expect_running(&two);
	/* Sent once more it is tried once more, as a new generation, and for one boot again. */
	go(&eph);
	expect_running(&eph);
	power_cut();
	run_until_idle();
	expect_running(&two);
	eph.version = "1.0";
	assert_int_equal(intake(&eph, &id, &err), -EPERM);
	assert_string_equal(err.slug, "downgrade");
	/* Over a lasting one above it, it is a step back like any other. */
	eph.version = "5.0";
	assert_int_equal(intake(&eph, &id, &err), 0);
	go(&(struct spec){ "6.0", { "d1", "w6", "j1" } });
	assert_int_equal(sk_update_apply(w.u, &id, &(uint64_t){ 0 }, &err), -EPERM);
	assert_string_equal(err.slug, "downgrade");
}

/* It proved healthy, but that cannot be written down: the next start would not know. So it is not good. */
static void good_that_cannot_be_recorded(void **state)
{
	w.mount = faulty_disk;
	power_cut();
	run_until_idle();
	go(&one);
	(void)apply(&two);
	while (sk_machine_state(w.u->machine) != SK_UPD_SETTLING)
		assert_true(sd_event_run(w.event, 1000000) >= 0);
	disk_plan = (struct fault_plan){ .code = -EIO, .stay = true, .writes_only = true };
	run_until_idle();
	expect_running(&one);
	assert_int_equal(sk_generations_get(w.u->gens, 2)->state, SK_GEN_BAD);
	assert_string_equal(w.u->progress.reason, "cannot record that it is good");
	disk_plan = (struct fault_plan){ .fail_at = ~0u };
	w.mount = NULL;
}

static void needs_all_images(void **state)
{
	const struct spec absent = { "1.0", { "d1", "w1" }, .no_images = true };
	struct sk_err err = SK_ERR_INIT;
	struct sk_image_ref image;
	struct sk_digest id, stranger = { { 7 } };
	uint64_t number, size = 0;

	assert_int_equal(intake(&absent, &id, NULL), 0);
	assert_int_equal(sk_update_apply(w.u, &id, &number, &err), -EBUSY);
	assert_non_null(strstr(err.text, "2 of the 2 images"));
	image = make_image("web.itb", "w1", false);
	assert_int_equal(sk_intake_expected(w.intake, &image.digest, &size, NULL), 0);
	assert_int_equal(size, image.size_bytes);
	/* A stranger's image finds no room here. */
	assert_int_equal(sk_intake_expected(w.intake, &stranger, &size, &err), -ENOENT);
	assert_int_equal(sk_update_apply(w.u, &stranger, &number, &err), -ENOENT);
}

static void unapplied_releases_are_bounded(void **state)
{
	struct sk_digest id;
	char version[16];

	go(&one);
	for (int i = 0; i < 10; i++) {
		(void)snprintf(version, sizeof(version), "2.%d", i);
		assert_int_equal(intake(&(struct spec){ version, { "d1" } }, &id, NULL), 0);
	}
	assert_int_equal(releases_here(), 1 + SK_INTAKE_RELEASES_MAX);
	/* They are remembered over a restart, and the newest can be applied. */
	halt();
	boot();
	run_until_idle();
	assert_int_equal(sk_strv_len(sk_intake_kept(w.intake)), SK_INTAKE_RELEASES_MAX);
	assert_int_equal(sk_update_apply(w.u, &id, &(uint64_t){ 0 }, NULL), 0);
	run_until_idle();
	assert_string_equal(w.u->progress.version, "2.9");
}

static void old_images_are_collected(void **state)
{
	char version[16], salt[16];
	struct sk_image_ref first = make_image("db.itb", "s0", false), last;

	for (int i = 0; i < 5; i++) {
		(void)snprintf(version, sizeof(version), "1.%d", i);
		(void)snprintf(salt, sizeof(salt), "s%d", i);
		go(&(struct spec){ version, { salt } });
		assert_string_equal(w.u->progress.step, "good");
	}
	last = make_image("db.itb", "s4", false);
	assert_false(sk_store_has(w.store, &first.digest));
	assert_true(sk_store_has(w.store, &last.digest));
	first = make_image("db.itb", "s3", false); /* the last good one before */
	assert_true(sk_store_has(w.store, &first.digest));
}

static void lost_image_is_missed_and_fetched(void **state)
{
	struct sk_image_ref web;

	go(&one);
	web = make_image("web.itb", "w1", false);
	assert_int_equal(sk_store_remove(w.store, &web.digest, NULL), 0);
	power_cut();
	run_until_idle();
	/* It was made before, and its record stays; the others run in any case. */
	assert_int_equal(fake_running("db", NULL), 1);
	(void)make_image("web.itb", "w1", true);
	sk_update_reconcile(w.u);
	run_until_idle();
	expect_running(&one);
}

static void without_trust_it_runs_what_it_has(void **state)
{
	_cleanup_free_ char *ca = sk_asprintf("%s/ca.pem", w.trust);
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;

	go(&one);
	assert_int_equal(unlink(ca), 0);
	power_cut();
	run_until_idle();
	expect_running(&one);
	assert_true(intake(&two, &id, &err) < 0);
}

/*
 * Roots are changed while the daemon runs, in the steps of docs/howto/keys.md, by replacing ca.pem or writing into
 * it; half a file, or none, means that nothing is taken in until it is whole.
 */
static void roots_are_changed(void **state)
{
	struct pki_who root = pki_make(&(struct pki_spec){ .name = "next root", .ca = true });
	struct pki_who next = pki_make(&(struct pki_spec){ .name = "next", .issuer = &root });
	struct pki_who first = w.signer;
	_cleanup_free_ char *ca = sk_asprintf("%s/ca.pem", w.trust);
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id, kept;
	uint64_t number;

	go(&one);
	w.signer = next;
	assert_int_equal(intake(&two, &id, &err), -EKEYREJECTED);
	assert_string_equal(err.slug, "untrusted");
	pki_write_roots(w.trust, (const struct pki_who *const[]){ &w.ca, &root, NULL });
	go(&two);
	expect_running(&two);
	w.signer = first;
	assert_int_equal(intake(&(struct spec){ "3.0", { "d1", "w3", "j1" } }, &kept, &err), 0);
	/* The old root goes: also what was kept of it is not applied any more, and what runs goes on. */
	pki_write_roots(w.trust, (const struct pki_who *const[]){ &root, NULL });
	assert_int_equal(sk_update_apply(w.u, &kept, &number, &err), -EKEYREJECTED);
	assert_int_equal(intake(&(struct spec){ "4.0", { "d4" } }, &id, &err), -EKEYREJECTED);
	w.signer = next;
	assert_int_equal(truncate(ca, 100), 0);
	assert_true(intake(&(struct spec){ "4.0", { "d4" } }, &id, &err) < 0);
	assert_string_equal(err.slug, "bad-value");
	assert_int_equal(unlink(ca), 0);
	assert_true(intake(&(struct spec){ "4.0", { "d4" } }, &id, &err) < 0);
	assert_string_equal(err.slug, "not-found");
	expect_running(&two);
	pki_write_roots(w.trust, (const struct pki_who *const[]){ &root, NULL });
	go(&(struct spec){ "4.0", { "d4" } });
	w.signer = first;
	pki_free(&next);
	pki_free(&root);
}

static void damage(const struct sk_digest *id)
{
	_cleanup_free_ char *path = release_path(id);

	assert_int_equal(sk_file_write(AT_FDCWD, path, "rot", 3, 0600), 0);
}

/* The release file of the newest good one is damaged: the one before runs until it is whole again. */
static void damaged_release_is_passed_over(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_image_ref junk;
	struct sk_digest id;

	go(&one);
	go(&two);
	id = sk_generations_running(w.u->gens)->release;
	damage(&id);
	power_cut();
	run_until_idle();
	expect_running(&one);
	/* Nothing older than what was good may come all the same. */
	assert_int_equal(intake(&(struct spec){ "1.5", { "d1" } }, &id, &err), -EPERM);
	assert_string_equal(err.slug, "downgrade");
	assert_int_equal(intake(&two, &id, &err), 0);
	run_until_idle();
	expect_running(&two);
	assert_string_equal(w.u->progress.step, "good");
	/* A clean-up goes on meanwhile, and does not take what runs. */
	damage(&id);
	power_cut();
	run_until_idle();
	junk = make_image("tool.itb", "t", true);
	sk_claims_collect(w.claims);
	assert_false(sk_store_has(w.store, &junk.digest));
	power_cut();
	run_until_idle();
	expect_running(&one);
	go(&(struct spec){ "3.0", { "d1", "w3", "j1" } });
	assert_string_equal(w.u->progress.step, "good");
}

/* A whole, well signed release under the name of another one is not that one. */
static void another_release_under_its_name(void **state)
{
	_cleanup_free_ char *mine = NULL, *other = NULL;
	struct sk_digest id, kept;
	struct sk_err err = SK_ERR_INIT;
	uint64_t number;

	go(&one);
	mine = release_path(&sk_generations_running(w.u->gens)->release);
	go(&two);
	id = sk_generations_running(w.u->gens)->release;
	assert_int_equal(intake(&(struct spec){ "3.0", { "d1" } }, &kept, NULL), 0);
	other = release_path(&kept);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(link(mine, other), 0);
	assert_int_equal(sk_update_apply(w.u, &kept, &number, &err), -EBADMSG);
	assert_string_equal(err.slug, "damaged");
	free(TAKE_PTR(mine));
	mine = release_path(&id);
	assert_int_equal(unlink(other), 0);
	assert_int_equal(link(mine, other), 0);
	assert_int_equal(sk_update_apply(w.u, &kept, &number, &err), -EBADMSG);
	assert_string_equal(err.slug, "damaged");
	free(TAKE_PTR(other));
	other = release_path(&sk_generations_get(w.u->gens, 1)->release);
	assert_int_equal(unlink(mine), 0);
	assert_int_equal(link(other, mine), 0);
	power_cut();
	run_until_idle();
	expect_running(&one);
	assert_int_equal(sk_generations_running(w.u->gens)->number, 1);
	assert_true(sk_generations_is_parked(w.u->gens, 2));
}

/* All of them are damaged: what runs is left alone, no image goes, and one that is sent again runs. */
static void no_release_can_be_read(void **state)
{
	struct sk_image_ref web;
	struct sk_digest id;

	go(&one);
	id = sk_generations_running(w.u->gens)->release;
	web = make_image("web.itb", "w1", false);
	damage(&id);
	halt();
	boot();
	run_until_idle();
	assert_int_equal(fake_count(), 3);
	assert_int_equal(fake_running("web", NULL), 1);
	assert_null(sk_generations_running(w.u->gens));
	fake_reset();
	sk_claims_collect(w.claims);
	assert_true(sk_store_has(w.store, &web.digest));
	assert_int_equal(intake(&one, &id, NULL), 0);
	run_until_idle();
	expect_running(&one);
}

/* The one being tried cannot be read: it is bad, and the good one runs. */
static void damaged_release_being_tried(void **state)
{
	struct sk_digest id;

	go(&one);
	apply(&two);
	id = sk_generations_running(w.u->gens)->release;
	damage(&id);
	power_cut();
	run_until_idle();
	expect_running(&one);
	assert_int_equal(sk_generations_get(w.u->gens, 2)->state, SK_GEN_BAD);
	assert_string_equal(w.u->progress.step, "bad");
}

/* A good one that cannot be read is no reason to end the attempt of another one. */
static void damaged_good_release_while_another_is_tried(void **state)
{
	struct sk_digest id;

	go(&one);
	id = sk_generations_running(w.u->gens)->release;
	apply(&(struct spec){ "2.0", { "d1", "w2", "j1" }, "boot-attempts = <5>;" });
	damage(&id);
	power_cut();
	run_until_idle();
	expect_running(&two);
	assert_string_equal(w.u->progress.step, "good");
}

/* It is on record as being tried, so it must be tried, whatever else cannot be written down. */
static void record_of_kept_releases_fails(void **state)
{
	_cleanup_free_ char *tmp = sk_asprintf("%s/records/.tmp-kept-releases", w.store_dir);
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;
	uint64_t generation;

	go(&one);
	assert_int_equal(intake(&two, &id, NULL), 0);
	assert_int_equal(mkdir(tmp, 0700), 0);
	assert_int_equal(sk_update_apply(w.u, &id, &generation, &err), 0);
	run_until_idle();
	expect_running(&two);
	assert_string_equal(w.u->progress.step, "good");
	assert_int_equal(rmdir(tmp), 0);
}

static bool any_is_tried(void)
{
	size_t n;
	const struct sk_generation *all = sk_generations_all(w.u->gens, &n);

	for (size_t i = 0; i < n; i++)
		if (all[i].state == SK_GEN_TRYING)
			return true;
	return false;
}

/* An apply that is refused has changed nothing that runs, and nothing that the next start would find. */
static void assert_not_applied(const struct spec *old)
{
	assert_int_equal(sk_machine_state(w.u->machine), SK_UPD_IDLE);
	assert_false(any_is_tried());
	assert_string_equal(w.u->target->manifest->version, old->version);
	expect_running(old);
	halt();
	boot();
	assert_false(any_is_tried());
	run_until_idle();
	expect_running(old);
}

/* Each write of an apply fails in turn: it is applied and comes to run, or it is refused and nothing happened. */
static void an_apply_that_cannot_be_recorded(void **state)
{
	const struct spec old = { "1.0", { "d1" } };
	unsigned refused = 0;
	bool done = false;

	w.mount = faulty_disk;
	power_cut();
	run_until_idle();
	go(&old);
	for (unsigned i = 0; !done; i++) {
		const struct spec next = { "2.0", { "d2" } };
		struct sk_err err = SK_ERR_INIT;
		struct sk_digest id;
		uint64_t number;
		int r;

		assert_int_equal(intake(&next, &id, &err), 0);
		disk_plan = (struct fault_plan){ .fail_at = i, .code = -EIO, .read_only = true };
		r = sk_update_apply(w.u, &id, &number, &err);
		done = r == 0;
		disk_plan = (struct fault_plan){ .fail_at = ~0u };
		if (r == 0) {
			assert_true(any_is_tried());
			run_until_idle();
			expect_running(&next);
		} else {
			refused++;
			assert_not_applied(&old);
		}
		assert_true(i < 100);
	}
	assert_true(refused > 2);
	w.mount = NULL;
}

static bool capsules_active(const struct sk_part_target *to)
{
	return sk_capsule_part_ops.is_active(w.u->capsules, to);
}

/* Not before the target was looked at, not without one of its capsules, not beside one that does not belong. */
static void capsules_are_active(void **state)
{
	const struct sk_capsule_plan *plan = sk_capsule_part_plan(w.u->capsules);
	struct sk_part_target other;
	struct sk_capsule *c;

	go(&one);
	apply(&two);
	UNTIL(sk_machine_state(w.u->machine) == SK_UPD_SETTLING);
	assert_true(capsules_active(&plan->target));
	other = plan->target;
	other.generation++;
	assert_false(capsules_active(&other));
	assert_int_equal(sk_strv_len(plan->surplus), 1);
	c = sk_engine_find(w.engine, plan->surplus[0], NULL);
	fake_set_state(c, SK_CAPSULE_RUNNING);
	assert_false(capsules_active(&plan->target));
	fake_set_state(c, SK_CAPSULE_EXITED);
	assert_true(capsules_active(&plan->target));
	fake_forget(sk_engine_find(w.engine, plan->desired[0].id, NULL));
	assert_false(capsules_active(&plan->target));
}

/* A second part, as the OS will be: what was asked of it stands in fake_trace between the capsules' own. */

static bool second_fails;

static int second_stage(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	(void)sk_buf_adds(&fake_trace, "stage second;");
	return SK_PART_DONE;
}

static int second_activate(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	(void)sk_buf_adds(&fake_trace, "activate second;");
	return second_fails ? sk_err_set(err, -EIO, "io", "the second part is broken")
			    : SK_PART_DONE;
}

static bool second_is_active(void *part, const struct sk_part_target *to)
{
	return true;
}

static int second_confirm(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	(void)sk_buf_adds(&fake_trace, "confirm second;");
	return SK_PART_DONE;
}

static int second_revert(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	(void)sk_buf_adds(&fake_trace, "revert second;");
	return SK_PART_DONE;
}

static const struct sk_part_ops second_part = {
	.name = "second",
	.stage = second_stage,
	.activate = second_activate,
	.is_active = second_is_active,
	.confirm = second_confirm,
	.revert = second_revert,
};

static void with_a_second_part(void)
{
	halt();
	w.second_part = &second_part;
	boot();
	run_until_idle();
	sk_buf_drop(&fake_trace, fake_trace.len);
}

static void a_second_part_goes_with_the_capsules(void **state)
{
	with_a_second_part();
	go(&one);
	expect_running(&one);
	assert_string_equal(
		fake_trace.data,
		"create db;prepare db;create web;prepare web;create job;prepare job;stage second;"
		"start db;start job;start web;activate second;confirm second;");
}

static void a_second_part_takes_the_capsules_back(void **state)
{
	go(&one);
	with_a_second_part();
	second_fails = true;
	go(&two);
	second_fails = false;
	expect_running(&one);
	assert_string_equal(w.u->progress.step, "bad");
	assert_string_equal(w.u->progress.reason, "the second part is broken");
	/* Back in reverse order: the capsules are last. */
	assert_non_null(strstr(fake_trace.data, "activate second;revert second;stop web;"));
}

static void parts_are_bounded(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	int r = 0;

	for (int i = 0; r == 0 && i < 100; i++)
		r = sk_update_add_part(w.u, &second_part, NULL, &err);
	assert_int_equal(r, -E2BIG);
	assert_string_equal(err.slug, "too-many");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_release),
		TEST(those_that_fail_hold_their_dependants),
		TEST(unchanged_capsules_are_not_touched),
		TEST(an_engine_with_one_capsule_per_name_does_too),
		TEST(stops_in_reverse_order),
		TEST(goes_back_when_a_start_fails),
		TEST(goes_back_when_unhealthy),
		TEST(goes_back_when_it_dies),
		TEST(a_bad_first_release_leaves_nothing_running),
		TEST(same_release_again_changes_nothing),
		TEST(daemon_ends_at_every_step),
		TEST(daemon_ends_at_every_step_of_a_bad_one),
		TEST(power_goes_at_every_step),
		TEST(power_goes_at_every_step_of_a_bad_one),
		TEST(shut_down_at_every_step),
		TEST(shut_down_at_every_step_of_a_bad_one),
		TEST(nothing_is_applied_on_the_way_down),
		TEST(boots_are_counted),
		TEST(ephemeral_ends_with_the_boot),
		TEST(refusals),
		TEST(good_that_cannot_be_recorded),
		TEST(checked_again_when_applied),
		TEST(ephemeral_and_the_floor),
		TEST(needs_all_images),
		TEST(unapplied_releases_are_bounded),
		TEST(old_images_are_collected),
		TEST(lost_image_is_missed_and_fetched),
		TEST(without_trust_it_runs_what_it_has),
		TEST(roots_are_changed),
		TEST(damaged_release_is_passed_over),
		TEST(another_release_under_its_name),
		TEST(no_release_can_be_read),
		TEST(damaged_release_being_tried),
		TEST(damaged_good_release_while_another_is_tried),
		TEST(record_of_kept_releases_fails),
		TEST(an_apply_that_cannot_be_recorded),
		TEST(capsules_are_active),
		TEST(a_second_part_goes_with_the_capsules),
		TEST(a_second_part_takes_the_capsules_back),
		TEST(parts_are_bounded),
	};

	return cmocka_run_group_tests_name("engine/update", tests, NULL, NULL);
}
