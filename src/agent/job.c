/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/transfer.h"
#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "io/json.h"
#include "model/release.h"

#define IMAGES_MAX	  1024
#define MISMATCHES_MAX	  3
#define FOLLOW_WAIT_S	  20
#define REPORT_TIMEOUT_MS 15000
#define PATH_MAX_JOB	  256

/** A job while it runs in this process. */
struct run {
	struct sk_job *job;
	const char *state_dir;
	struct sk_hub_link *hub;
	struct sk_device_link *device;
	struct sk_hub_link side; /* a second connection: the first one is busy with an image */
	uint64_t bytes_total, bytes_before;
};

static int report_over(struct run *run, struct sk_hub_link *link, const char *step, uint64_t bytes,
		       struct sk_err *err)
{
	char path[PATH_MAX_JOB];
	_cleanup_json_ json_t *body =
		json_pack("{s:s, s:I, s:I, s:s}", "step", step, "bytes_done", (json_int_t)bytes,
			  "bytes_total", (json_int_t)run->bytes_total, "reason", run->job->reason);

	if (!body)
		return sk_err_oom(err);
	(void)snprintf(path, sizeof(path), "/device/v1/jobs/%s/report", run->job->id);
	return sk_hub_json(link, "POST", path, body, REPORT_TIMEOUT_MS, NULL, err);
}

/* A report that does not reach the hub is not repeated: only the last one, of the end, must arrive. */
static void report_step(struct run *run, const char *step, uint64_t bytes)
{
	struct sk_err err = SK_ERR_INIT;

	if (sk_streq(run->job->step, step) && bytes == 0)
		return;
	(void)snprintf(run->job->step, sizeof(run->job->step), "%s", step);
	if (report_over(run, run->hub, step, bytes, &err) < 0)
		sk_info("report \"%s\" did not reach the hub: %s", step, err.text);
}

static void on_progress(void *arg, uint64_t image_bytes)
{
	struct run *run = arg;
	struct sk_err err = SK_ERR_INIT;

	if (!run->side.client &&
	    sk_hub_link_init(&run->side, run->hub->config, run->hub->identity, &err) < 0)
		return;
	/* The same session: a new one would end the first. */
	(void)sk_http_client_share_bearer(run->side.client, run->hub->client);
	(void)report_over(run, &run->side, "downloading", run->bytes_before + image_bytes, &err);
}

static int end_job(struct run *run, bool good, const char *reason, struct sk_err *err)
{
	struct sk_job *job = run->job;

	job->ended = true;
	job->good = good;
	(void)snprintf(job->reason, sizeof(job->reason), "%s", reason);
	/* A character that was cut could be neither saved nor reported as JSON. */
	sk_utf8_repair(job->reason);
	if (good)
		sk_notice("release %s is good", SK_DIGEST_STR(&job->release));
	else
		sk_warning("release %s failed: %s", SK_DIGEST_STR(&job->release), reason);
	return sk_job_save(run->state_dir, job, err);
}

/* Return: 0 when reported, or when the hub will never take it: the job is unknown there, or ended */
static int report_end(struct run *run, struct sk_err *err)
{
	const char *step = run->job->good ? "done" : "failed";
	int r = report_over(run, run->hub, step, run->bytes_total, err);

	if (r < 0 && !sk_hub_is_final(r) && r != -EBUSY)
		return r;
	return sk_job_clear(run->state_dir, err);
}

static int job_fetch_release(struct run *run, json_t **ret, struct sk_err *err)
{
	char path[PATH_MAX_JOB];
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "GET", .path = path, .answer_max = SK_RELEASE_FILE_MAX);
	int r;

	(void)snprintf(path, sizeof(path), "/device/v1/releases/%s",
		       SK_DIGEST_STR(&run->job->release));
	r = sk_hub_call(run->hub, &call, err);
	if (r < 0) {
		if (sk_hub_is_final(r))
			return end_job(run, false, err->text, err) ?: -ECANCELED;
		return r;
	}
	r = sk_device_put_release(run->device, call.answer.data, call.answer.len, ret, err);
	if (r < 0 && sk_device_refused(r, err))
		return end_job(run, false, err->text, err) ?: -ECANCELED;
	return r;
}

/* What skerryd says of the release: from what it has, else with the hub's file. */
static int take_in(struct run *run, json_t **ret, struct sk_err *err)
{
	char path[PATH_MAX_JOB];
	struct sk_digest id;
	int r;

	(void)snprintf(path, sizeof(path), "/releases/%s", SK_DIGEST_STR(&run->job->release));
	r = sk_device_get(run->device, path, ret, err);
	if (r == 0 || r == -EHOSTUNREACH)
		return r;
	r = job_fetch_release(run, ret, err);
	if (r == 0)
		r = sk_json_need_digest(*ret, "id", &id, err);
	if (r == 0 && !sk_digest_equal(&id, &run->job->release))
		return end_job(run, false, "the hub sent another release than it named", err)
			       ?: -ECANCELED;
	return r;
}

static int fetch_image(struct run *run, const struct sk_device_image *image, struct sk_err *err)
{
	bool refused;
	int r = sk_transfer_image(run->hub, run->device, &image->digest, on_progress, run, &refused,
				  err);

	if (r == -EBADMSG && ++run->job->mismatches < MISMATCHES_MAX)
		return r; /* nothing of it was stored: from the start, later */
	if (r == -EBADMSG || (r < 0 && refused))
		return end_job(run, false, err->text, err) ?: -ECANCELED;
	return r;
}

static int sum_images(struct run *run, json_t *images, struct sk_err *err)
{
	struct sk_device_image image;
	size_t i;
	json_t *j;

	run->bytes_total = 0;
	if (json_array_size(images) > IMAGES_MAX)
		return sk_err_set(err, -EBADMSG, "bad-request", "skerryd names too many images");
	json_array_foreach (images, i, j) {
		int r = sk_device_image_parse(j, &image, err);

		if (r < 0)
			return r;
		if (!image.have)
			run->bytes_total += image.size_bytes;
	}
	return 0;
}

static int fetch_images(struct run *run, const json_t *release, struct sk_err *err)
{
	json_t *images = json_object_get(release, "images"), *j;
	struct sk_device_image image;
	size_t i;
	int r = sum_images(run, images, err);

	if (r == 0 && run->bytes_total > 0)
		report_step(run, "downloading", 0);
	run->bytes_before = 0;
	json_array_foreach (images, i, j) {
		if (r == 0)
			r = sk_device_image_parse(j, &image, err);
		if (r == 0 && !image.have)
			r = fetch_image(run, &image, err);
		if (r < 0)
			return r;
		run->bytes_before += image.have ? 0 : image.size_bytes;
	}
	return r;
}

static int apply(struct run *run, struct sk_err *err)
{
	uint64_t generation;
	int r;

	report_step(run, "applying", 0);
	r = sk_device_apply(run->device, &run->job->release, &generation, err);
	if (r < 0 && sk_device_refused(r, err))
		return end_job(run, false, err->text, err) ?: -ECANCELED;
	/* The very one that runs already. */
	if (r == 0 && generation <= run->job->base_generation)
		run->job->base_generation = generation - 1;
	return r < 0 ? r : sk_job_save(run->state_dir, run->job, err);
}

/* Until skerryd's update is further than @seq. */
static int wait_for_change(struct run *run, json_int_t *seq, struct sk_err *err)
{
	char path[PATH_MAX_JOB];
	_cleanup_json_ json_t *update = NULL;
	const char *step;
	int r;

	(void)snprintf(path, sizeof(path), "/update?since=%" JSON_INTEGER_FORMAT "&wait=%d", *seq,
		       FOLLOW_WAIT_S);
	r = sk_device_get(run->device, path, &update, err);
	if (r < 0)
		return r;
	*seq = json_integer_value(json_object_get(update, "seq"));
	step = json_string_value(json_object_get(update, "step"));
	if (step && sk_streq(step, "settling"))
		report_step(run, "settling", 0);
	return 0;
}

static int follow(struct run *run, struct sk_err *err)
{
	struct sk_device_generation g;
	json_int_t seq = 0;
	int r;

	for (;;) {
		r = sk_device_generation(run->device, &run->job->release, run->job->base_generation,
					 &g, err);
		if (r < 0)
			return r;
		if (sk_streq(g.state, "good"))
			return end_job(run, true, "", err);
		if (sk_streq(g.state, "bad"))
			return end_job(run, false, g.reason, err);
		r = wait_for_change(run, &seq, err);
		if (r < 0)
			return r;
	}
}

static int is_applied(struct run *run, struct sk_err *err)
{
	struct sk_device_generation g;
	int r = sk_device_generation(run->device, &run->job->release, run->job->base_generation, &g,
				     err);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : !sk_streq(g.state, "staged");
}

static int carry_out(struct run *run, struct sk_err *err)
{
	_cleanup_json_ json_t *release = NULL;
	int r = is_applied(run, err);

	if (r < 0)
		return r;
	if (r == 0) {
		report_step(run, "received", 0);
		r = take_in(run, &release, err);
		if (r == 0)
			r = fetch_images(run, release, err);
		if (r == 0)
			r = apply(run, err);
		if (r < 0)
			return r;
	}
	return follow(run, err);
}

int sk_job_run(struct sk_job *job, const char *state_dir, struct sk_hub_link *hub,
	       struct sk_device_link *device, struct sk_err *err)
{
	struct run run = { .job = job, .state_dir = state_dir, .hub = hub, .device = device };
	int r = job->ended ? 0 : carry_out(&run, err);

	/* -ECANCELED: it ended without success, and that is saved. */
	if (r == 0 || r == -ECANCELED)
		r = report_end(&run, err);
	sk_hub_link_done(&run.side);
	return r;
}
