/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/manifest/manifest.h"
#include "cli/release/release.h"
#include "cli/output.h"
#include "cli/release/common.h"
#include "cli/release/images.h"
#include "cli/key/secret.h"
#include "io/crypto/cms.h"
#include "model/release.h"

/** What the options say; all borrowed but @folders and @named. */
struct job {
	struct sk_cli *cli;
	const char *manifest, *key, *cert, *trust, *output, *bundle;
	char **folders, **named;
	int64_t created_s;
};

/** What comes of it. */
struct result {
	struct sk_release release;
	char *file;
	char *signer; /* NULL when there was no root to check against */
};

static void job_done(struct job *j)
{
	sk_strv_free(j->folders);
	sk_strv_free(j->named);
}

static void result_done(struct result *r)
{
	sk_release_done(&r->release);
	free(r->file);
	free(r->signer);
}

/* SOURCE_DATE_EPOCH makes builds repeatable: https://reproducible-builds.org/specs/ */
static int creation_time(int64_t *ret, struct sk_err *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	uint64_t s;

	*ret = sk_wall_s();
	if (!epoch)
		return 0;
	if (sk_parse_u64(epoch, &s) < 0 || s > INT64_MAX)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "SOURCE_DATE_EPOCH is not a number of seconds: \"%s\"", epoch);
	*ret = (int64_t)s;
	return 0;
}

/* Both outputs can be written, and they are two files. */
static int check_outputs(const struct job *j, struct sk_err *err)
{
	int r = j->output ? sk_output_check(j->output, err) : 0;

	if (r == 0 && j->bundle)
		r = sk_output_check(j->bundle, err);
	if (r == 0 && j->output && j->bundle && sk_streq(j->output, j->bundle))
		r = sk_err_set(err, -EINVAL, "usage", "--output and --bundle are one file: %s",
			       j->bundle);
	return r;
}

static int read_options(struct sk_cli *cli, struct job *j, struct sk_err *err)
{
	_cleanup_free_ char *beside = NULL;

	j->cli = cli;
	j->manifest = sk_cli_arg(cli, 0);
	j->key = sk_cli_opt(cli, "key");
	j->cert = sk_cli_opt(cli, "cert");
	j->trust = sk_cli_opt(cli, "trust");
	j->output = sk_cli_opt(cli, "output");
	j->bundle = sk_cli_opt(cli, "bundle");
	if (!j->key || !j->cert)
		return sk_err_set(err, -EINVAL, "usage",
				  "build needs --key and --cert; \"skerry key release NAME\" makes "
				  "both");
	j->folders = sk_strv_copy(sk_cli_opt_all(cli, "images"));
	j->named = sk_strv_copy(sk_cli_opt_all(cli, "image"));
	beside = sk_path_folder(j->manifest);
	if (!beside || sk_strv_add(&j->folders, beside) < 0)
		return sk_err_oom(err);
	return creation_time(&j->created_s, err);
}

static int check_expiry(const struct sk_manifest *m, int64_t created_s, struct sk_err *err)
{
	char date[32];

	if (m->expires_s == 0 || m->expires_s > created_s)
		return 0;
	return sk_err_set(
		err, -EINVAL, "bad-value",
		"the manifest says that the release expires at %s: no device would take it",
		sk_time_format(date, m->expires_s));
}

/* Manifest and images to the device tree that is signed. */
static int pin(const struct job *j, void **ret, size_t *ret_len, struct sk_err *err)
{
	const struct sk_image_places places = { .named = j->named, .folders = j->folders };
	struct sk_progress progress = { .cli = j->cli, .what = "checking images" };
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_free_ struct sk_image_ref *images = NULL;
	_cleanup_strv_ char **files = NULL;
	_cleanup_free_ void *dtb = NULL;
	size_t len;
	int r = sk_manifest_load_file(j->manifest, &dtb, &len, &m, err);

	if (r < 0)
		return r;
	r = check_expiry(m, j->created_s, err);
	if (r < 0)
		return r;
	r = sk_images_find(m, &places, &files, err);
	if (r < 0)
		return r;
	r = sk_images_check(m, files, &images, sk_release_progress, &progress, err);
	sk_cli_progress_end(j->cli);
	if (r < 0)
		return r;
	return sk_manifest_pin(dtb, len, images, m->n_images, j->created_s, ret, ret_len, err);
}

static int sign(const struct job *j, const void *dtb, size_t len, struct sk_release *ret,
		struct sk_err *err)
{
	const struct sk_secret_from from = { .file = sk_cli_opt(j->cli, "passphrase-file") };
	const struct sk_secret secret = sk_cli_secret(&from);
	_cleanup_(sk_signer_freep) struct sk_signer *signer = NULL;
	void *skr;
	int r = sk_signer_load_with(j->key, j->cert, &secret, &signer, err);

	if (r < 0)
		return r;
	r = sk_manifest_parse(dtb, len, &ret->manifest, NULL, err);
	if (r < 0)
		return r;
	r = sk_manifest_pinned(ret->manifest, err);
	if (r < 0)
		return r;
	r = sk_cms_sign(dtb, len, signer, &skr, &ret->skr_len, err);
	if (r < 0)
		return r;
	ret->skr = skr;
	return sk_digest_of(dtb, len, &ret->id) < 0 ? sk_err_oom(err) : 0;
}

/*
 * As a device would, with --trust or the root that lies beside the certificate: better here than in
 * the field. A root kept elsewhere leaves nothing to check against.
 */
static int check_as_device(const struct job *j, struct result *res, struct sk_err *err)
{
	_cleanup_free_ char *beside = sk_path_folder(j->cert), *ca = NULL;
	_cleanup_(sk_trust_freep) struct sk_trust *trust = NULL;
	_cleanup_free_ void *content = NULL;
	size_t len;
	int r;

	ca = beside ? sk_asprintf("%s/ca.pem", beside) : NULL;
	if (!ca)
		return sk_err_oom(err);
	if (!j->trust && access(ca, F_OK) < 0)
		return 0;
	r = sk_trust_load(j->trust ? j->trust : beside, &trust, err);
	if (r == 0)
		r = sk_cms_verify(res->release.skr, res->release.skr_len, SK_MANIFEST_SIZE_MAX,
				  trust, sk_wall_s(), &content, &len, &res->signer, err);
	if (r < 0)
		(void)sk_err_prefix(err, "devices would refuse this release");
	return r;
}

static int write_release(const struct job *j, struct result *res, struct sk_err *err)
{
	const struct sk_manifest *m = res->release.manifest;
	int r;

	res->file =
		j->output ? strdup(j->output) : sk_asprintf("%s-%s.skr", m->project, m->version);
	if (!res->file)
		return sk_err_oom(err);
	r = sk_output_write(res->file, res->release.skr, res->release.skr_len, err);
	if (r < 0 || !j->bundle)
		return r;
	return sk_release_bundle(j->cli, &res->release, j->bundle, j->folders, j->named, err);
}

static void print_build(const struct job *j, const struct result *res)
{
	const struct sk_manifest *m = res->release.manifest;
	char size[32];

	if (sk_cli_json(j->cli)) {
		sk_cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:o}", "release",
					    SK_DIGEST_STR(&res->release.id), "project", m->project,
					    "version", m->version, "file", res->file, "bundle",
					    j->bundle, "signer", res->signer, "images",
					    sk_release_images_json(m)));
		return;
	}
	(void)printf("%s  %s %s, %zu image%s (%s)\nrelease  %s\n", res->file, m->project,
		     m->version, m->n_images, m->n_images == 1 ? "" : "s",
		     sk_format_size(size, sk_release_total(m)), SK_DIGEST_STR(&res->release.id));
	if (j->bundle)
		(void)printf("bundle   %s\n", j->bundle);
	if (res->signer)
		(void)printf("signed   by \"%s\"; checked as a device would\n", res->signer);
	else
		(void)printf("signed   but not checked: no ca.pem beside the certificate, and no "
			     "--trust\n");
}

static int run_release_build(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(job_done) struct job j = { 0 };
	_cleanup_(result_done) struct result res = { 0 };
	_cleanup_free_ void *dtb = NULL;
	size_t len;
	int r = read_options(cli, &j, err);

	if (r < 0)
		return r;
	r = check_outputs(&j, err);
	if (r < 0)
		return r;
	r = pin(&j, &dtb, &len, err);
	if (r < 0)
		return r;
	r = sign(&j, dtb, len, &res.release, err);
	if (r < 0)
		return r;
	r = check_as_device(&j, &res, err);
	if (r < 0)
		return r;
	r = write_release(&j, &res, err);
	if (r < 0)
		return r;
	print_build(&j, &res);
	return 0;
}

static const struct sk_opt opts[] = {
	{ "key", 0, "KEY", "key that signs: a file, or a pkcs11: URI (RFC 7512)" },
	{ "cert", 0, "FILE", "its certificate; intermediate CAs after it in the same file" },
	{ "images", 0, "DIR", "folder with the image files; may be given more than once" },
	{ "image", 0, "NAME=FILE", "file of one image; may be given more than once" },
	{ "output", 'o', "FILE", "release file; PROJECT-VERSION.skr without it" },
	{ "bundle", 0, "FILE", "also a bundle (.skb) with all images, for devices without a link" },
	{ "trust", 0, "DIR", "check against this trust folder; the certificate's without it" },
	{ "passphrase-file", 0, "FILE", "the key's passphrase or PIN: first line of FILE" },
	{ 0 },
};
static const char *const examples[] = {
	"skerry release build station.dts --key keys/alice.key --cert keys/alice.pem\tall images lie "
	"beside the manifest",
	"skerry release build compose.yaml --images out --key 'pkcs11:object=alice' --cert alice.pem "
	"--bundle station.skb\twith a key in a token",
	NULL,
};

const struct sk_cmd sk_cmd_release_build = {
	.name = "build",
	.summary = "pin a manifest's images and sign it",
	.args = "MANIFEST",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Compiles the manifest, checks every image, writes digests and sizes in, and signs. "
		"Images are looked for in the --images folders, then beside the manifest. With "
		"SOURCE_DATE_EPOCH set, the same input gives the same release id.",
	.examples = examples,
	.opts = opts,
	.run = run_release_build,
};
