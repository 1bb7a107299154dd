/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/manifest/show.h"
#include "cli/release/release.h"
#include "cli/release/common.h"
#include "io/crypto/cms.h"
#include "io/crypto/pki.h"
#include "io/json.h"

static void print_signer(const struct sk_cert_facts *f)
{
	char date[32];

	(void)printf("signed by     %s, certificate %s\n"
		     "              issued by %s, good until %s\n"
		     "              (as the file says; \"skerry release verify\" checks it)\n",
		     f->name, f->serial, f->issuer, sk_time_format(date, f->to_s));
}

static void print_release_images(const struct sk_manifest *m)
{
	struct sk_table *t =
		sk_table_new((const char *const[]){ "IMAGE", "SIZE", "SHA-256", NULL });
	char size[32];

	for (size_t i = 0; i < m->n_images; i++)
		(void)sk_table_row(t, m->images[i].name,
				   sk_format_size(size, m->images[i].size_bytes),
				   SK_DIGEST_STR(&m->images[i].digest), NULL);
	sk_table_print(t);
}

static void print_release(const struct sk_release *rel, const struct sk_cert_facts *signer)
{
	const struct sk_manifest *m = rel->manifest;
	_cleanup_free_ char *types = sk_strv_join(m->compatible, ", ");
	char date[32], size[32];

	(void)printf("release       %s %s%s\nid            %s\nfor           %s\n", m->project,
		     m->version, rel->is_bundle ? " (bundle)" : "", SK_DIGEST_STR(&rel->id),
		     types ? types : "");
	if (m->created_s)
		(void)printf("created       %s\n", sk_time_format(date, m->created_s));
	(void)printf("expires       %s\n",
		     m->expires_s ? sk_time_format(date, m->expires_s) : "never");
	if (m->allow_downgrade)
		(void)printf("downgrade     allowed: devices take it whatever they run now\n");
	if (!m->persistent_boot)
		(void)printf("lasts         until the next reboot only (no persistent-boot)\n");
	print_signer(signer);
	(void)printf("holds         %zu app%s, %zu message server%s, %zu image%s, %s in all\n\n",
		     m->n_apps, m->n_apps == 1 ? "" : "s", m->n_msg_servers,
		     m->n_msg_servers == 1 ? "" : "s", m->n_images, m->n_images == 1 ? "" : "s",
		     sk_format_size(size, sk_release_total(m)));
	print_release_images(m);
}

static json_t *to_json(const struct sk_release *rel, const struct sk_cert_facts *f)
{
	const struct sk_manifest *m = rel->manifest;
	json_t *signer =
		json_pack("{s:s, s:s, s:s, s:I, s:b}", "name", f->name, "issuer", f->issuer,
			  "serial", f->serial, "expires_s", (json_int_t)f->to_s, "checked", 0);

	return json_pack("{s:s, s:s, s:s, s:b, s:o, s:I, s:I, s:b, s:b, s:I, s:o, s:o, s:o}",
			 "release", SK_DIGEST_STR(&rel->id), "project", m->project, "version",
			 m->version, "bundle", rel->is_bundle, "compatible",
			 sk_json_strv(m->compatible), "created_s", (json_int_t)m->created_s,
			 "expires_s", (json_int_t)m->expires_s, "allow_downgrade",
			 m->allow_downgrade, "persistent_boot", m->persistent_boot, "total_bytes",
			 (json_int_t)sk_release_total(m), "images", sk_release_images_json(m),
			 "signer", signer, "manifest", sk_manifest_json(m));
}

static int run_release_show(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_release_done) struct sk_release rel = { 0 };
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	struct sk_cert_facts facts = { 0 };
	int r = sk_release_open(sk_cli_arg(cli, 0), &rel, err);

	if (r < 0)
		return r;
	r = sk_cms_signer(rel.skr, rel.skr_len, &cert, err);
	if (r < 0)
		return r;
	r = sk_cert_facts(cert, &facts, err);
	if (r < 0)
		return r;
	if (sk_cli_json(cli))
		sk_cli_print_json(to_json(&rel, &facts));
	else
		print_release(&rel, &facts);
	sk_cert_facts_done(&facts);
	return 0;
}

static const char *const examples[] = {
	"skerry release show station-1.2.0.skr\t",
	"skerry release show station.skb --json\tfor programs, with the whole manifest",
	NULL,
};

const struct sk_cmd sk_cmd_release_show = {
	.name = "show",
	.summary = "what a release says, without checking who signed it",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.examples = examples,
	.run = run_release_show,
};
