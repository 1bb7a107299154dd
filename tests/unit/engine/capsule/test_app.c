/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "engine/capsule/app.h"
#include "io/json.h"
#include "model/fingerprint.h"

#define S(s) ((char *)(s))

static struct sk_env env[] = { { S("A"), S("1") }, { S("EMPTY"), S("") } };
static struct sk_device_grant devices[] = { { S("/dev/i2c-1"), S("/dev/bus"), "rwm" } };
static struct sk_volume volumes[] = { { S("data"), S("/data"), true } };
static struct sk_image_ref image = { .name = S("web.itb"), .pinned = true };

static char *command[] = { S("/bin/x"), S(""), NULL }, *arguments[] = { S("-v"), NULL },
	    *check[] = { S("/bin/check"), NULL }, *servers[] = { S("zone"), NULL };

static struct sk_app everything(void)
{
	return (struct sk_app){
		.name = S("web"),
		.image = &image,
		.run = { .command = command,
			 .arguments = arguments,
			 .env = env,
			 .n_env = 2,
			 .user = S("app:video"),
			 .working_dir = S("/srv"),
			 .stop_signal = 15,
			 .stop_grace_ms = 1234,
			 .health = { .kind = SK_HEALTH_HTTP,
				     .command = check,
				     .http_path = S("/h"),
				     .port = 8080,
				     .interval_ms = 1,
				     .timeout_ms = 2,
				     .start_period_ms = 3,
				     .retries = 4 } },
		.devices = devices,
		.n_devices = 1,
		.volumes = volumes,
		.n_volumes = 1,
		.memory_bytes = UINT64_C(5) << 30,
		.cpu_millis = 250,
		.pids = 99,
		.restart = SK_RESTART_ALWAYS,
		.restart_max = 5,
		.restart_window_ms = 60000,
		.backoff_min_ms = 10,
		.backoff_max_ms = 1000,
		.network = SK_NETWORK_HOST,
		.writable_root = true,
		.keep_logs = true,
		.msg_servers = servers,
		.device_setup = S("/setup.sh"),
	};
}

static struct sk_app copy(const struct sk_app *app)
{
	_cleanup_json_ json_t *o = sk_app_to_json(app), *back = NULL;
	_cleanup_free_ char *text = json_dumps(o, 0);
	struct sk_app ret = { 0 };

	assert_non_null(text);
	assert_int_equal(sk_json_parse(text, strlen(text), &back, NULL), 0);
	assert_int_equal(sk_app_from_json(back, &ret, NULL), 0);
	ret.image = app->image;
	return ret;
}

/* The fingerprint covers every field that decides how an app runs. */
static void same_after_a_copy(void **state)
{
	struct sk_app app = everything(), other, bare = { .name = S("b"), .image = &image };
	struct sk_digest a, b;

	other = copy(&app);
	assert_int_equal(sk_app_fingerprint(&app, &a), 0);
	assert_int_equal(sk_app_fingerprint(&other, &b), 0);
	assert_true(sk_digest_equal(&a, &b));
	assert_true(other.keep_logs);
	sk_app_done(&other);

	other = copy(&bare);
	assert_int_equal(sk_app_fingerprint(&bare, &a), 0);
	assert_int_equal(sk_app_fingerprint(&other, &b), 0);
	assert_true(sk_digest_equal(&a, &b));
	assert_null(other.run.command);
	assert_null(other.run.user);
	sk_app_done(&other);
}

static void not_utf8(void **state)
{
	struct sk_app app = everything();

	app.run.user = S("\xff");
	assert_null(sk_app_to_json(&app));
}

static void damaged(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"name\": 1}",
		"{\"name\": \"../x\"}",
		"{\"name\": \"a\", \"kind\": 7}",
		"{\"name\": \"a\", \"restart\": -1}",
		"{\"name\": \"a\", \"pids\": 4294967296}",
		"{\"name\": \"a\", \"command\": \"x\"}",
		"{\"name\": \"a\", \"command\": [1]}",
		"{\"name\": \"a\", \"env\": [1]}",
		"{\"name\": \"a\", \"env\": [[\"A\"]]}",
		"{\"name\": \"a\", \"devices\": [{\"path\": \"/x\"}]}",
		"{\"name\": \"a\", \"devices\": [{\"path\": \"/x\", \"target\": \"/x\","
		" \"mode\": \"rwmx\"}]}",
		"{\"name\": \"a\", \"volumes\": [{\"name\": \"x\"}]}",
		"{\"name\": \"a\", \"health\": {\"port\": 65536}}",
		"{\"name\": \"a\", \"stop_signal\": 65}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_json_ json_t *o = NULL;
		struct sk_err err = SK_ERR_INIT;
		struct sk_app app;

		assert_int_equal(sk_json_parse(bad[i], strlen(bad[i]), &o, NULL), 0);
		assert_true(sk_app_from_json(o, &app, &err) < 0);
		assert_true(err.text[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_after_a_copy),
		cmocka_unit_test(not_utf8),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
