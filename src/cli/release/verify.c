/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/release/release.h"
#include "cli/release/bundle.h"
#include "cli/release/common.h"
#include "io/crypto/cms.h"
#include "model/release.h"
#include "model/version.h"

#define CHUNK (256u << 10)

/* --at TIME, --no-clock (0: as on a device that does not trust its clock), or now. */
static int pick_time(const struct sk_cli *cli, int64_t *ret, struct sk_err *err)
{
	const char *at = sk_cli_opt(cli, "at");

	*ret = sk_cli_flag(cli, "no-clock") ? 0 : sk_wall_s();
	if (!at)
		return 0;
	if (sk_time_parse(at, ret) < 0 || *ret <= 0)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "--at takes a date or a time in UTC: 2027-01-31 or "
				  "2027-01-31T12:00:00Z, not \"%s\"",
				  at);
	return 0;
}

/* Only properties of the device that an option states are checked. */
static int check_device(struct sk_cli *cli, const struct sk_manifest *m, int64_t now_s,
			struct sk_err *err)
{
	_cleanup_strv_ char **types = sk_strv_copy(sk_cli_opt_all(cli, "type"));
	const char *running = sk_cli_opt(cli, "running");
	const struct sk_device_facts facts = {
		.compatible = sk_strv_len(types) ? types : m->compatible,
		.project = m->project,
		.version = running,
		.has_os_slots = true,
		.now_s = now_s,
	};

	if (running && !sk_version_ok(running))
		return sk_err_set(err, -EINVAL, "bad-value", "\"%s\" is not a version", running);
	return sk_release_suits(m, &facts, err);
}

/** Which images of the manifest the bundle had. */
struct seen {
	const struct sk_manifest *manifest;
	bool *found;
};

static int hash_image(struct sk_bundle_image *image, struct sk_digest *ret, struct sk_err *err)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	_cleanup_free_ char *chunk = malloc(CHUNK);
	ssize_t n;

	if (!h || !chunk)
		return sk_err_oom(err);
	while ((n = sk_bundle_image_read(image, chunk, CHUNK, err)) > 0)
		if (sk_hasher_add(h, chunk, (size_t)n) < 0)
			return sk_err_oom(err);
	return n < 0 ? (int)n : sk_hasher_end(h, ret);
}

static int check_image(void *arg, struct sk_bundle_image *image, struct sk_err *err)
{
	const struct seen *s = arg;
	struct sk_digest d;
	bool is_new = false;
	int r;

	for (size_t i = 0; i < s->manifest->n_images; i++) {
		const struct sk_image_ref *named = &s->manifest->images[i];

		if (!sk_digest_equal(&named->digest, &image->digest) ||
		    named->size_bytes != image->size_bytes)
			continue;
		is_new = !s->found[i];
		s->found[i] = true;
	}
	if (!is_new)
		return sk_err_set(
			err, -EBADMSG, "bad-release",
			"the bundle has an image that the release does not name, or twice: "
			"%s",
			SK_DIGEST_STR(&image->digest));
	r = hash_image(image, &d, err);
	if (r == 0 && !sk_digest_equal(&d, &image->digest))
		return sk_err_set(err, -EBADMSG, "digest-mismatch",
				  "image %s in the bundle is damaged",
				  SK_DIGEST_STR(&image->digest));
	return r;
}

static int check_bundle(const char *path, const struct sk_manifest *m, struct sk_err *err)
{
	_cleanup_free_ bool *found = calloc(m->n_images + 1, sizeof(*found));
	struct seen s = { .manifest = m, .found = found };
	int r;

	if (!found)
		return sk_err_oom(err);
	r = sk_bundle_each(path, check_image, &s, err);
	for (size_t i = 0; r == 0 && i < m->n_images; i++)
		if (!found[i])
			r = sk_err_set(err, -EBADMSG, "bad-release",
				       "image %s is not in the bundle", m->images[i].name);
	return r;
}

static void print_verdict(const struct sk_cli *cli, const struct sk_release *rel,
			  const char *signer)
{
	const struct sk_manifest *m = rel->manifest;

	if (sk_cli_json(cli))
		sk_cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:b}", "release",
					    SK_DIGEST_STR(&rel->id), "project", m->project,
					    "version", m->version, "signer", signer, "bundle",
					    rel->is_bundle));
	else
		(void)printf("good: %s %s, signed by \"%s\"%s\nrelease %s\n", m->project,
			     m->version, signer,
			     rel->is_bundle ? "; every image is there and whole" : "",
			     SK_DIGEST_STR(&rel->id));
}

static int run_release_verify(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *trust = NULL;
	_cleanup_(sk_release_done) struct sk_release rel = { 0 };
	const char *file = sk_cli_arg(cli, 0), *dir = sk_cli_opt(cli, "trust");
	_cleanup_free_ char *signer = NULL;
	_cleanup_free_ void *dtb = NULL;
	int64_t now_s;
	size_t len;
	int r = pick_time(cli, &now_s, err);

	if (r == 0)
		r = sk_trust_load(dir ? dir : "keys", &trust, err);
	if (r == 0)
		r = sk_release_read(file, &rel.skr, &rel.skr_len, &rel.is_bundle, err);
	if (r == 0)
		r = sk_cms_verify(rel.skr, rel.skr_len, SK_MANIFEST_SIZE_MAX, trust, now_s, &dtb,
				  &len, &signer, err);
	/* Only now is the manifest worth reading. */
	if (r == 0)
		r = sk_manifest_parse(dtb, len, &rel.manifest, NULL, err);
	if (r == 0)
		r = check_device(cli, rel.manifest, now_s, err);
	if (r == 0 && rel.is_bundle)
		r = check_bundle(file, rel.manifest, err);
	if (r < 0)
		return r;
	if (sk_digest_of(dtb, len, &rel.id) < 0)
		return sk_err_oom(err);
	print_verdict(cli, &rel, signer);
	return 0;
}

static const struct sk_opt opts[] = {
	{ "trust", 0, "DIR",
	  "folder with ca.pem and, where there is one, crl.pem; \"keys\" without" },
	{ "at", 0, "TIME", "as of this time instead of now: 2027-01-31 or 2027-01-31T12:00:00Z" },
	{ "no-clock", 0, NULL, "as a device without a trusted clock: dates are not checked" },
	{ "type", 0, "TYPE", "is it for devices of this type? May be given more than once" },
	{ "running", 0, "VERSION", "may a device go to it from this version?" },
	{ 0 },
};
static const char *const examples[] = {
	"skerry release verify station-1.2.0.skr --trust keys\t",
	"skerry release verify station.skb --trust keys --type acme,station --running 1.1.0\twhat "
	"such a device would say; the bundle's images are hashed too",
	NULL,
};

const struct sk_cmd sk_cmd_release_verify = {
	.name = "verify",
	.summary = "check a release as a device does",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Signature, the signer's certificate up to a root of the trust folder, revocation, "
		"purpose and dates; of a bundle, every image too. Exit status 4 means refused.",
	.examples = examples,
	.opts = opts,
	.run = run_release_verify,
};
