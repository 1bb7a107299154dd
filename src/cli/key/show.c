/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/key/key.h"
#include "cli/key/keyring.h"

#define PEM_MAX (4u << 20)

static const char *state_of(const struct sk_issued *c)
{
	if (c->revoked_s)
		return "revoked";
	return sk_wall_s() > c->to_s ? "expired" : "good";
}

static json_t *issued_json(const struct sk_keyring *k)
{
	json_t *list = json_array();

	for (size_t i = 0; i < k->n_issued; i++) {
		const struct sk_issued *c = &k->issued[i];

		(void)json_array_append_new(list,
					    json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", c->name,
						      "serial", c->serial, "state", state_of(c),
						      "expires_s", (json_int_t)c->to_s, "revoked_s",
						      (json_int_t)c->revoked_s));
	}
	return json_pack("{s:o, s:I, s:b}", "certificates", list, "crl_number",
			 (json_int_t)k->crl_number, "crl_current", sk_keyring_crl_current(k));
}

static void print_issued(const struct sk_keyring *k)
{
	struct sk_table *t =
		sk_table_new((const char *const[]){ "NAME", "STATE", "UNTIL", "SERIAL", NULL });

	for (size_t i = 0; i < k->n_issued; i++) {
		const struct sk_issued *c = &k->issued[i];
		char date[32];

		(void)sk_table_row(t, c->name, state_of(c), sk_time_format(date, c->to_s),
				   c->serial, NULL);
	}
	sk_table_print(t);
	if (!sk_keyring_crl_current(k))
		(void)printf(
			"\ncrl.pem is behind this list (an interrupted revocation): skerry key "
			"revoke the last one again.\n");
}

static int run_key_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_keyring_done) struct sk_keyring k = { .dirfd = -1 };
	const char *dir = sk_cli_opt(cli, "dir");
	int r = sk_keyring_open(dir ? dir : SK_KEYS_DIR, &k, err);

	if (r < 0)
		return r;
	if (sk_cli_json(cli))
		sk_cli_print_json(issued_json(&k));
	else
		print_issued(&k);
	return 0;
}

static void print_cert(const struct sk_cli *cli, const struct sk_cert_facts *f)
{
	char from[32], to[32];

	if (sk_cli_json(cli)) {
		sk_cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:s}", "name",
					    f->name, "issuer", f->issuer, "serial", f->serial,
					    "key_type", f->key, "valid_from_s",
					    (json_int_t)f->from_s, "expires_s", (json_int_t)f->to_s,
					    "ca", f->ca, "signs_releases", f->problem == NULL,
					    "fingerprint", SK_DIGEST_STR(&f->fingerprint)));
		return;
	}
	(void)printf("certificate  %s\nissued by    %s\nserial       %s\nkey          %s\n"
		     "good         %s to %s\nfingerprint  %s\npurpose      %s\n",
		     f->name, f->issuer, f->serial, f->key, sk_time_format(from, f->from_s),
		     sk_time_format(to, f->to_s), SK_DIGEST_STR(&f->fingerprint),
		     f->ca		  ? "root or CA: issues certificates"
		     : f->problem == NULL ? "signs releases"
					  : f->problem);
}

static void print_crl(const struct sk_cli *cli, const struct sk_crl_facts *f)
{
	json_t *list = sk_cli_json(cli) ? json_array() : NULL;
	char date[32];

	if (!list)
		(void)printf("revocations of  %s\nnumber          %" PRIu64 "\nissued          %s\n"
			     "revoked         %zu\n",
			     f->issuer, f->number, sk_time_format(date, f->from_s), f->n_revoked);
	for (size_t i = 0; i < f->n_revoked; i++) {
		const struct sk_revoked *one = &f->revoked[i];

		if (list)
			(void)json_array_append_new(list, json_pack("{s:s, s:I}", "serial",
								    one->serial, "revoked_s",
								    (json_int_t)one->since_s));
		else
			(void)printf("  %s  since %s\n", one->serial,
				     sk_time_format(date, one->since_s));
	}
	if (list)
		sk_cli_print_json(json_pack("{s:s, s:I, s:I, s:o}", "issuer", f->issuer, "number",
					    (json_int_t)f->number, "issued_s",
					    (json_int_t)f->from_s, "revoked", list));
}

static int show(const struct sk_cli *cli, const char *pem, size_t len, struct sk_err *err)
{
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	struct sk_cert_facts f = { 0 };
	struct sk_crl_facts crl = { 0 };
	int r;

	if (sk_crl_facts(pem, len, &crl, NULL) == 0) {
		print_crl(cli, &crl);
		sk_crl_facts_done(&crl);
		return 0;
	}
	r = sk_cert_parse(pem, len, &cert, err);
	if (r == 0)
		r = sk_cert_facts(cert, &f, err);
	if (r == 0)
		print_cert(cli, &f);
	sk_cert_facts_done(&f);
	return r;
}

/* "alice" is keys/alice.pem; a name with a slash or ".pem" is a file. */
static int run_key_show(struct sk_cli *cli, struct sk_err *err)
{
	const char *dir = sk_cli_opt(cli, "dir");
	const char *name = sk_cli_argc(cli) ? sk_cli_arg(cli, 0) : "ca";
	bool is_file = strchr(name, '/') || sk_str_ends(name, ".pem");
	_cleanup_free_ char *path = NULL, *pem = NULL;
	size_t len;
	int r;

	path = is_file ? strdup(name) : sk_asprintf("%s/%s.pem", dir ? dir : SK_KEYS_DIR, name);
	if (!path)
		return sk_err_oom(err);
	r = sk_file_read(AT_FDCWD, path, PEM_MAX, &pem, &len);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s: %s",
				  path, strerror(-r));
	r = show(cli, pem, len, err);
	if (r < 0)
		(void)sk_err_prefix(err, "%s", path);
	return r;
}

static const struct sk_opt opts[] = {
	SK_OPT_KEYS_DIR,
	{ 0 },
};

const struct sk_cmd sk_cmd_key_list = {
	.name = "list",
	.summary = "certificates that were issued, and which are revoked",
	.opts = opts,
	.run = run_key_list,
};

static const char *const show_examples[] = {
	"skerry key show\tthe root, keys/ca.pem",
	"skerry key show alice\tkeys/alice.pem",
	"skerry key show keys/crl.pem\ta revocation list",
	NULL,
};
const struct sk_cmd sk_cmd_key_show = {
	.name = "show",
	.summary = "what a certificate or revocation list says",
	.args = "[NAME|FILE]",
	.max_args = 1,
	.examples = show_examples,
	.opts = opts,
	.run = run_key_show,
};
