/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "model/release.h"

#define S(literal) ((char *)(literal)) /* the model owns its strings; these are nobody's */

static char *types[] = { S("acme,station-v2"), S("acme,station"), NULL };
static char *station[] = { S("acme,station"), NULL };
static char *boat[] = { S("acme,boat"), NULL };

static struct sk_manifest manifest(void)
{
	return (struct sk_manifest){
		.project = S("station"),
		.version = S("1.2.0"),
		.compatible = station,
	};
}

static struct sk_device_facts facts(void)
{
	return (struct sk_device_facts){
		.compatible = types,
		.project = S("station"),
		.version = "1.1.0",
		.now_s = 1800000000,
	};
}

static void check(const struct sk_manifest *m, const struct sk_device_facts *f, const char *slug)
{
	struct sk_err err = SK_ERR_INIT;
	int r = sk_release_suits(m, f, &err);

	if (!slug) {
		assert_int_equal(r, 0);
		return;
	}
	assert_int_equal(r, -EPERM);
	assert_string_equal(err.slug, slug);
	assert_true(strlen(err.text) > 20);
}

static void device_types(void **state)
{
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	check(&m, &f, NULL);
	m.compatible = boat;
	check(&m, &f, "wrong-device");
	m.compatible = station;
	f.compatible = NULL;
	check(&m, &f, "wrong-device");
	m.compatible = NULL;
	f.compatible = types;
	check(&m, &f, "wrong-device");
}

static void versions(void **state)
{
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	f.version = "1.2.0"; /* the same again is fine */
	check(&m, &f, NULL);
	f.version = "1.2.1";
	check(&m, &f, "downgrade");
	f.version = "1.10.0"; /* numbers, not letters */
	check(&m, &f, "downgrade");
	m.version = S("1.2.0-rc.1");
	f.version = "1.2.0";
	check(&m, &f, "downgrade");
	m.allow_downgrade = true;
	check(&m, &f, NULL);
}

static void first_release(void **state)
{
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	f.project = NULL;
	f.version = NULL;
	m.version = S("0.0.1");
	check(&m, &f, NULL);
}

/* Somebody else's 9.0 must not push a station's 1.1 out. */
static void other_project(void **state)
{
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	m.project = S("demo");
	m.version = S("9.0.0");
	check(&m, &f, "wrong-device");
	m.allow_downgrade = true;
	check(&m, &f, NULL);
}

static void expiry(void **state)
{
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	m.expires_s = f.now_s + 1;
	check(&m, &f, NULL);
	m.expires_s = f.now_s;
	check(&m, &f, "expired");
	m.allow_downgrade = true; /* allows older versions, nothing else */
	check(&m, &f, "expired");
	f.now_s = 1; /* 1970, and trusted */
	check(&m, &f, NULL);
	f.now_s = 0; /* not trusted */
	check(&m, &f, NULL);
}

static void operating_system(void **state)
{
	struct sk_image_ref os = { .name = S("os.pkg"), .pinned = true };
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	m.system = &os;
	check(&m, &f, "not-supported");
	f.has_os_slots = true;
	check(&m, &f, NULL);
}

static void unpinned(void **state)
{
	struct sk_image_ref images[] = { { .name = S("web.itb") } };
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	m.images = images;
	m.n_images = 1;
	check(&m, &f, "bad-release");
	images[0].pinned = true;
	images[0].size_bytes = 1;
	check(&m, &f, NULL);
}

/* What is wrong first in the documented order is what is told. */
static void order(void **state)
{
	struct sk_image_ref os = { .name = S("os.pkg"), .pinned = true };
	struct sk_manifest m = manifest();
	struct sk_device_facts f = facts();

	m.compatible = boat;
	f.version = "2.0.0";
	m.expires_s = 1;
	m.system = &os;
	check(&m, &f, "wrong-device");
	m.compatible = station;
	check(&m, &f, "downgrade");
	f.version = "1.0.0";
	check(&m, &f, "expired");
	m.expires_s = 0;
	check(&m, &f, "not-supported");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_types),	 cmocka_unit_test(versions),
		cmocka_unit_test(first_release), cmocka_unit_test(other_project),
		cmocka_unit_test(expiry),	 cmocka_unit_test(operating_system),
		cmocka_unit_test(unpinned),	 cmocka_unit_test(order),
	};

	return cmocka_run_group_tests_name("model/release", tests, NULL, NULL);
}
