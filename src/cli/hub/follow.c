/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hub/follow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "base/str.h"
#include "io/json.h"

#define EVERY_MS    1000
#define RETRIES_MAX 30 /* in a row: the hub may be restarted meanwhile */

static void say_change(const json_t *job)
{
	_cleanup_free_ char *name =
		sk_hub_text(job, &(struct sk_hub_column){ "", "device_name", SK_HUB_TEXT });
	_cleanup_free_ char *reason =
		sk_hub_text(job, &(struct sk_hub_column){ "", "reason", SK_HUB_TEXT });
	_cleanup_free_ char *step =
		sk_hub_text(job, &(struct sk_hub_column){ "", "step", SK_HUB_TEXT });
	char size[32] = "";
	uint64_t total = (uint64_t)json_integer_value(json_object_get(job, "bytes_total"));

	if (sk_streq(sk_hub_str(job, "step"), "downloading") && total > 0)
		(void)sk_format_size(size, total);
	(void)printf("%s: %s%s%s%s%s\n", name ? name : "?", step ? step : "?", *size ? " " : "",
		     size, reason && !sk_streq(reason, "-") ? ": " : "",
		     reason && !sk_streq(reason, "-") ? reason : "");
	(void)fflush(stdout);
}

/* Prints what changed since the last look; counts those that go on and those that failed. */
static int print_changes(struct sk_cli *cli, const json_t *list, struct sk_map *seen,
			 size_t *running, size_t *failed)
{
	const json_t *job;
	size_t i;

	*running = *failed = 0;
	json_array_foreach (list, i, job) {
		const char *step = sk_hub_str(job, "step"), *id = sk_hub_str(job, "id");
		const char *before = sk_map_get(seen, id);
		char *copy;

		*failed += sk_streq(step, "failed") || sk_streq(step, "aborted");
		*running += !sk_streq(step, "done") && !sk_streq(step, "failed") &&
			    !sk_streq(step, "aborted");
		if (before && sk_streq(before, step))
			continue;
		if (!sk_cli_json(cli))
			say_change(job);
		sk_map_del(seen, id);
		copy = strdup(step);
		if (!copy || sk_map_add(seen, id, copy) < 0) {
			free(copy);
			return -ENOMEM;
		}
	}
	return 0;
}

/* @path names a list of jobs, or one job. */
static int fetch(struct sk_http_client *c, const char *path, json_t **ret, struct sk_err *err)
{
	json_t *job = NULL;
	int r;

	if (path && sk_str_ends(path, "/jobs"))
		return sk_hub_list(c, path, "jobs", "before", ret, err);
	r = sk_hub_call(c, "GET", path, NULL, &job, err);
	if (r == 0)
		*ret = json_pack("[o]", job);
	return r;
}

int sk_hub_follow(struct sk_cli *cli, struct sk_http_client *c, const char *path,
		  struct sk_err *err)
{
	_cleanup_(sk_map_freep) struct sk_map *seen = sk_map_new(free);
	size_t running = 1, failed = 0;
	unsigned retries = 0;

	if (!seen)
		return sk_err_oom(err);
	for (;;) {
		_cleanup_json_ json_t *list = NULL;
		int r = fetch(c, path, &list, err);

		if (r < 0 && (!sk_err_is(err, "unreachable") || ++retries > RETRIES_MAX))
			return r;
		if (r == 0) {
			retries = 0;
			if (print_changes(cli, list, seen, &running, &failed) < 0)
				return sk_err_oom(err);
		}
		if (running == 0) {
			if (sk_cli_json(cli))
				sk_cli_print_json(TAKE_PTR(list));
			return failed ? 1 : 0;
		}
		(void)nanosleep(&(struct timespec){ .tv_sec = EVERY_MS / 1000 }, NULL);
	}
}
