/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "model/image.h"
#include "engine/update/capsule_run.h"
#include "world.h"

static struct sk_image_ref ref;

/* Bytes as an image of the store, whatever they are. */
static void store(const void *data, size_t len)
{
	struct sk_staged *st = NULL;

	ref = (struct sk_image_ref){ .name = (char *)"odd.itb", .size_bytes = len };
	assert_int_equal(sk_digest_of(data, len, &ref.digest), 0);
	assert_int_equal(sk_staged_open(w.store, &ref.digest, len, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, data, len, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
}

static void refused(const char *slug)
{
	const struct sk_app app = { .name = (char *)"db", .image = &ref };
	struct sk_err err = SK_ERR_INIT;
	struct sk_run run = { 0 };

	assert_true(sk_capsule_run(w.store, &app, &run, &err) < 0);
	assert_string_equal(err.slug, slug);
	assert_non_null(strstr(err.text, "image odd.itb"));
}

/* The image's own words below, the manifest's above. */
static void lays_the_manifest_over(void **state)
{
	char *const own[] = { (char *)"/bin/own", NULL }, *const words[] = { (char *)"-v", NULL };
	struct sk_image_info info = { .rootfs_size = 4096,
				      .name = (char *)"odd.itb",
				      .arch = (char *)"amd64",
				      .run = { .command = (char **)own } };
	struct sk_app app = { .name = (char *)"db",
			      .image = &ref,
			      .run.arguments = (char **)words };
	_cleanup_free_ void *tree = NULL;
	_cleanup_free_ char *all = NULL;
	struct sk_err err = SK_ERR_INIT;
	struct sk_run run = { 0 };
	size_t len;

	assert_int_equal(sk_image_build_tree(&info, &tree, &len, NULL), 0);
	all = calloc(1, len + 4096);
	memcpy(all, tree, len);
	store(all, len + 4096);
	if (sk_capsule_run(w.store, &app, &run, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(run.command[0], "/bin/own");
	assert_string_equal(run.arguments[0], "-v");
	sk_run_done(&run);
}

/* It is what its digest says, and no image all the same: a signer's mistake, told before anything stops. */
static void not_an_image(void **state)
{
	static const char zeros[8192];
	char tree[4096] = "\xd0\x0d\xfe\xed\xff\xff\xff\xff";

	ref = (struct sk_image_ref){ .name = (char *)"odd.itb", .digest.bytes = { 9 } };
	refused("not-found");
	store("x", 1);
	refused("bad-image");
	store(zeros, sizeof(zeros));
	refused("bad-image");
	store(tree, sizeof(tree));
	refused("bad-image");
	tree[4] = tree[5] = tree[6] = 0;
	tree[6] = 0x20; /* 8 KiB, of which half is there */
	tree[7] = 0;
	store(tree, sizeof(tree));
	refused("bad-image");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lays_the_manifest_over),
		TEST(not_an_image),
	};

	return cmocka_run_group_tests_name("engine/update/image_config", tests, NULL, NULL);
}
