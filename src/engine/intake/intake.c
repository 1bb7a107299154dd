/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/intake/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "engine/intake/kept.h"
#include "engine/intake/precheck.h"
#include "engine/release/sizes.h"

/* Beside the images: what ext4 needs for them, records, and some room to breathe. */
#define SPACE_RESERVE_BYTES (UINT64_C(2) << 20)

/** struct sk_intake - @expected: digest -> size, of the images of any release here; NULL: to be read anew */
struct sk_intake {
	struct sk_store *store;
	struct sk_claims *claims;
	struct sk_verifier *verifier;
	struct sk_intake_host host;
	struct sk_kept *kept;
	struct sk_prechecks *prechecks;
	struct sk_uploads *uploads;
	struct sk_intake_job *jobs;
	struct sk_map *expected;
	char *store_dir;
	unsigned releases_max;
};

static void job_free(struct sk_intake_job *job);

static bool intake_in_use(void *arg, const struct sk_digest *id)
{
	const struct sk_intake *in = arg;

	return in->host.in_use && in->host.in_use(in->host.arg, id);
}

static void intake_arrived(void *arg, const struct sk_digest *d)
{
	const struct sk_intake *in = arg;

	if (in->host.arrived)
		in->host.arrived(in->host.arg, d);
}

static void forget_expected(void *arg)
{
	struct sk_intake *in = arg;

	if (in->expected)
		sk_map_free(in->expected);
	in->expected = NULL;
}

/* A kept release that cannot be read needs nothing: it can be loaded again. */
static int mark_kept(void *arg, struct sk_marks *m, struct sk_err *err)
{
	const struct sk_intake *in = arg;

	SK_STRV_FOREACH (hex, sk_kept_ids(in->kept)) {
		struct sk_digest id;

		if (sk_digest_parse(*hex, &id) == 0 && sk_marks_release(m, &id, err) == -ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

static bool is_uploading(void *arg, const struct sk_digest *d)
{
	const struct sk_intake *in = arg;

	return sk_uploads_has(in->uploads, d);
}

static int intake_make_parts(struct sk_intake *in, const struct sk_intake_config *config,
			     struct sk_err *err)
{
	const struct sk_claimant claimant = {
		.name = "intake",
		.mark = mark_kept,
		.needs = is_uploading,
		.collected = forget_expected,
		.arg = in,
	};
	int r = sk_kept_open(in->store, &in->kept, err);

	if (r < 0)
		return r;
	r = sk_prechecks_new(config->event, config->precheck_uid, &in->prechecks, err);
	if (r < 0)
		return r;
	r = sk_uploads_new(config->event, in->store, intake_arrived, in, &in->uploads, err);
	return r < 0 ? r : sk_claims_register(in->claims, &claimant, err);
}

int sk_intake_new(const struct sk_intake_config *config, struct sk_intake **ret, struct sk_err *err)
{
	_cleanup_(sk_intake_freep) struct sk_intake *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return sk_err_oom(err);
	in->store = config->store;
	in->claims = config->claims;
	in->verifier = config->verifier;
	in->releases_max = config->releases_max ?: SK_INTAKE_RELEASES_MAX;
	in->store_dir = strdup(config->store_dir);
	if (!in->store_dir)
		return sk_err_oom(err);
	r = intake_make_parts(in, config, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(in);
	return 0;
}

void sk_intake_free(struct sk_intake *in)
{
	if (!in)
		return;
	sk_uploads_free(in->uploads);
	sk_prechecks_free(in->prechecks);
	while (in->jobs)
		job_free(in->jobs);
	sk_kept_free(in->kept);
	forget_expected(in);
	free(in->store_dir);
	free(in);
}

void sk_intake_set_host(struct sk_intake *in, const struct sk_intake_host *host)
{
	in->host = *host;
}

char *const *sk_intake_kept(const struct sk_intake *in)
{
	return sk_kept_ids(in->kept);
}

int sk_intake_applied(struct sk_intake *in, const struct sk_digest *id, struct sk_err *err)
{
	return sk_kept_drop(in->kept, id, err);
}

uint64_t sk_intake_free_bytes(const struct sk_intake *in)
{
	struct statvfs fs;

	if (statvfs(in->store_dir, &fs) < 0)
		return 0;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* --- releases --- */

static bool named_before(const struct sk_manifest *m, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (sk_digest_equal(&m->images[k].digest, &m->images[i].digest))
			return true;
	return false;
}

/* Bytes still to come for images that are not here, each digest once. */
static uint64_t missing_bytes(struct sk_intake *in, const struct sk_manifest *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_images; i++) {
		const struct sk_image_ref *image = &m->images[i];
		uint64_t part;

		if (named_before(m, i) || sk_store_has(in->store, &image->digest))
			continue;
		part = sk_store_part_bytes(in->store, &image->digest);
		sum += image->size_bytes - SK_MIN(image->size_bytes, part);
	}
	return sum;
}

static int check_space(struct sk_intake *in, const struct sk_manifest *m, struct sk_err *err)
{
	uint64_t need = missing_bytes(in, m), free_bytes = sk_intake_free_bytes(in);
	char need_text[32], free_text[32];

	if (need == 0 || need + SPACE_RESERVE_BYTES <= free_bytes)
		return 0;
	/* Old images may take the room. It has to be there before the answer is. */
	sk_claims_make_room(in->claims);
	free_bytes = sk_intake_free_bytes(in);
	if (need + SPACE_RESERVE_BYTES <= free_bytes)
		return 0;
	return sk_err_set(
		err, -ENOSPC, "no-space",
		"release %s %s needs %s for its images, and %s are free; nothing was stored",
		m->project, m->version, sk_format_size(need_text, need),
		sk_format_size(free_text, free_bytes));
}

/*
 * The file of a release that a generation has is taken back without a check of its signature, after it was lost
 * or damaged: its id, the digest of the manifest, is in the generation's record, and the manifest was verified
 * when it first came. A revocation or a newer version since then does not keep it out, as neither would
 * have removed a file that was still there.
 */
static int read_restored(struct sk_intake *in, const void *der, size_t len, struct sk_release **ret)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	int r = sk_release_read(der, len, &rel, NULL);

	if (r < 0)
		return r;
	if (!intake_in_use(in, &rel->id))
		return -ENOENT;
	*ret = TAKE_PTR(rel);
	return 0;
}

static int intake_check(struct sk_intake *in, const void *der, size_t len, struct sk_release **ret,
			bool *ret_verified, struct sk_err *err)
{
	int r = sk_verifier_check(in->verifier, der, len, ret, err);

	*ret_verified = r == 0;
	if (r == 0 || r == -ENOMEM)
		return r;
	return read_restored(in, der, len, ret) < 0 ? r : 0;
}

int sk_intake_check(struct sk_intake *in, const void *der, size_t len, struct sk_release **ret,
		    struct sk_err *err)
{
	bool verified;

	return intake_check(in, der, len, ret, &verified, err);
}

/* One that is not verified takes the place of a lost one only: a whole file keeps its signature. */
static int intake_put(struct sk_intake *in, const struct sk_digest *id, const void *der, size_t len,
		      bool verified, struct sk_err *err)
{
	if (!verified && sk_store_verify_release(in->store, id, NULL) == 0)
		return 0;
	return sk_store_put_release(in->store, id, der, len, err);
}

static int intake_keep(struct sk_intake *in, const struct sk_digest *id, struct sk_err *err)
{
	if (intake_in_use(in, id))
		return 0;
	return sk_kept_add(in->kept, id, in->releases_max, intake_in_use, in, err);
}

static int intake_take(struct sk_intake *in, const void *der, size_t len, struct sk_release **ret,
		       struct sk_err *err)
{
	bool verified = false;
	int r = sk_verifier_refresh(in->verifier, err);

	if (r < 0)
		return r;
	r = intake_check(in, der, len, ret, &verified, err);
	if (r < 0)
		return r;
	r = check_space(in, (*ret)->manifest, err);
	if (r < 0)
		return r;
	r = intake_put(in, &(*ret)->id, der, len, verified, err);
	return r < 0 ? r : intake_keep(in, &(*ret)->id, err);
}

int sk_intake_take(struct sk_intake *in, const void *der, size_t len, struct sk_release **ret,
		   struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	int r = intake_take(in, der, len, &rel, err);

	/* Also after a failure: an older release may have gone for it. */
	forget_expected(in);
	if (r < 0)
		return r;
	if (in->host.released)
		in->host.released(in->host.arg, &rel->id);
	*ret = TAKE_PTR(rel);
	return 0;
}

/* --- what is checked by a child first --- */

/**
 * struct intake_kind - something that may come
 * @name:  for the log
 * @check: in the child; changes nothing
 * @take:  in the daemon, for one that passed: checks again and keeps
 */
struct intake_kind {
	const char *name;
	int (*check)(struct sk_intake *in, const void *data, size_t len, struct sk_err *err);
	int (*take)(struct sk_intake_job *job, struct sk_err *err);
};

struct sk_intake_job {
	struct sk_intake_job *next;
	struct sk_intake *in;
	const struct intake_kind *kind;
	const void *data;
	size_t len;
	struct sk_precheck *precheck;
	sk_intake_done_fn done;
	void *arg;
};

static void job_free(struct sk_intake_job *job)
{
	struct sk_intake_job **at = &job->in->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	free(job);
}

static int job_check(void *arg, struct sk_err *err)
{
	const struct sk_intake_job *job = arg;

	return job->kind->check(job->in, job->data, job->len, err);
}

static void job_checked(void *arg, int r, const struct sk_err *verdict)
{
	struct sk_intake_job *job = arg;
	struct sk_err err = *verdict;

	if (r == 0)
		r = job->kind->take(job, &err);
	if (r < 0) {
		sk_notice("%s refused: %s", job->kind->name, err.text);
		job->done(job->arg, NULL, &err);
	}
	job_free(job);
}

static int job_start(struct sk_intake *in, const struct sk_intake_job *spec,
		     struct sk_intake_job **ret, struct sk_err *err)
{
	struct sk_intake_job *job;
	int r = sk_verifier_refresh(in->verifier, err);

	if (r < 0)
		return r;
	job = malloc(sizeof(*job));
	if (!job)
		return sk_err_oom(err);
	*job = *spec;
	job->next = in->jobs;
	in->jobs = job;
	r = sk_precheck_start(
		in->prechecks,
		&(struct sk_precheck_job){ .check = job_check, .done = job_checked, .arg = job },
		&job->precheck, err);
	if (r < 0) {
		job_free(job);
		return r;
	}
	*ret = job;
	return 0;
}

static int release_check(struct sk_intake *in, const void *data, size_t len, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	return sk_intake_check(in, data, len, &rel, err);
}

static int release_take(struct sk_intake_job *job, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	struct sk_intake_result result = { 0 };
	int r = sk_intake_take(job->in, job->data, job->len, &rel, err);

	if (r < 0)
		return r;
	sk_info("release %s %s was verified and kept", rel->manifest->project,
		rel->manifest->version);
	result.release = rel;
	job->done(job->arg, &result, err);
	return 0;
}

int sk_intake_release(struct sk_intake *in, const void *data, size_t len, sk_intake_done_fn done,
		      void *arg, struct sk_intake_job **ret, struct sk_err *err)
{
	static const struct intake_kind kind = { "release", release_check, release_take };
	const struct sk_intake_job job = {
		.in = in, .kind = &kind, .data = data, .len = len, .done = done, .arg = arg
	};

	return job_start(in, &job, ret, err);
}

static int crl_check(struct sk_intake *in, const void *data, size_t len, struct sk_err *err)
{
	return sk_trust_check_crl(sk_verifier_trust(in->verifier), data, len, err);
}

static int crl_take(struct sk_intake_job *job, struct sk_err *err)
{
	struct sk_intake_result result = { 0 };
	int r = sk_verifier_refresh(job->in->verifier, err);

	if (r < 0)
		return r;
	r = sk_trust_update_crl(sk_verifier_trust(job->in->verifier), job->data, job->len, err);
	if (r < 0)
		return r;
	if (r == 0)
		sk_notice("a newer revocation list was taken");
	result.changed = r == 0;
	job->done(job->arg, &result, err);
	return 0;
}

int sk_intake_crl(struct sk_intake *in, const void *data, size_t len, sk_intake_done_fn done,
		  void *arg, struct sk_intake_job **ret, struct sk_err *err)
{
	static const struct intake_kind kind = { "revocation list", crl_check, crl_take };
	const struct sk_intake_job job = {
		.in = in, .kind = &kind, .data = data, .len = len, .done = done, .arg = arg
	};

	return job_start(in, &job, ret, err);
}

void sk_intake_cancel(struct sk_intake_job *job)
{
	struct sk_precheck *p = job->precheck;

	job_free(job);
	sk_precheck_cancel(p);
}

size_t sk_intake_checking(const struct sk_intake *in)
{
	return sk_prechecks_len(in->prechecks);
}

/* --- images --- */

struct expecting {
	struct sk_store *store;
	struct sk_map *sizes;
	int failure;
};

static int expect_release(void *arg, const struct sk_digest *id, uint64_t size_bytes)
{
	struct expecting *x = arg;
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	/* One that cannot be read names no image; it can be loaded again. */
	if (sk_release_load(x->store, id, &rel, NULL) < 0)
		return 0;
	x->failure = sk_sizes_add(x->sizes, rel->manifest);
	return x->failure;
}

/* All release files of the store were verified when they came. */
static int read_expected(struct sk_intake *in, struct sk_err *err)
{
	_cleanup_(sk_map_freep) struct sk_map *sizes = in->expected ? NULL : sk_map_new(free);
	struct expecting x = { .store = in->store, .sizes = sizes };

	if (in->expected)
		return 0;
	if (!sizes)
		return sk_err_oom(err);
	(void)sk_store_list_releases(in->store, expect_release, &x);
	if (x.failure < 0)
		return sk_err_oom(err);
	in->expected = TAKE_PTR(sizes);
	return 0;
}

int sk_intake_expected(struct sk_intake *in, const struct sk_digest *d, uint64_t *ret_size_bytes,
		       struct sk_err *err)
{
	const uint64_t *size;
	int r = read_expected(in, err);

	if (r < 0)
		return r;
	size = sk_map_get(in->expected, SK_DIGEST_STR(d));
	if (!size)
		return sk_err_set(err, -ENOENT, "not-found",
				  "no release here names image %s; load the release first",
				  SK_DIGEST_STR(d));
	*ret_size_bytes = *size;
	return 0;
}

int sk_intake_upload(struct sk_intake *in, struct sk_upload_spec *spec, struct sk_upload **ret,
		     struct sk_err *err)
{
	int r = sk_intake_expected(in, &spec->digest, &spec->size, err);

	return r < 0 ? r : sk_upload_open(in->uploads, spec, ret, err);
}

const struct sk_uploads *sk_intake_uploads(const struct sk_intake *in)
{
	return in->uploads;
}
