/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/link.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "agent/crls.h"
#include "agent/device.h"
#include "agent/hub.h"
#include "agent/inventory.h"
#include "agent/job.h"
#include "agent/repair.h"
#include "agent/retry.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "io/json.h"

#define POLL_GRACE_MS	    20000
#define PENDING_WAIT_MAX_MS 30000
#define PACE_MAX_MS	    5000
#define QUICK_MS	    1000 /* rounds shorter than this are suspicious ... */
#define QUICK_MAX	    8	 /* ... when there are more of them in a row */
#define LOG_MAX		    (512u << 10)
#define LOG_TAIL_MAX	    10000

struct link {
	char last_warning[SK_ERR_TEXT_MAX]; /* the last failure that was logged */
	const struct sk_agent_config *config;
	struct sk_hub_link hub;
	struct sk_device_link device;
	struct sk_retry retry;
	struct sk_repair repair;
	struct sk_job job;
	bool working; /* @job is under way */
	bool crls_due;
	unsigned crls_session; /* the session whose revocation lists were looked at */
	unsigned quick;	       /* rounds in a row that took no time */
	struct sk_digest inventory_sent;
	uint64_t inventory_at_ms;
};

static void wait_ms(uint64_t ms)
{
	struct timespec t = { .tv_sec = (time_t)(ms / 1000),
			      .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static void back_off(struct link *l, const struct sk_err *why, uint64_t max_ms)
{
	uint32_t random = 0;
	uint64_t ms;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)sk_mono_us();
	ms = SK_MIN(sk_retry_next(&l->retry, random), max_ms);
	/* The same failure is a warning once; again only after another one, or after success. */
	if (!sk_streq(l->last_warning, why->text))
		sk_warning("%s; trying again", why->text);
	(void)snprintf(l->last_warning, sizeof(l->last_warning), "%s", why->text);
	sk_info("%s; again in %" PRIu64 " ms", why->text, ms);
	/* What the last try allocated is not needed while it waits. */
	(void)malloc_trim(0);
	wait_ms(ms);
}

/*
 * A hub that does not hold polls, or hands out the same job for ever, must not make the device spin:
 * jobs that wait are done at once, but not many rounds on end that take no time.
 */
static void pace(struct link *l, uint64_t round_ms)
{
	struct sk_err why = SK_ERR_INIT;

	l->quick = round_ms < QUICK_MS ? l->quick + 1 : 0;
	if (l->quick <= QUICK_MAX) {
		sk_retry_reset(&l->retry);
		l->last_warning[0] = '\0';
		return;
	}
	(void)sk_err_set(&why, -EREMOTEIO, "too-many", "the hub has too many answers at once");
	back_off(l, &why, PACE_MAX_MS);
}

/* A request that the hub refused is logged and skipped; only a hub that is away ends the round. */
static int skip_refused(int code, const char *what, const struct sk_err *err)
{
	if (code >= 0 || sk_hub_is_away(code))
		return SK_MIN(code, 0);
	sk_warning("%s: %s", what, err->text);
	return 0;
}

static int send_inventory(struct link *l, bool always, struct sk_err *err)
{
	_cleanup_json_ json_t *j = NULL;
	_cleanup_free_ char *text = NULL;
	struct sk_digest d;
	int r;

	if (!always && l->inventory_at_ms > sk_mono_ms())
		return 0;
	l->inventory_at_ms = sk_mono_ms() + l->config->inventory_ms;
	j = sk_inventory_collect(l->config, &l->device);
	text = j ? json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	if (!text || sk_digest_of(text, strlen(text), &d) < 0)
		return sk_err_oom(err);
	if (!always && sk_digest_equal(&d, &l->inventory_sent))
		return 0;
	r = sk_hub_json(&l->hub, "PUT", "/device/v1/inventory", j, 0, NULL, err);
	if (r == 0)
		l->inventory_sent = d;
	return r;
}

/* At the start of each session, and when the hub says so; until it worked. */
static int sync_crls(struct link *l, struct sk_err *err)
{
	int r;

	if (!l->crls_due && l->crls_session == l->hub.sessions)
		return 0;
	r = sk_crls_sync(&l->hub, &l->device, err);
	l->crls_due = r < 0;
	l->crls_session = l->hub.sessions;
	return r;
}

static int fetch_log(struct link *l, const char *capsule, uint64_t tail, char **ret,
		     struct sk_err *err)
{
	char path[64 + SK_NAME_MAX];
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "GET", .path = path, .answer_max = LOG_MAX);
	int r;

	if (!sk_name_ok(capsule))
		return sk_err_set(err, -EINVAL, "bad-request", "\"%s\" names no capsule", capsule);
	(void)snprintf(path, sizeof(path), "/skerry/v1/capsules/%s/logs?tail=%" PRIu64, capsule,
		       SK_MIN(tail, (uint64_t)LOG_TAIL_MAX));
	r = sk_http_call(l->device.client, &call, err);
	if (r < 0)
		return r;
	*ret = sk_buf_take(&call.answer, NULL);
	return *ret ? 0 : sk_err_oom(err);
}

static int do_logs(struct link *l, const json_t *work, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;
	_cleanup_free_ char *text = NULL;
	const char *id = NULL, *capsule = NULL;
	struct sk_err why = SK_ERR_INIT;
	uint64_t tail = 200;

	(void)sk_json_get_str(work, "id", &id, NULL);
	(void)sk_json_get_str(work, "capsule", &capsule, NULL);
	(void)sk_json_get_u64(work, "tail", &tail, NULL);
	if (!capsule || fetch_log(l, capsule, tail, &text, &why) < 0)
		text = sk_asprintf("(no log: %s)\n", capsule ? why.text : "no capsule was named");
	if (!text)
		return sk_err_oom(err);
	sk_utf8_repair(text); /* a capsule writes what it likes */
	body = json_pack("{s:s, s:s, s:s}", "capsule", capsule ?: "", "job", id ?: "", "text",
			 text);
	if (!body)
		return sk_err_oom(err);
	return sk_hub_json(&l->hub, "POST", "/device/v1/logs", body, 0, NULL, err);
}

/* Work that is done in one go is reported as done, or as failed for good. */
static int report_simple(struct link *l, const json_t *work, bool good, const char *reason,
			 struct sk_err *err)
{
	char path[64 + SK_JOB_ID_MAX];
	_cleanup_json_ json_t *body = NULL;
	const char *id = NULL;

	(void)sk_json_get_str(work, "id", &id, NULL);
	if (!id || !sk_name_ok(id))
		return sk_err_set(err, -EREMOTEIO, "bad-request", "the hub's job has no id");
	(void)snprintf(path, sizeof(path), "/device/v1/jobs/%s/report", id);
	body = json_pack("{s:s, s:s}", "step", good ? "done" : "failed", "reason", reason);
	if (!body)
		return sk_err_oom(err);
	return sk_hub_json(&l->hub, "POST", path, body, 0, NULL, err);
}

static int run_job(struct link *l, struct sk_err *err)
{
	int r = sk_job_run(&l->job, l->config->state_dir, &l->hub, &l->device, err);

	if (r < 0)
		return r;
	l->working = false;
	l->inventory_at_ms = 0; /* another generation may run now */
	return 0;
}

static int take_work(struct link *l, const json_t *work, struct sk_err *err)
{
	const char *kind = NULL;
	int r = sk_json_need_str(work, "kind", 32, &kind, err);

	if (r < 0)
		return sk_err_set(err, -EREMOTEIO, "bad-request", "the hub's job has no kind");
	if (sk_streq(kind, "release")) {
		r = sk_job_begin(l->config->state_dir, work, &l->device, &l->job, err);
		l->working = r == 0;
		return r < 0 ? r : run_job(l, err);
	}
	if (sk_streq(kind, "logs"))
		r = do_logs(l, work, err);
	else if (sk_streq(kind, "inventory"))
		r = send_inventory(l, true, err);
	else
		return report_simple(l, work, false, "this device does not know such a job", err);
	/*
	 * An answer that the hub refuses for good ends the job; otherwise it would keep all jobs behind it
	 * waiting.
	 */
	if (r < 0 && sk_hub_is_final(r))
		return report_simple(l, work, false, err->text, err);
	return r < 0 ? r : report_simple(l, work, true, "", err);
}

static int poll_work(struct link *l, struct sk_err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	bool crls_changed = false;
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/device/v1/work?wait=%" PRIu64,
		       l->config->poll_ms / 1000);
	r = sk_hub_json(&l->hub, "GET", path, NULL, l->config->poll_ms + POLL_GRACE_MS, &answer,
			err);
	if (r < 0 || !answer)
		return r;
	(void)sk_json_get_bool(answer, "crls", &crls_changed, NULL);
	if (crls_changed) {
		l->crls_due = true;
		return 0;
	}
	return take_work(l, json_object_get(answer, "job"), err);
}

static int one_round(struct link *l, struct sk_err *err)
{
	int r = sk_hub_session(&l->hub, err);

	if (r < 0)
		return r;
	/* Before any job: a release whose signer was revoked must not be applied. */
	r = skip_refused(sync_crls(l, err), "revocation lists", err);
	if (r < 0)
		return r;
	r = l->working ? run_job(l, err) : 0;
	if (r < 0)
		return r;
	r = skip_refused(send_inventory(l, false, err), "inventory", err);
	if (r < 0)
		return r;
	sk_repair(&l->repair, &l->hub, &l->device);
	return poll_work(l, err);
}

static void go_round_for_ever(struct link *l) __attribute__((noreturn));
static void go_round_for_ever(struct link *l)
{
	for (;;) {
		struct sk_err why = SK_ERR_INIT;
		uint64_t began_ms = sk_mono_ms();
		int code = one_round(l, &why);

		if (code < 0)
			/* Pending: somebody is about to press a button for it. */
			back_off(l, &why, code == -EINPROGRESS ? PENDING_WAIT_MAX_MS : UINT64_MAX);
		else
			pace(l, sk_mono_ms() - began_ms);
	}
}

int sk_agent_link_run(const struct sk_agent_config *config, const struct sk_identity *identity,
		      struct sk_err *err)
{
	struct link l = { .config = config,
			  .retry = { config->retry_min_ms, config->retry_max_ms, 0 } };
	int r = sk_hub_link_init(&l.hub, config, identity, err);

	if (r == 0)
		r = sk_device_link_init(&l.device, config->socket, err);
	if (r == 0)
		r = sk_job_load(config->state_dir, &l.job, err);
	l.working = r > 0;
	if (r >= 0)
		go_round_for_ever(&l);
	sk_device_link_done(&l.device);
	sk_hub_link_done(&l.hub);
	return r;
}
