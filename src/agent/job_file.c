/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/job.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "io/json.h"

#define JOB_FILE_MAX 4096

static char *job_path(const char *state_dir)
{
	return sk_asprintf("%s/job.json", state_dir);
}

/* Job ids are the hub's words and go into paths of requests. */
static bool id_ok(const char *id)
{
	return strlen(id) <= SK_JOB_ID_MAX && sk_name_ok(id);
}

static int parse_job(const char *text, size_t len, struct sk_job *ret)
{
	_cleanup_json_ json_t *j = NULL;
	const char *id, *reason = NULL;
	int r = sk_json_parse(text, len, &j, NULL);

	if (r == 0)
		r = sk_json_need_str(j, "id", SK_JOB_ID_MAX, &id, NULL);
	if (r == 0)
		r = sk_json_need_digest(j, "release", &ret->release, NULL);
	if (r == 0)
		r = sk_json_get_u64(j, "base_generation", &ret->base_generation, NULL);
	if (r == 0)
		r = sk_json_get_bool(j, "ended", &ret->ended, NULL);
	if (r == 0)
		r = sk_json_get_bool(j, "good", &ret->good, NULL);
	if (r == 0)
		r = sk_json_get_str(j, "reason", &reason, NULL);
	if (r < 0 || !id_ok(id))
		return -EINVAL;
	(void)snprintf(ret->id, sizeof(ret->id), "%s", id);
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s", reason ?: "");
	return 0;
}

int sk_job_load(const char *state_dir, struct sk_job *ret, struct sk_err *err)
{
	_cleanup_free_ char *path = job_path(state_dir), *text = NULL;
	size_t len;
	int r;

	*ret = (struct sk_job){ 0 };
	if (!path)
		return sk_err_oom(err);
	r = sk_file_read(AT_FDCWD, path, JOB_FILE_MAX, &text, &len);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && parse_job(text, len, ret) == 0)
		return 1;
	if (r < 0 && r != -EFBIG)
		return sk_err_set(err, r, "io", "cannot read %s: %s", path, strerror(-r));
	/* The hub still has the job and hands it out again. */
	sk_warning("%s is damaged; it is forgotten", path);
	return 0;
}

int sk_job_save(const char *state_dir, const struct sk_job *job, struct sk_err *err)
{
	_cleanup_free_ char *path = job_path(state_dir), *text = NULL;
	_cleanup_json_ json_t *j = json_pack(
		"{s:s, s:s, s:I, s:b, s:b, s:s}", "id", job->id, "release",
		SK_DIGEST_STR(&job->release), "base_generation", (json_int_t)job->base_generation,
		"ended", job->ended, "good", job->good, "reason", job->reason);
	int r;

	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	if (!path || !text)
		return sk_err_oom(err);
	r = sk_file_write(AT_FDCWD, path, text, strlen(text), 0600);
	return r < 0 ? sk_err_set(err, r, "io", "cannot write %s: %s", path, strerror(-r)) : 0;
}

int sk_job_clear(const char *state_dir, struct sk_err *err)
{
	_cleanup_free_ char *path = job_path(state_dir);

	if (!path)
		return sk_err_oom(err);
	if (unlink(path) < 0 && errno != ENOENT)
		return sk_err_set(err, -errno, "io", "cannot remove %s: %s", path, strerror(errno));
	return 0;
}

int sk_job_begin(const char *state_dir, const json_t *work, struct sk_device_link *device,
		 struct sk_job *ret, struct sk_err *err)
{
	const char *id;
	int r = sk_json_need_str(work, "id", SK_JOB_ID_MAX, &id, err);

	*ret = (struct sk_job){ 0 };
	if (r == 0 && !id_ok(id))
		r = sk_err_set(err, -EINVAL, "bad-request", "the hub's job id is no name");
	if (r == 0)
		r = sk_json_need_digest(work, "release", &ret->release, err);
	if (r == 0)
		r = sk_device_last_generation(device, &ret->base_generation, err);
	if (r < 0)
		return r;
	(void)snprintf(ret->id, sizeof(ret->id), "%s", id);
	return sk_job_save(state_dir, ret, err);
}
