/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/str.h"
#include "world.h"

/* What the file system says is free. */
static uint64_t free_bytes = UINT64_C(1) << 40;
static int statvfs_fails;

int __wrap_statvfs64(const char *path, struct statvfs *ret);
int __wrap_statvfs64(const char *path, struct statvfs *ret)
{
	*ret = (struct statvfs){ .f_bavail = free_bytes, .f_frsize = 1 };
	errno = statvfs_fails;
	return statvfs_fails ? -1 : 0;
}

#define RESERVE (UINT64_C(2) << 20)

/* The sum of what is missing must fit, above a reserve; an image that comes twice counts once. */
static void room(void **state)
{
	const struct spec s = { "1.0", { "same", "same", "other" }, .no_images = true };
	struct sk_image_ref same = make_image("db.itb", "same", false),
			    other = make_image("job.itb", "other", false),
			    web = make_image("web.itb", "same", false);
	uint64_t need = same.size_bytes + other.size_bytes;
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;

	/* The name is part of an image here: two of these three are different files. */
	if (!sk_digest_equal(&same.digest, &web.digest))
		need += web.size_bytes;
	free_bytes = need + RESERVE - 1;
	assert_int_equal(intake(&s, &id, &err), -ENOSPC);
	assert_string_equal(err.slug, "no-space");
	assert_int_equal(releases_here(), 0);
	assert_int_equal(sk_strv_len(sk_intake_kept(w.intake)), 0);
	free_bytes = need + RESERVE;
	assert_int_equal(intake(&s, &id, &err), 0);
	assert_int_equal(releases_here(), 1);
	/* Nothing is missing: nothing is needed. */
	(void)make_image("db.itb", "same", true);
	(void)make_image("web.itb", "same", true);
	(void)make_image("job.itb", "other", true);
	free_bytes = 0;
	assert_int_equal(intake(&s, &id, &err), 0);
	/* A file system that does not answer has no room. */
	statvfs_fails = EIO;
	assert_int_equal(intake(&(struct spec){ "2.0", { "new" }, .no_images = true }, &id, &err),
			 -ENOSPC);
	statvfs_fails = 0;
	free_bytes = UINT64_C(1) << 40;
}

/* More than an image can have, and as much as one can have on a disk without that room. */
static void sizes_that_are_claimed(void **state)
{
	struct spec s = { "1.0", { "d1" }, .no_images = true, .claim = UINT64_C(5) << 30 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;

	assert_int_equal(intake(&s, &id, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-manifest");
	assert_non_null(strstr(err.text, "5368709120 is out of range"));
	s.claim = UINT64_MAX;
	assert_int_equal(intake(&s, &id, &err), -EINVAL);
	free_bytes = UINT64_C(2) << 30;
	s.claim = UINT32_MAX;
	assert_int_equal(intake(&s, &id, &err), -ENOSPC);
	assert_string_equal(err.slug, "no-space");
	assert_int_equal(releases_here(), 0);
	free_bytes = UINT64_C(1) << 40;
}

/* What stands in the way is collected first: here the image of nobody. */
static void makes_room(void **state)
{
	struct sk_image_ref idle = make_image("tool.itb", "t", true);
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;

	free_bytes = 0;
	assert_int_equal(intake(&(struct spec){ "1.0", { "d1" }, .no_images = true }, &id, &err),
			 -ENOSPC);
	assert_false(sk_store_has(w.store, &idle.digest));
	free_bytes = UINT64_C(1) << 40;
}

/* The record of those kept is rubbish, or gone: nothing worse than that they are forgotten. */
static void damaged_record(void **state)
{
	static const char *const rubbish[] = { "", "\n\n\n", "zz\nsha256:", "\xff\xfe" };
	struct sk_digest id;

	for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++) {
		assert_int_equal(sk_store_put_record(w.store, "kept-releases", rubbish[i],
						     strlen(rubbish[i]), NULL),
				 0);
		power_cut();
		run_until_idle();
		assert_int_equal(sk_strv_len(sk_intake_kept(w.intake)), 0);
		assert_int_equal(intake(&(struct spec){ "1.0", { "d1" } }, &id, NULL), 0);
		assert_int_equal(sk_strv_len(sk_intake_kept(w.intake)), 1);
		/* Again: it is the newest, and there once. */
		assert_int_equal(intake(&(struct spec){ "1.0", { "d1" } }, &id, NULL), 0);
		assert_int_equal(sk_strv_len(sk_intake_kept(w.intake)), 1);
	}
}

/* A record that cannot be read at all, or is far too large. */
static void unreadable_record(void **state)
{
	_cleanup_free_ char *path = sk_asprintf("%s/records/kept-releases", w.store_dir);
	struct sk_digest id;

	go(&(struct spec){ "1.0", { "d1" } });
	assert_int_equal(intake(&(struct spec){ "2.0", { "d2" } }, &id, NULL), 0);
	assert_int_equal(truncate(path, 1 << 20), 0);
	power_cut();
	run_until_idle();
	assert_int_equal(sk_strv_len(sk_intake_kept(w.intake)), 0);
	assert_int_equal(fake_running("db", NULL), 1);
	assert_int_equal(intake(&(struct spec){ "2.0", { "d2" } }, &id, NULL), 0);
}

/* Each operation on the disk fails in turn, once or for good, full or broken: told, and nothing half done. */
static void each_operation_fails(void **state)
{
	static const int codes[] = { -ENOSPC, -EIO, -EROFS };
	bool done = false;

	w.mount = faulty_disk;
	power_cut();
	run_until_idle();
	go(&(struct spec){ "1.0", { "d1" } });
	for (unsigned i = 0; !done; i++) {
		struct sk_err err = SK_ERR_INIT;
		char version[16];
		struct sk_digest id;
		uint64_t number;
		int r;

		(void)snprintf(version, sizeof(version), "2.%u", i);
		(void)make_image("db.itb", version, true);
		disk_plan = (struct fault_plan){ .fail_at = i / 2,
						 .code = codes[i % 3],
						 .stay = i % 2 };
		r = intake(&(struct spec){ version, { version }, .no_images = true }, &id, &err);
		if (r == 0)
			r = sk_update_apply(w.u, &id, &number, &err);
		done = r == 0 && disk_plan.seen <= disk_plan.fail_at;
		if (r < 0)
			assert_true(err.slug[0] && err.text[0]);
		for (int k = 0; k < 10000 && !is_idle(); k++)
			assert_true(sd_event_run(w.event, 1000000) >= 0);
		assert_int_equal(sk_machine_state(w.u->machine), SK_UPD_IDLE);
		disk_plan = (struct fault_plan){ .fail_at = ~0u };
		power_cut();
		run_until_idle();
		/* One of the two runs, and no other. */
		assert_int_equal(fake_running("db", NULL), 1);
		assert_non_null(sk_generations_floor(w.u->gens));
		assert_int_equal(fake_double_runs, 0);
		assert_true(i < 600);
	}
	w.mount = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(room),	      TEST(sizes_that_are_claimed), TEST(makes_room),
		TEST(damaged_record), TEST(unreadable_record),	    TEST(each_operation_fails),
	};

	return cmocka_run_group_tests_name("engine/update/intake", tests, NULL, NULL);
}
