/* SPDX-License-Identifier: Apache-2.0 */
#include "store_test.h"

#include "engine/update/boot_id.h"
#include "engine/update/generations.h"
#include "fault.h"

int64_t __wrap_sk_wall_s(void);

static int64_t clock_s = 1795329292;

int64_t __wrap_sk_wall_s(void)
{
	return clock_s;
}

/* A device: its store and what is on record. reload() is a restart of the daemon. */
struct device {
	const char *path;
	struct fault_plan plan;
	struct sk_store *s;
	struct sk_generations *g;
};

static void load(struct device *d)
{
	struct sk_fs *fs = NULL;

	d->plan = (struct fault_plan){ .fail_at = ~0u };
	assert_int_equal(fault_fs_open(d->path, &d->plan, &fs), 0);
	assert_int_equal(sk_store_open_fs(fs, &d->s, NULL), 0);
	assert_int_equal(sk_generations_open(d->s, &d->g, NULL), 0);
}

static void unload(struct device *d)
{
	sk_generations_close(d->g);
	sk_store_close(d->s);
}

static void reload(struct device *d)
{
	unload(d);
	load(d);
}

static const struct sk_generation *boot(struct device *d, bool new_boot)
{
	const struct sk_generation *running = NULL;

	reload(d);
	assert_int_equal(sk_generations_boot(d->g, new_boot, &running, NULL), 0);
	assert_ptr_equal(running, sk_generations_running(d->g));
	return running;
}

static uint64_t stage(struct device *d, const char *version, bool ephemeral)
{
	struct sk_digest release = digest_of(version, strlen(version));
	uint64_t number = 0;

	assert_int_equal(sk_generations_stage(d->g, &release, version, ephemeral, 2, &number, NULL),
			 0);
	return number;
}

static uint64_t try_out(struct device *d, const char *version, bool ephemeral)
{
	uint64_t number = stage(d, version, ephemeral);

	assert_int_equal(sk_generations_apply(d->g, number, NULL), 0);
	assert_int_equal(sk_generations_running(d->g)->number, number);
	return number;
}

static uint64_t make_good(struct device *d, const char *version, bool ephemeral)
{
	uint64_t number = try_out(d, version, ephemeral);

	assert_int_equal(sk_generations_healthy(d->g, NULL), 0);
	return number;
}

static void assert_link(struct device *d, uint64_t current)
{
	_cleanup_free_ char *text = NULL;
	struct sk_gen_link link;
	size_t len;

	assert_int_equal(sk_store_get_record(d->s, "current", &text, &len, NULL), 0);
	assert_int_equal(sk_gen_link_decode(text, len, &link), 0);
	assert_int_equal(link.current, current);
}

static void upgrade(void **state)
{
	struct device d = { .path = *state };
	struct sk_err err = SK_ERR_INIT;

	load(&d);
	assert_null(sk_generations_running(d.g));
	assert_null(boot(&d, true));
	assert_int_equal(sk_generations_healthy(d.g, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-state");
	assert_int_equal(make_good(&d, "1.0", false), 1);
	assert_link(&d, 1);
	assert_int_equal(try_out(&d, "2.0", false), 2);
	assert_link(&d, 1);
	assert_string_equal(sk_generations_floor(d.g)->version, "1.0");
	assert_int_equal(sk_generations_good(d.g)->number, 1);
	assert_int_equal(sk_generations_healthy(d.g, NULL), 0);
	assert_link(&d, 2);
	assert_string_equal(sk_generations_floor(d.g)->version, "2.0");
	assert_int_equal(boot(&d, true)->number, 2);
	unload(&d);
}

static void falls_back(void **state)
{
	struct device d = { .path = *state };
	uint64_t bad;

	load(&d);
	make_good(&d, "1.0", false);
	bad = try_out(&d, "2.0", false);
	assert_int_equal(sk_generations_unhealthy(d.g, "web: exit status 1", NULL), 0);
	assert_int_equal(sk_generations_running(d.g)->number, 1);
	assert_link(&d, 1);
	assert_int_equal(boot(&d, true)->number, 1);
	assert_int_equal(sk_generations_get(d.g, bad)->state, SK_GEN_BAD);
	assert_string_equal(sk_generations_get(d.g, bad)->reason, "web: exit status 1");
	/* Never again by itself, and not by hand under this number either. */
	assert_int_equal(sk_generations_apply(d.g, bad, NULL), -EINVAL);
	unload(&d);
}

static void first_one_bad(void **state)
{
	struct device d = { .path = *state };

	load(&d);
	try_out(&d, "1.0", false);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), 0);
	assert_null(sk_generations_running(d.g));
	assert_null(sk_generations_good(d.g));
	assert_null(sk_generations_floor(d.g));
	assert_null(boot(&d, true));
	assert_int_equal(make_good(&d, "1.1", false), 2);
	unload(&d);
}

static void boots_are_spent(void **state)
{
	struct device d = { .path = *state };

	load(&d);
	make_good(&d, "1.0", false);
	try_out(&d, "2.0", false);
	/* Restarts of the daemon cost nothing. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(boot(&d, false)->number, 2);
	assert_int_equal(boot(&d, true)->number, 2);
	assert_int_equal(boot(&d, true)->number, 2);
	assert_int_equal(sk_generations_running(d.g)->boots, 2);
	assert_int_equal(boot(&d, true)->number, 1);
	assert_string_equal(sk_generations_get(d.g, 2)->reason, "not healthy after 2 of 2 boots");
	unload(&d);
}

static void ephemeral_is_gone_after_reboot(void **state)
{
	struct device d = { .path = *state };

	load(&d);
	make_good(&d, "1.0", false);
	make_good(&d, "2.0", true);
	assert_link(&d, 1);
	assert_int_equal(boot(&d, false)->number, 2);
	assert_int_equal(sk_generations_good(d.g)->number, 2);
	assert_int_equal(sk_generations_floor(d.g)->number, 1);
	assert_int_equal(boot(&d, true)->number, 1);
	assert_null(sk_generations_get(d.g, 2));
	/* Its number was given out. */
	assert_int_equal(try_out(&d, "2.0", true), 3);
	assert_int_equal(boot(&d, true)->number, 1);
	assert_int_equal(sk_generations_get(d.g, 3)->state, SK_GEN_BAD);
	unload(&d);
}

/* A lasting one tried on top of an ephemeral one falls back to that, until a reboot. */
static void lasting_over_ephemeral(void **state)
{
	struct device d = { .path = *state };

	load(&d);
	make_good(&d, "1.0", false);
	make_good(&d, "2.0", true);
	try_out(&d, "3.0", false);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), 0);
	assert_int_equal(sk_generations_running(d.g)->number, 2);
	try_out(&d, "4.0", false);
	assert_int_equal(boot(&d, true)->number, 4);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), 0);
	assert_int_equal(sk_generations_running(d.g)->number, 1);
	unload(&d);
}

static void one_at_a_time(void **state)
{
	struct device d = { .path = *state };
	struct sk_err err = SK_ERR_INIT;
	uint64_t second;

	load(&d);
	try_out(&d, "1.0", false);
	second = stage(&d, "2.0", false);
	assert_int_equal(sk_generations_apply(d.g, second, &err), -EBUSY);
	assert_string_equal(err.slug, "bad-state");
	assert_int_equal(sk_generations_apply(d.g, 99, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	assert_int_equal(sk_generations_cancel(d.g, 1, "not wanted", NULL), 0);
	assert_int_equal(sk_generations_apply(d.g, second, &err), 0);
	assert_int_equal(sk_generations_cancel(d.g, 99, "x", &err), -ENOENT);
	unload(&d);
}

static void staging(void **state)
{
	struct device d = { .path = *state };
	struct sk_digest release = digest_of("r", 1);
	char long_version[80];
	uint64_t number = 0;
	struct sk_gen_new what = {
		.release = &release, .version = "1.0", .project = "harbour", .boots_max = 3
	};

	load(&d);
	assert_int_equal(sk_generations_add(d.g, &what, &number, NULL), 0);
	assert_int_equal(number, 1);
	/* Asked again, e.g. after the answer was lost. */
	assert_int_equal(sk_generations_add(d.g, &what, &number, NULL), 0);
	assert_int_equal(number, 1);
	reload(&d);
	assert_string_equal(sk_generations_get(d.g, 1)->project, "harbour");
	assert_int_equal(sk_generations_get(d.g, 1)->changed_s, clock_s);
	memset(long_version, '1', sizeof(long_version) - 1);
	long_version[sizeof(long_version) - 1] = '\0';
	what.version = long_version;
	assert_int_equal(sk_generations_add(d.g, &what, &number, NULL), -EINVAL);
	what.version = "1\n2";
	assert_int_equal(sk_generations_add(d.g, &what, &number, NULL), -EINVAL);
	what.version = "";
	assert_int_equal(sk_generations_add(d.g, &what, &number, NULL), -EINVAL);
	what.version = "1.0";
	what.project = "../x";
	assert_int_equal(sk_generations_add(d.g, &what, &number, NULL), -EINVAL);
	unload(&d);
}

/* A clock in 1970 is not written down and changes no order. */
static void clock_in_1970(void **state)
{
	struct device d = { .path = *state };

	load(&d);
	make_good(&d, "1.0", false);
	clock_s = 12;
	make_good(&d, "2.0", false);
	assert_int_equal(sk_generations_running(d.g)->changed_s, 0);
	clock_s = -5;
	make_good(&d, "3.0", false);
	clock_s = 1795329292;
	assert_int_equal(boot(&d, true)->number, 3);
	assert_int_equal(sk_generations_get(d.g, 1)->changed_s, clock_s);
	unload(&d);
}

static void collects(void **state)
{
	struct device d = { .path = *state };
	size_t n;

	load(&d);
	make_good(&d, "1", false);
	make_good(&d, "2", false);
	try_out(&d, "3", false);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), 0);
	make_good(&d, "4", false);
	make_good(&d, "5", true);
	stage(&d, "6", false);
	try_out(&d, "7", false);
	assert_int_equal(sk_generations_unhealthy(d.g, "newest bad", NULL), 0);
	assert_int_equal(sk_generations_collect(d.g, 2, NULL), 0);
	reload(&d);
	(void)sk_generations_all(d.g, &n);
	assert_int_equal(n, 4);
	assert_non_null(sk_generations_get(d.g, 4));
	assert_non_null(sk_generations_get(d.g, 5));
	assert_non_null(sk_generations_get(d.g, 6));
	assert_non_null(sk_generations_get(d.g, 7));
	/* Even with nothing asked for: the running one and the floor stay. */
	assert_int_equal(sk_generations_collect(d.g, 0, NULL), 0);
	assert_non_null(sk_generations_get(d.g, 4));
	assert_non_null(sk_generations_get(d.g, 5));
	unload(&d);
}

/* All collected down to an old number: the next one is still new. */
static void numbers_never_return(void **state)
{
	struct device d = { .path = *state };

	load(&d);
	make_good(&d, "1", false);
	make_good(&d, "2", true);
	assert_int_equal(boot(&d, true)->number, 1);
	try_out(&d, "3", false);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), 0);
	reload(&d);
	assert_int_equal(sk_generations_collect(d.g, 0, NULL), 0);
	reload(&d);
	assert_int_equal(stage(&d, "4", false), 4);
	unload(&d);
}

static void too_many(void **state)
{
	struct device d = { .path = *state };
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest release;
	uint64_t number;
	char version[16];

	load(&d);
	for (int i = 0; i < SK_GENERATIONS_MAX + 10; i++) {
		(void)snprintf(version, sizeof(version), "0.%d", i);
		make_good(&d, version, false);
	}
	assert_int_equal(sk_generations_collect(d.g, 1, NULL), 0);
	for (int i = 1; i < SK_GENERATIONS_MAX; i++) {
		(void)snprintf(version, sizeof(version), "1.%d", i);
		stage(&d, version, false);
	}
	release = digest_of("x", 1);
	assert_int_equal(sk_generations_stage(d.g, &release, "2", false, 1, &number, &err),
			 -ENOSPC);
	assert_string_equal(err.slug, "too-many");
	unload(&d);
}

static void put_record(struct device *d, const char *name, const char *text)
{
	assert_int_equal(sk_store_put_record(d->s, name, text, strlen(text), NULL), 0);
}

/* A damaged record costs that generation only, a damaged link nothing. */
static void damaged_records(void **state)
{
	struct device d = { .path = *state };
	_cleanup_strv_ char **names = NULL;

	load(&d);
	make_good(&d, "1", false);
	make_good(&d, "2", false);
	make_good(&d, "3", false);
	put_record(&d, "generation-00000000000000000003", "skerry-generation 1\ngarbage");
	put_record(&d, "current", "");
	put_record(&d, "generation-x", "not ours");
	assert_int_equal(boot(&d, true)->number, 2);
	assert_link(&d, 2);
	/* What the link had given out is not known: numbers go on well above. */
	assert_int_equal(stage(&d, "4", false), 104);
	assert_int_equal(sk_generations_collect(d.g, 2, NULL), 0);
	assert_int_equal(sk_store_list_records(d.s, &names, NULL), 0);
	assert_false(sk_strv_has(names, "generation-00000000000000000003"));
	assert_true(sk_strv_has(names, "generation-x"));
	unload(&d);
}

/* Nothing of one record can be read, now or ever: the device starts all the same, and keeps what it has. */
static void a_bad_sector_costs_one_generation(void **state)
{
	struct device d = { .path = *state };
	struct sk_err err = SK_ERR_INIT;
	unsigned opens = 0;
	bool done = false;

	load(&d);
	make_good(&d, "1", false);
	make_good(&d, "2", false);
	make_good(&d, "3", false);
	for (unsigned i = 0; !done; i++) {
		const struct sk_generation *running = NULL;

		sk_generations_close(d.g);
		d.g = NULL;
		d.plan = (struct fault_plan){ .fail_at = i, .code = -EIO };
		if (sk_generations_open(d.s, &d.g, &err) < 0) {
			/* Only when the folder itself does not answer. */
			assert_int_equal(i, 0);
			d.plan = (struct fault_plan){ .fail_at = ~0u };
			assert_int_equal(sk_generations_open(d.s, &d.g, NULL), 0);
			continue;
		}
		done = d.plan.seen <= d.plan.fail_at;
		d.plan = (struct fault_plan){ .fail_at = ~0u };
		assert_int_equal(sk_generations_boot(d.g, false, &running, NULL),
				 sk_generations_whole(d.g) ? 0 : -EIO);
		assert_true(running && running->number >= 2);
		if (!sk_generations_get(d.g, 1) || !sk_generations_get(d.g, 2) ||
		    !sk_generations_get(d.g, 3)) {
			opens++;
			assert_int_equal(sk_generations_collect(d.g, 1, &err), -EIO);
			assert_string_equal(err.slug, "io");
		}
	}
	assert_true(opens >= 3);
	assert_int_equal(boot(&d, false)->number, 3);
	assert_non_null(sk_generations_get(d.g, 1));
	unload(&d);
}

/* Its release file is damaged: the one before takes its place, the floor stays. */
static void parked(void **state)
{
	struct device d = { .path = *state };

	load(&d);
	make_good(&d, "1", false);
	make_good(&d, "2", false);
	make_good(&d, "3", false);
	sk_generations_park(d.g, 3, true);
	assert_int_equal(sk_generations_running(d.g)->number, 2);
	assert_int_equal(sk_generations_good(d.g)->number, 2);
	assert_int_equal(sk_generations_floor(d.g)->number, 3);
	assert_true(sk_generations_is_parked(d.g, 3));
	/* It moves along when those before it are forgotten, and is kept. */
	assert_int_equal(sk_generations_collect(d.g, 1, NULL), 0);
	assert_null(sk_generations_get(d.g, 1));
	assert_true(sk_generations_is_parked(d.g, 3));
	assert_int_equal(sk_generations_running(d.g)->number, 2);
	/* A new one is tried over it, and falls back to what runs. */
	assert_int_equal(try_out(&d, "4", false), 4);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), 0);
	assert_int_equal(sk_generations_running(d.g)->number, 2);
	sk_generations_park(d.g, 3, false);
	assert_int_equal(sk_generations_running(d.g)->number, 3);
	sk_generations_park(d.g, 3, true);
	sk_generations_park(d.g, 2, true);
	assert_null(sk_generations_running(d.g));
	assert_int_equal(boot(&d, true)->number, 3);
	unload(&d);
}

/* Numbers tell what is newer: a staged one that was overtaken cannot become good behind it. */
static void overtaken(void **state)
{
	struct device d = { .path = *state };
	struct sk_err err = SK_ERR_INIT;

	load(&d);
	make_good(&d, "1", false);
	assert_int_equal(stage(&d, "2", false), 2);
	assert_int_equal(make_good(&d, "3", false), 3);
	assert_int_equal(sk_generations_apply(d.g, 2, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-state");
	/* Wanted again, it is the newest, and runs when it is good. */
	assert_int_equal(make_good(&d, "2", false), 4);
	assert_string_equal(sk_generations_running(d.g)->version, "2");
	assert_string_equal(boot(&d, true)->version, "2");
	assert_int_equal(sk_generations_collect(d.g, 1, NULL), 0);
	assert_null(sk_generations_get(d.g, 2));
	unload(&d);
}

/* One that was being tried could not be read for a while, and a later one was applied: no way back. */
static void a_try_that_comes_back(void **state)
{
	struct device d = { .path = *state };
	const struct sk_generation *running = NULL;

	load(&d);
	make_good(&d, "1", false);
	try_out(&d, "2", false);
	sk_generations_close(d.g);
	/* list, then open and read of the link and of each record: that of number 2 */
	d.plan = (struct fault_plan){ .fail_at = 7, .code = -EIO };
	assert_int_equal(sk_generations_open(d.s, &d.g, NULL), 0);
	d.plan = (struct fault_plan){ .fail_at = ~0u };
	assert_false(sk_generations_whole(d.g));
	assert_int_equal(sk_generations_boot(d.g, true, &running, NULL), -EIO);
	assert_int_equal(running->number, 1);
	assert_null(sk_generations_get(d.g, 2));
	assert_int_equal(make_good(&d, "3", false), 3);
	assert_int_equal(boot(&d, false)->number, 3);
	assert_int_equal(sk_generations_get(d.g, 2)->state, SK_GEN_BAD);
	assert_true(sk_generations_whole(d.g));
	unload(&d);
}

/* The link did not follow once; what it stayed behind on is not forgotten before it did. */
static void link_before_a_collection(void **state)
{
	struct device d = { .path = *state };
	bool done = false;

	load(&d);
	make_good(&d, "1", false);
	try_out(&d, "2", false);
	/* Three operations write the generation's record, the fourth begins with the link's. */
	d.plan = (struct fault_plan){
		.fail_at = 3, .code = -EIO, .stay = true, .writes_only = true
	};
	assert_int_equal(sk_generations_healthy(d.g, NULL), 0);
	d.plan = (struct fault_plan){ .fail_at = ~0u };
	assert_link(&d, 1);
	for (unsigned i = 0; !done; i++) {
		_cleanup_free_ char *text = NULL;
		struct sk_gen_link link;
		size_t len;

		d.plan = (struct fault_plan){ .fail_at = i, .code = -EIO };
		(void)sk_generations_collect(d.g, 1, NULL);
		done = d.plan.seen <= d.plan.fail_at;
		d.plan = (struct fault_plan){ .fail_at = ~0u };
		assert_int_equal(sk_store_get_record(d.s, "current", &text, &len, NULL), 0);
		assert_int_equal(sk_gen_link_decode(text, len, &link), 0);
		assert_non_null(sk_generations_get(d.g, link.current));
		assert_true(i < 100);
	}
	assert_null(sk_generations_get(d.g, 1));
	assert_link(&d, 2);
	unload(&d);
}

/* A record under another one's name is damage too. */
static void swapped_record(void **state)
{
	struct device d = { .path = *state };
	_cleanup_free_ char *text = NULL;

	load(&d);
	make_good(&d, "1", false);
	assert_int_equal(
		sk_store_get_record(d.s, "generation-00000000000000000001", &text, NULL, NULL), 0);
	put_record(&d, "generation-00000000000000000009", text);
	assert_int_equal(boot(&d, true)->number, 1);
	assert_int_equal(stage(&d, "2", false), 10);
	unload(&d);
}

/* The disk refuses to record: what would leave something bad running happens all the same. */
static void disk_refuses(void **state)
{
	struct device d = { .path = *state };
	const struct sk_generation *running = NULL;
	struct sk_err err = SK_ERR_INIT;

	load(&d);
	make_good(&d, "1", false);
	try_out(&d, "2", false);
	d.plan = (struct fault_plan){ .code = -EIO, .stay = true };
	assert_int_equal(sk_generations_healthy(d.g, &err), -EIO);
	assert_string_equal(err.slug, "io");
	assert_int_equal(sk_generations_running(d.g)->state, SK_GEN_TRYING);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", &err), -EIO);
	assert_int_equal(sk_generations_running(d.g)->number, 1);
	/* Not recorded, so it is tried again; and not at all when that cannot be counted. */
	assert_int_equal(boot(&d, false)->number, 2);
	d.plan = (struct fault_plan){ .code = -EIO, .stay = true };
	assert_int_equal(sk_generations_boot(d.g, true, &running, &err), -EIO);
	assert_int_equal(running->number, 1);
	unload(&d);
}

/* What the disk refused is recorded before anything else is tried, or the old would win. */
static void refused_verdict_is_caught_up(void **state)
{
	struct device d = { .path = *state };
	uint64_t older;

	load(&d);
	make_good(&d, "1", false);
	older = stage(&d, "2", false);
	assert_int_equal(try_out(&d, "3", false), 3);
	d.plan = (struct fault_plan){ .code = -EIO, .stay = true };
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), -EIO);
	assert_int_equal(sk_generations_apply(d.g, older, NULL), -EIO);
	d.plan = (struct fault_plan){ .fail_at = ~0u };
	assert_int_equal(sk_generations_apply(d.g, older, NULL), 0);
	assert_int_equal(boot(&d, false)->number, older);
	assert_int_equal(sk_generations_get(d.g, 3)->state, SK_GEN_BAD);
	unload(&d);
}

/* Each operation of each step fails in turn: there is always one that runs, and it was good. */
static void each_operation_fails(void **state)
{
	struct device d = { .path = *state };
	bool done = false;

	load(&d);
	make_good(&d, "1", false);
	for (unsigned i = 0; !done; i++) {
		struct sk_digest release = digest_of("2", 1);
		const struct sk_generation *running;
		uint64_t number = 0;
		int r;

		d.plan = (struct fault_plan){ .fail_at = i / 2, .code = -EIO, .stay = i % 2 };
		r = sk_generations_stage(d.g, &release, "2", false, 2, &number, NULL);
		if (r == 0)
			r = sk_generations_apply(d.g, number, NULL);
		if (r == 0)
			r = sk_generations_healthy(d.g, NULL);
		if (r == 0)
			r = sk_generations_collect(d.g, 1, NULL);
		done = r == 0 && d.plan.seen <= d.plan.fail_at;
		running = boot(&d, false);
		assert_non_null(running);
		if (running->state == SK_GEN_TRYING)
			assert_int_equal(sk_generations_unhealthy(d.g, "end", NULL), 0);
		assert_non_null(sk_generations_floor(d.g));
		assert_true(i < 400);
	}
	unload(&d);
}

/* --- what is said to be done is on the disk --- */

enum deed { STAGE, APPLY, HEALTHY, UNHEALTHY, CANCEL, COLLECT, DEEDS };

static int do_it(struct device *d, enum deed deed, uint64_t *number, unsigned round)
{
	struct sk_digest release;
	char version[16];

	(void)snprintf(version, sizeof(version), "%u", round);
	release = digest_of(version, strlen(version));
	switch (deed) {
	case STAGE:
		return sk_generations_stage(d->g, &release, version, false, 2, number, NULL);
	case APPLY:
		return sk_generations_apply(d->g, *number, NULL);
	case HEALTHY:
		return sk_generations_healthy(d->g, NULL);
	case UNHEALTHY:
		return sk_generations_unhealthy(d->g, "x", NULL);
	case CANCEL:
		return sk_generations_cancel(d->g, *number, "x", NULL);
	case COLLECT:
		return sk_generations_collect(d->g, 1, NULL);
	case DEEDS:
		break;
	}
	return -EINVAL;
}

static void prepare_it(struct device *d, enum deed deed, uint64_t *number, unsigned round)
{
	if (deed != STAGE)
		assert_int_equal(do_it(d, STAGE, number, round), 0);
	if (deed > APPLY)
		assert_int_equal(do_it(d, APPLY, number, round), 0);
	if (deed == COLLECT)
		assert_int_equal(do_it(d, UNHEALTHY, number, round), 0);
	if (deed == COLLECT)
		put_record(d, "generation-00000000000000000777", "garbage");
}

/* Of a collection: the good one and the last bad one are left, the garbage is not. */
static void assert_done(struct device *d, enum deed deed, uint64_t number)
{
	static const enum sk_gen_state states[] = { SK_GEN_STAGED, SK_GEN_TRYING, SK_GEN_GOOD,
						    SK_GEN_BAD,	   SK_GEN_BAD,	  SK_GEN_BAD };
	_cleanup_strv_ char **names = NULL;

	assert_non_null(sk_generations_get(d->g, number));
	assert_int_equal(sk_generations_get(d->g, number)->state, states[deed]);
	if (deed != COLLECT)
		return;
	assert_int_equal(sk_store_list_records(d->s, &names, NULL), 0);
	assert_int_equal(sk_strv_len(names), 3);
}

/* A collection forgets nothing that is on record, or its release would go and the record stay. */
static void assert_known(struct device *d)
{
	_cleanup_strv_ char **names = NULL;
	uint64_t number;

	assert_int_equal(sk_store_list_records(d->s, &names, NULL), 0);
	SK_STRV_FOREACH (name, names)
		if (sk_str_starts(*name, "generation-") && !sk_str_ends(*name, "777") &&
		    sk_parse_u64(*name + strlen("generation-"), &number) == 0)
			assert_non_null(sk_generations_get(d->g, number));
}

static void done_is_on_record_of(struct device *d, enum deed deed)
{
	bool done = false;

	for (unsigned i = 0; !done; i++) {
		uint64_t number = 0;
		int r;

		prepare_it(d, deed, &number, i);
		d->plan = (struct fault_plan){ .fail_at = i / 2, .code = -EIO, .stay = i % 2 };
		r = do_it(d, deed, &number, i);
		done = d->plan.seen <= d->plan.fail_at;
		d->plan = (struct fault_plan){ .fail_at = ~0u };
		if (deed == COLLECT)
			assert_known(d);
		reload(d);
		if (r == 0)
			assert_done(d, deed, number);
		assert_true(!done || r == 0);
		if (sk_generations_running(d->g)->state == SK_GEN_TRYING)
			assert_int_equal(sk_generations_unhealthy(d->g, "end", NULL), 0);
		assert_int_equal(sk_generations_collect(d->g, 1, NULL), 0);
		assert_true(i < 400);
	}
}

/* Each operation fails in turn, once or from then on. */
static void done_is_on_record(void **state)
{
	for (enum deed deed = STAGE; deed < DEEDS; deed++) {
		struct device d = { .path = *state };

		load(&d);
		if (deed == STAGE)
			make_good(&d, "1.0", false);
		done_is_on_record_of(&d, deed);
		unload(&d);
	}
}

/* Just the next thing written fails: what comes after it must not pass for the whole. */
static void fail_once(struct device *d)
{
	d->plan = (struct fault_plan){ .code = -EIO, .writes_only = true };
}

static void one_failed_write_is_a_failure(void **state)
{
	struct device d = { .path = *state };
	struct sk_digest release = digest_of("x", 1);
	_cleanup_strv_ char **found = NULL;
	uint64_t number, older;

	load(&d);
	make_good(&d, "1", false);
	fail_once(&d);
	assert_int_equal(sk_generations_stage(d.g, &release, "x", false, 2, &number, NULL), -EIO);
	older = stage(&d, "2", false);
	try_out(&d, "3", false);
	fail_once(&d);
	assert_int_equal(sk_generations_unhealthy(d.g, "x", NULL), -EIO);
	fail_once(&d);
	assert_int_equal(sk_generations_apply(d.g, older, NULL), -EIO);
	assert_int_equal(sk_generations_get(d.g, older)->state, SK_GEN_STAGED);
	assert_int_equal(sk_generations_apply(d.g, older, NULL), 0);
	assert_int_equal(sk_store_del_record(d.s, "generation-00000000000000000001", NULL), 0);
	fail_once(&d);
	assert_int_equal(sk_generations_verify(d.g, &found, NULL), -EIO);
	assert_true(sk_generations_verify(d.g, &found, NULL) > 0);
	assert_int_equal(sk_store_del_record(d.s, "current", NULL), 0);
	fail_once(&d);
	assert_int_equal(sk_generations_verify(d.g, &found, NULL), -EIO);
	unload(&d);
}

/* An ephemeral one ends with the boot, and its record cannot be removed. */
static void a_failed_removal_is_a_failure(void **state)
{
	struct device d = { .path = *state };
	const struct sk_generation *running = NULL;

	load(&d);
	make_good(&d, "1", false);
	make_good(&d, "2", true);
	d.plan = (struct fault_plan){ .code = -EIO, .stay = true };
	assert_int_equal(sk_generations_boot(d.g, true, &running, NULL), -EIO);
	assert_int_equal(running->number, 1);
	unload(&d);
}

static void boot_identity(void **state)
{
	struct device d = { .path = *state };
	_cleanup_free_ char *path = sk_asprintf("%s/boot_id", d.path);
	struct sk_err err = SK_ERR_INIT;
	bool changed = false;

	load(&d);
	put_file(path, "aaa\n", 4);
	assert_int_equal(sk_boot_id_changed(d.s, path, &changed, NULL), 0);
	assert_true(changed);
	assert_int_equal(sk_boot_id_keep(d.s, path, NULL), 0);
	assert_int_equal(sk_boot_id_changed(d.s, path, &changed, NULL), 0);
	assert_false(changed);
	put_file(path, "bbb\n", 4);
	assert_int_equal(sk_boot_id_changed(d.s, path, &changed, NULL), 0);
	assert_true(changed);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sk_boot_id_changed(d.s, path, &changed, NULL), 0);
	assert_true(changed);
	assert_int_equal(sk_boot_id_keep(d.s, path, &err), -ENOENT);
	assert_string_equal(err.slug, "io");
	assert_int_equal(sk_boot_id_keep(d.s, SK_BOOT_ID_PATH, NULL), 0);
	assert_int_equal(sk_boot_id_changed(d.s, SK_BOOT_ID_PATH, &changed, NULL), 0);
	assert_false(changed);
	unload(&d);
}

/* A byte turns over in a record, or it is gone: found, written anew from what is known, and nothing is lost by it. */
static void damage_while_running(void **state)
{
	static const char *const names[] = { "generation-00000000000000000001",
					     "generation-00000000000000000002", "current" };
	struct device d = { .path = *state };
	_cleanup_strv_ char **none = NULL;

	load(&d);
	assert_int_equal(sk_generations_verify(d.g, &none, NULL), 0);
	make_good(&d, "1.0", false);
	try_out(&d, "2.0", false);
	assert_int_equal(sk_generations_verify(d.g, &none, NULL), 3);
	assert_null(none);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = sk_asprintf("%s/records/%s", d.path, names[i]);
		_cleanup_free_ char *whole = NULL;
		size_t len;

		assert_int_equal(sk_file_read(AT_FDCWD, path, 4096, &whole, &len), 0);
		for (size_t at = 0; at <= len; at += 7) {
			_cleanup_free_ char *bad = strdup(whole), *now = NULL;
			_cleanup_strv_ char **found = NULL;
			size_t now_len;

			bad[at < len ? at : 0] ^= 4;
			put_file(path, bad, len);
			if (at + 7 > len)
				assert_int_equal(unlink(path), 0);
			assert_int_equal(sk_generations_verify(d.g, &found, NULL), 3);
			assert_int_equal(sk_strv_len(found), 1);
			assert_string_equal(found[0], names[i]);
			assert_int_equal(sk_file_read(AT_FDCWD, path, 4096, &now, &now_len), 0);
			assert_int_equal(now_len, len);
			assert_string_equal(now, whole);
		}
	}
	reload(&d);
	assert_int_equal(sk_generations_running(d.g)->number, 2);
	assert_int_equal(sk_generations_good(d.g)->number, 1);
	unload(&d);
}

/* One that was damaged at the start already is told, and left as it is: nobody knows what stood there. */
static void damage_before_the_start(void **state)
{
	struct device d = { .path = *state };
	_cleanup_free_ char *path =
		sk_asprintf("%s/records/generation-00000000000000000002", (char *)*state);
	_cleanup_strv_ char **found = NULL;
	struct sk_err err = SK_ERR_INIT;

	load(&d);
	make_good(&d, "1.0", false);
	make_good(&d, "2.0", false);
	put_file(path, "rot", 3);
	reload(&d);
	assert_int_equal(sk_generations_running(d.g)->number, 1);
	assert_int_equal(sk_generations_verify(d.g, &found, NULL), 3);
	assert_int_equal(sk_strv_len(found), 1);
	assert_string_equal(found[0], "generation-00000000000000000002");
	/* A disk that does not take what is to be written anew says so. */
	d.plan = (struct fault_plan){ .stay = true, .code = -EIO };
	assert_true(sk_generations_verify(d.g, &found, &err) < 0);
	assert_string_equal(err.slug, "io");
	unload(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(upgrade),
		STORE_TEST(falls_back),
		STORE_TEST(first_one_bad),
		STORE_TEST(boots_are_spent),
		STORE_TEST(ephemeral_is_gone_after_reboot),
		STORE_TEST(lasting_over_ephemeral),
		STORE_TEST(one_at_a_time),
		STORE_TEST(staging),
		STORE_TEST(clock_in_1970),
		STORE_TEST(collects),
		STORE_TEST(numbers_never_return),
		STORE_TEST(too_many),
		STORE_TEST(damaged_records),
		STORE_TEST(a_bad_sector_costs_one_generation),
		STORE_TEST(damage_while_running),
		STORE_TEST(damage_before_the_start),
		STORE_TEST(parked),
		STORE_TEST(link_before_a_collection),
		STORE_TEST(overtaken),
		STORE_TEST(a_try_that_comes_back),
		STORE_TEST(swapped_record),
		STORE_TEST(disk_refuses),
		STORE_TEST(refused_verdict_is_caught_up),
		STORE_TEST(each_operation_fails),
		STORE_TEST(done_is_on_record),
		STORE_TEST(one_failed_write_is_a_failure),
		STORE_TEST(a_failed_removal_is_a_failure),
		STORE_TEST(boot_identity),
	};

	return cmocka_run_group_tests_name("engine/update/generations", tests, NULL, NULL);
}
