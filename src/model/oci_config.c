/* SPDX-License-Identifier: Apache-2.0 */
#include "model/image.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/str.h"

/*
 * The "config" object of an OCI image configuration (image-spec config.md; the Docker image
 * format is the same words plus Healthcheck). All of it comes from a stranger.
 */
#define CONFIG_SIZE_MAX	 (1u << 20)
#define STRINGS_MAX	 1024 /* per list */
#define ENV_MAX		 512
#define STRING_SIZE_MAX	 (32u << 10)
#define USER_SIZE_MAX	 256
#define WORKING_DIR_MAX	 1024
#define HEALTH_RETRY_MAX 1000
#define NS_PER_MS	 1000000

/* Docker's own defaults for what a Healthcheck leaves out. */
#define HEALTH_INTERVAL_MS 30000
#define HEALTH_TIMEOUT_MS  30000
#define HEALTH_RETRIES	   3
#define HEALTH_MS_MIN	   100ull
#define HEALTH_MS_MAX	   (24ull * 3600 * 1000)

static void decrefp(json_t **j)
{
	json_decref(*j);
}

static int bad_config(struct sk_err *err, const char *key, const char *what)
{
	return sk_err_set(err, -EBADMSG, "bad-image", "the image's configuration: %s %s", key,
			  what);
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

/* Absent, null: *ret = NULL. Docker writes "" and [] for "not given", so "" is NULL too. */
static int get_str(const json_t *obj, const char *key, size_t max, const char **ret,
		   struct sk_err *err)
{
	const json_t *v = json_object_get(obj, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return bad_config(err, key, "is not a string");
	if (json_string_length(v) > max)
		return bad_config(err, key, "is too long");
	if (json_string_length(v) > 0)
		*ret = json_string_value(v);
	return 0;
}

static int get_object(const json_t *obj, const char *key, const json_t **ret, struct sk_err *err)
{
	const json_t *v = json_object_get(obj, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_object(v))
		return bad_config(err, key, "is not an object");
	*ret = v;
	return 0;
}

static int get_strv(const json_t *obj, const char *key, char ***ret, struct sk_err *err)
{
	_cleanup_strv_ char **strv = NULL;
	const json_t *list = json_object_get(obj, key), *v;
	size_t i;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return bad_config(err, key, "is not a list");
	if (json_array_size(list) > STRINGS_MAX)
		return bad_config(err, key, "has over 1024 entries");
	json_array_foreach (list, i, v) {
		if (!json_is_string(v))
			return bad_config(err, key, "holds something that is not a string");
		if (json_string_length(v) > STRING_SIZE_MAX)
			return bad_config(err, key, "holds a string over 32 KiB");
		if (sk_strv_add(&strv, json_string_value(v)) < 0)
			return sk_err_oom(err);
	}
	*ret = TAKE_PTR(strv);
	return 0;
}

static bool oci_env_name_ok(const char *name, size_t len)
{
	if (len == 0 || len > 255 || isdigit((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

static struct sk_env *oci_find_env(struct sk_run *run, const char *name, size_t len)
{
	for (size_t i = 0; i < run->n_env; i++)
		if (strlen(run->env[i].name) == len && strncmp(run->env[i].name, name, len) == 0)
			return &run->env[i];
	return NULL;
}

/* A name given twice: the later value counts, as in Docker. @run->env has room for one more. */
static int oci_add_env(struct sk_run *run, const char *entry, struct sk_err *err)
{
	size_t len = strcspn(entry, "=");
	struct sk_env *e;
	char *value;

	if (entry[len] != '=' || !oci_env_name_ok(entry, len))
		return bad_config(err, "Env", "holds an entry that is not NAME=value");
	value = strdup(entry + len + 1);
	if (!value)
		return sk_err_oom(err);
	e = oci_find_env(run, entry, len);
	if (e) {
		free(e->value);
		e->value = value;
		return 0;
	}
	e = &run->env[run->n_env];
	e->name = strndup(entry, len);
	if (!e->name) {
		free(value);
		return sk_err_oom(err);
	}
	e->value = value;
	run->n_env++;
	return 0;
}

static int take_env(const json_t *config, struct sk_run *run, struct sk_err *err)
{
	_cleanup_strv_ char **entries = NULL;
	int r = get_strv(config, "Env", &entries, err);

	if (r < 0 || !entries)
		return r;
	if (sk_strv_len(entries) > ENV_MAX)
		return bad_config(err, "Env", "has over 512 variables");
	run->env = calloc(sk_strv_len(entries), sizeof(*run->env));
	if (!run->env)
		return sk_err_oom(err);
	SK_STRV_FOREACH (e, entries) {
		r = oci_add_env(run, *e, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Docker keeps "/srv/" as it was written; the words of a manifest have no slash at the end. */
static char *copy_dir(const char *dir)
{
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	return strndup(dir, len);
}

static int take_words(const json_t *config, struct sk_run *run, struct sk_err *err)
{
	const char *user, *dir, *stop;
	int r;

	r = get_str(config, "User", USER_SIZE_MAX, &user, err);
	if (r < 0)
		return r;
	r = get_str(config, "WorkingDir", WORKING_DIR_MAX, &dir, err);
	if (r < 0)
		return r;
	r = get_str(config, "StopSignal", 32, &stop, err);
	if (r < 0)
		return r;
	if (user && !printable(user))
		return bad_config(err, "User", "has control characters");
	if (dir && (dir[0] != '/' || !printable(dir)))
		return bad_config(err, "WorkingDir", "is not an absolute path");
	if (stop && sk_signal_parse(stop, &run->stop_signal) < 0)
		return bad_config(err, "StopSignal", "is not a signal");
	run->user = user ? strdup(user) : NULL;
	run->working_dir = dir ? copy_dir(dir) : NULL;
	return (user && !run->user) || (dir && !run->working_dir) ? sk_err_oom(err) : 0;
}

/* Nanoseconds to ms, at least HEALTH_MS_MIN; 0 or absent gives @otherwise. */
static int get_duration(const json_t *obj, const char *key, uint64_t otherwise, uint64_t *ret_ms,
			struct sk_err *err)
{
	const json_t *v = json_object_get(obj, key);
	json_int_t ns;

	*ret_ms = otherwise;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return bad_config(err, key, "is not a number of nanoseconds");
	ns = json_integer_value(v);
	if (ns == 0)
		return 0;
	*ret_ms = SK_MAX((uint64_t)ns / NS_PER_MS, HEALTH_MS_MIN);
	return *ret_ms > HEALTH_MS_MAX ? bad_config(err, key, "is over a day") : 0;
}

static int take_health_test(char **test, struct sk_health *health, struct sk_err *err)
{
	bool shell = sk_streq(test[0], "CMD-SHELL");
	int r = 0;

	if (!shell && !sk_streq(test[0], "CMD"))
		return bad_config(err, "Healthcheck", "is neither NONE, CMD nor CMD-SHELL");
	if (!test[1] || (shell && test[2]))
		return bad_config(err, "Healthcheck", "has no command, or too many");
	if (shell) {
		r = sk_strv_add(&health->command, "/bin/sh");
		if (r == 0)
			r = sk_strv_add(&health->command, "-c");
	}
	for (char **t = test + 1; r == 0 && *t; t++)
		r = sk_strv_add(&health->command, *t);
	if (r < 0)
		return sk_err_oom(err);
	health->kind = SK_HEALTH_COMMAND;
	return 0;
}

static int take_health_times(const json_t *obj, struct sk_health *health, struct sk_err *err)
{
	const json_t *retries = json_object_get(obj, "Retries");
	int r;

	r = get_duration(obj, "Interval", HEALTH_INTERVAL_MS, &health->interval_ms, err);
	if (r < 0)
		return r;
	r = get_duration(obj, "Timeout", HEALTH_TIMEOUT_MS, &health->timeout_ms, err);
	if (r < 0)
		return r;
	r = get_duration(obj, "StartPeriod", 0, &health->start_period_ms, err);
	if (r < 0)
		return r;
	health->retries = HEALTH_RETRIES;
	if (!retries || json_is_null(retries))
		return 0;
	if (!json_is_integer(retries) || json_integer_value(retries) < 0 ||
	    json_integer_value(retries) > HEALTH_RETRY_MAX)
		return bad_config(err, "Retries", "is not a number up to 1000");
	if (json_integer_value(retries) > 0)
		health->retries = (uint32_t)json_integer_value(retries);
	return 0;
}

static int take_health(const json_t *config, struct sk_health *health, struct sk_err *err)
{
	_cleanup_strv_ char **test = NULL;
	const json_t *obj;
	int r;

	r = get_object(config, "Healthcheck", &obj, err);
	if (r < 0 || !obj)
		return r;
	r = get_strv(obj, "Test", &test, err);
	if (r < 0)
		return r;
	if (!test)
		return 0;
	if (sk_streq(test[0], "NONE")) {
		health->disabled = true;
		return 0;
	}
	r = take_health_times(obj, health, err);
	return r < 0 ? r : take_health_test(test, health, err);
}

/* GOARCH names, with Debian's for 32-bit ARM. */
static int take_arch(const json_t *root, char **ret, struct sk_err *err)
{
	static const struct {
		const char *oci, *ours;
	} archs[] = { { "amd64", "amd64" }, { "arm64", "arm64" }, { "arm", "armhf" } };
	const char *os, *arch;
	int r;

	r = get_str(root, "os", 64, &os, err);
	if (r == 0)
		r = get_str(root, "architecture", 64, &arch, err);
	if (r < 0)
		return r;
	if (os && !sk_streq(os, "linux"))
		return bad_config(err, "os", "is not linux");
	for (size_t i = 0; arch && i < ARRAY_SIZE(archs); i++) {
		if (!sk_streq(archs[i].oci, arch))
			continue;
		*ret = strdup(archs[i].ours);
		return *ret ? 0 : sk_err_oom(err);
	}
	return bad_config(err, "architecture", "is not amd64, arm64 or arm");
}

static int take_config(const json_t *config, struct sk_run *run, struct sk_err *err)
{
	int r;

	r = get_strv(config, "Entrypoint", &run->command, err);
	if (r < 0)
		return r;
	r = get_strv(config, "Cmd", &run->arguments, err);
	if (r < 0)
		return r;
	r = take_env(config, run, err);
	if (r < 0)
		return r;
	r = take_words(config, run, err);
	return r < 0 ? r : take_health(config, &run->health, err);
}

int sk_run_from_oci(const char *json, size_t len, struct sk_run *ret, char **ret_arch,
		    struct sk_err *err)
{
	_cleanup_(decrefp) json_t *root = NULL;
	_cleanup_(sk_run_done) struct sk_run run = { 0 };
	_cleanup_free_ char *arch = NULL;
	const json_t *config;
	int r;

	if (len > CONFIG_SIZE_MAX)
		return sk_err_set(err, -EBADMSG, "bad-image",
				  "the image's configuration is over 1 MiB");
	root = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root))
		return sk_err_set(err, -EBADMSG, "bad-image",
				  "the image's configuration is not a JSON object");
	r = take_arch(root, &arch, err);
	if (r == 0)
		r = get_object(root, "config", &config, err);
	if (r == 0 && config)
		r = take_config(config, &run, err);
	if (r < 0)
		return r;
	*ret = run;
	run = (struct sk_run){ 0 };
	*ret_arch = TAKE_PTR(arch);
	return 0;
}
