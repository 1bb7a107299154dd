/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/str.h"
#include "world.h"

/* Clocks: what the wall says, and what the kernel thinks of it. */
static int64_t wall_s = 1800000000;
static int kernel_state = TIME_OK, kernel_status;

int64_t __wrap_sk_wall_s(void);
int64_t __wrap_sk_wall_s(void)
{
	return wall_s;
}

int __wrap_adjtimex(struct timex *tx);
int __wrap_adjtimex(struct timex *tx)
{
	tx->status = kernel_status;
	return kernel_state;
}

/* The daemon is started anew with another setting. */
static void trust_clock(enum sk_clock_policy policy)
{
	w.clock = policy;
	halt();
	boot();
	run_until_idle();
}

static void judge(enum sk_clock_policy policy, int64_t wall, int state, int status, bool trusted)
{
	trust_clock(policy);
	wall_s = wall;
	kernel_state = state;
	kernel_status = status;
	assert_int_equal(sk_verifier_clock_trusted(w.verifier), trusted);
	assert_int_equal(sk_verifier_now_s(w.verifier), trusted ? wall : 0);
}

static void believes_the_kernel(void **state)
{
	judge(SK_CLOCK_AUTO, 1800000000, TIME_OK, 0, true);
	judge(SK_CLOCK_AUTO, 1800000000, TIME_OK, STA_UNSYNC, false);
	judge(SK_CLOCK_AUTO, 1800000000, TIME_ERROR, 0, false);
	judge(SK_CLOCK_AUTO, 1800000000, -1, 0, false);
	judge(SK_CLOCK_TRUSTED, 1800000000, TIME_ERROR, STA_UNSYNC, true);
	judge(SK_CLOCK_UNTRUSTED, 1800000000, TIME_OK, 0, false);
	wall_s = 1800000000;
}

/* Whoever sets the clock back before the release that runs here is not believed, whatever is configured. */
static void not_before_the_running_release(void **state)
{
	wall_s = 1800000000;
	go(&(struct spec){ "1.0", { "d1" }, .created_s = 1700000000 });
	judge(SK_CLOCK_TRUSTED, 1700000000, TIME_OK, 0, true);
	judge(SK_CLOCK_TRUSTED, 1699999999, TIME_OK, 0, false);
	judge(SK_CLOCK_AUTO, 0, TIME_OK, 0, false);
	judge(SK_CLOCK_AUTO, -5, TIME_OK, 0, false);
	wall_s = 1800000000;
}

static void floor_of_the_device(void **state)
{
	struct sk_device_facts facts;

	sk_verifier_facts(w.verifier, &facts);
	assert_null(facts.project);
	assert_null(facts.version);
	assert_int_equal(facts.now_s, 0);
	assert_false(facts.has_os_slots);
	assert_true(sk_strv_has(facts.compatible, "acme,box"));
	go(&(struct spec){ "1.0", { "d1" } });
	go(&(struct spec){ "2.0", { "d2" }, .root = " " });
	sk_verifier_facts(w.verifier, &facts);
	assert_string_equal(facts.project, "p");
	assert_string_equal(facts.version, "1.0");
}

/* With a clock that is believed an expired release is refused; without one only the rest counts. */
static void expiry(void **state)
{
	const struct spec old = { "1.0", { "d1" }, "expires = \"2027-01-01\";" };
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;

	wall_s = 1800000000; /* 2027-01-15 */
	trust_clock(SK_CLOCK_TRUSTED);
	assert_int_equal(intake(&old, &id, &err), -EPERM);
	assert_string_equal(err.slug, "expired");
	trust_clock(SK_CLOCK_UNTRUSTED);
	assert_int_equal(intake(&old, &id, &err), 0);
	/* It came in time to be kept, and is asked again when it is applied. */
	trust_clock(SK_CLOCK_TRUSTED);
	assert_int_equal(sk_update_apply(w.u, &id, &(uint64_t){ 0 }, &err), -EPERM);
	assert_string_equal(err.slug, "expired");
}

/* Trust that was not there at the start is found when it is needed. */
static void trust_comes_later(void **state)
{
	_cleanup_free_ char *ca = sk_asprintf("%s/ca.pem", w.trust),
			    *away = sk_asprintf("%s/away", w.trust);
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;

	assert_int_equal(rename(ca, away), 0);
	power_cut();
	run_until_idle();
	assert_int_equal(sk_verifier_refresh(w.verifier, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	assert_true(intake(&(struct spec){ "1.0", { "d1" } }, &id, &err) < 0);
	assert_int_equal(rename(away, ca), 0);
	assert_int_equal(intake(&(struct spec){ "1.0", { "d1" } }, &id, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(believes_the_kernel), TEST(not_before_the_running_release),
		TEST(floor_of_the_device), TEST(expiry),
		TEST(trust_comes_later),
	};

	return cmocka_run_group_tests_name("engine/release/verifier", tests, NULL, NULL);
}
