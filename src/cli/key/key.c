/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/key.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "cli/key/keyring.h"
#include "cli/key/secret.h"
#include "cli/output.h"

#define DAY_S	     86400
#define ROOT_YEARS   20
#define RELEASE_DAYS 730
#define DAYS_MAX     (100 * 365)
#define BACKDATE_S   3600 /* a device's clock may be a little slow */
#define CSR_MAX	     (64u << 10)
#define SECRET_OPTION                                                                         \
	{                                                                                     \
		"passphrase-file", 0, "FILE", "the root key's passphrase: first line of FILE" \
	}

static const char *keys_dir(const struct sk_cli *cli)
{
	const char *dir = sk_cli_opt(cli, "dir");

	return dir ? dir : SK_KEYS_DIR;
}

static int days(const struct sk_cli *cli, const char *opt, uint64_t otherwise, int64_t *ret_s,
		struct sk_err *err)
{
	const char *given = sk_cli_opt(cli, opt);
	uint64_t n = otherwise;

	if (given && (sk_parse_u64(given, &n) < 0 || n == 0 || n > DAYS_MAX))
		return sk_err_set(err, -EINVAL, "bad-value", "--%s is a number from 1 to %d", opt,
				  DAYS_MAX);
	*ret_s = (int64_t)n * DAY_S;
	return 0;
}

static int check_name(const char *name, struct sk_err *err)
{
	if (!sk_name_ok(name) || sk_streq(name, "ca") || sk_streq(name, "index") ||
	    sk_streq(name, "crl"))
		return sk_err_set(err, -EINVAL, "bad-name",
				  "\"%s\" cannot name a key: letters, digits, '.', '_' and '-', a "
				  "letter or digit first; not ca, crl or index",
				  name);
	return 0;
}

/* With --encrypt a passphrase is asked for; without, the key lies open in a file of mode 0600. */
static int save_key(const struct sk_cli *cli, const struct sk_keyring *k, const char *name,
		    const struct sk_key *key, struct sk_err *err)
{
	const struct sk_secret_from from = { .file = sk_cli_opt(cli, "passphrase-file") };
	char passphrase[SK_PASSPHRASE_MAX + 1] = "";
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r = 0;

	if (sk_cli_flag(cli, "encrypt"))
		r = sk_cli_new_secret(&from, "the key", passphrase, err);
	if (r == 0)
		r = sk_key_pem(key, *passphrase ? passphrase : NULL, &pem, &len, err);
	explicit_bzero(passphrase, sizeof(passphrase));
	if (r < 0)
		return r;
	r = sk_keyring_write_new(k, name, ".key", pem, len, 0600, err);
	explicit_bzero(pem, len);
	return r;
}

static int save_cert(const struct sk_keyring *k, const char *name, const struct sk_cert *cert,
		     struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r = sk_cert_pem(cert, &pem, &len, err);

	return r < 0 ? r : sk_keyring_write_new(k, name, ".pem", pem, len, 0644, err);
}

/* Two roots with one name would be hard to tell apart: part of the key makes it unique. */
static int root_name(const struct sk_cli *cli, const struct sk_key *key, char **ret,
		     struct sk_err *err)
{
	const char *given = sk_cli_opt(cli, "name");
	struct sk_digest d;
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r;

	if (given) {
		*ret = strdup(given);
		return *ret ? 0 : sk_err_oom(err);
	}
	r = sk_key_public_pem(key, &pem, &len, err);
	if (r < 0)
		return r;
	if (sk_digest_of(pem, len, &d) < 0)
		return sk_err_oom(err);
	*ret = sk_asprintf("Skerry root %.8s", SK_DIGEST_STR(&d));
	return *ret ? 0 : sk_err_oom(err);
}

static int make_root(struct sk_cli *cli, struct sk_keyring *k, struct sk_keyring_ca *ca,
		     struct sk_err *err)
{
	_cleanup_free_ char *name = NULL;
	struct sk_subject who = { .from_s = sk_wall_s() - BACKDATE_S };
	int64_t lasts;
	int r = days(cli, "days", ROOT_YEARS * 365, &lasts, err);

	if (r < 0)
		return r;
	r = sk_key_make(sk_cli_flag(cli, "rsa") ? SK_KEY_RSA4096 : SK_KEY_P256, &ca->key, err);
	if (r < 0)
		return r;
	r = root_name(cli, ca->key, &name, err);
	if (r < 0)
		return r;
	who.name = name;
	who.to_s = who.from_s + lasts;
	r = sk_ca_make(ca->key, &who, &ca->cert, err);
	if (r == 0)
		r = save_key(cli, k, "ca", ca->key, err);
	if (r == 0)
		r = save_cert(k, "ca", ca->cert, err);
	/* The first list is empty: a device that has it knows a number, and refuses what is older. */
	return r < 0 ? r : sk_keyring_write_crl(k, ca, sk_wall_s(), err);
}

static void print_made(const struct sk_cli *cli, const char *dir, const char *name,
		       const struct sk_cert_facts *f, bool key)
{
	char date[32];

	if (sk_cli_json(cli)) {
		json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "name", f->name, "issuer",
				      f->issuer, "serial", f->serial, "key_type", f->key, "dir",
				      dir, "expires_s", (json_int_t)f->to_s);

		sk_cli_print_json(o);
		return;
	}
	if (key)
		(void)printf("%s/%s.key  private key (%s), mode 0600\n", dir, name, f->key);
	(void)printf("%s/%s.pem  certificate \"%s\", good until %s\n", dir, name, f->name,
		     sk_time_format(date, f->to_s));
}

static int report_cert(const struct sk_cli *cli, const struct sk_keyring *k, const char *name,
		       const struct sk_cert *cert, bool key, struct sk_err *err)
{
	struct sk_cert_facts f = { 0 };
	int r = sk_cert_facts(cert, &f, err);

	if (r < 0)
		return r;
	print_made(cli, k->dir, name, &f, key);
	sk_cert_facts_done(&f);
	return 0;
}

static int run_init(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_keyring_ca_done) struct sk_keyring_ca ca = { 0 };
	_cleanup_(sk_keyring_done) struct sk_keyring k = { .dirfd = -1 };
	int r = sk_keyring_create(keys_dir(cli), &k, err);

	if (r == 0)
		r = make_root(cli, &k, &ca, err);
	if (r == 0)
		r = report_cert(cli, &k, "ca", ca.cert, true, err);
	if (r < 0 || sk_cli_json(cli))
		return r;
	(void)printf(
		"%s/crl.pem  revocation list, empty\n\n"
		"A device's trust folder takes ca.pem and crl.pem. Whoever has ca.key can make "
		"releases\nfor every device that trusts it: keep it off-line, with a backup.\n",
		k.dir);
	return 0;
}

/* Index first: a certificate that exists can always be revoked. */
static int issue(struct sk_keyring *k, const char *name, const struct sk_cert *cert,
		 struct sk_err *err)
{
	int r = sk_keyring_add(k, name, cert, err);

	if (r == 0)
		r = sk_keyring_save(k, err);
	return r < 0 ? r : save_cert(k, name, cert, err);
}

static int refuse_existing(const struct sk_keyring *k, const char *name, const char *suffix,
			   struct sk_err *err)
{
	if (!sk_keyring_has(k, name, suffix))
		return 0;
	return sk_err_set(err, -EEXIST, "already-exists",
			  "%s/%s%s exists; choose another name, or move it away", k->dir, name,
			  suffix);
}

static int open_with_ca(struct sk_cli *cli, struct sk_keyring *k, struct sk_keyring_ca *ca,
			struct sk_err *err)
{
	const struct sk_secret_from from = { .file = sk_cli_opt(cli, "passphrase-file") };
	const struct sk_secret secret = sk_cli_secret(&from);
	int r = sk_keyring_open(keys_dir(cli), k, err);

	return r < 0 ? r : sk_keyring_ca(k, &secret, ca, err);
}

static int run_release(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_keyring_ca_done) struct sk_keyring_ca ca = { 0 };
	_cleanup_(sk_keyring_done) struct sk_keyring k = { .dirfd = -1 };
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	_cleanup_(sk_key_freep) struct sk_key *key = NULL;
	struct sk_subject who = { .name = sk_cli_arg(cli, 0), .from_s = sk_wall_s() - BACKDATE_S };
	int64_t lasts;
	int r = check_name(who.name, err);

	if (r < 0)
		return r;
	r = days(cli, "days", RELEASE_DAYS, &lasts, err);
	if (r < 0)
		return r;
	r = open_with_ca(cli, &k, &ca, err);
	if (r < 0)
		return r;
	r = refuse_existing(&k, who.name, ".pem", err);
	if (r < 0)
		return r;
	r = sk_key_make(sk_cli_flag(cli, "rsa") ? SK_KEY_RSA3072 : SK_KEY_P256, &key, err);
	if (r < 0)
		return r;
	who.to_s = who.from_s + lasts;
	r = sk_ca_certify(&(struct sk_ca){ ca.key, ca.cert }, &who, key, &cert, err);
	if (r < 0)
		return r;
	r = save_key(cli, &k, who.name, key, err);
	if (r < 0)
		return r;
	r = issue(&k, who.name, cert, err);
	return r < 0 ? r : report_cert(cli, &k, who.name, cert, true, err);
}

static int run_request(struct sk_cli *cli, struct sk_err *err)
{
	const struct sk_secret_from from = { .file = sk_cli_opt(cli, "passphrase-file") };
	const struct sk_secret secret = sk_cli_secret(&from);
	_cleanup_(sk_key_freep) struct sk_key *key = NULL;
	const char *name = sk_cli_arg(cli, 0), *uri = sk_cli_opt(cli, "key");
	const char *given = sk_cli_opt(cli, "output");
	_cleanup_free_ char *pem = NULL, *out = given ? strdup(given) : sk_asprintf("%s.csr", name);
	size_t len;
	int r = check_name(name, err);

	if (r < 0)
		return r;
	if (!out)
		return sk_err_oom(err);
	if (!uri)
		return sk_err_set(err, -EINVAL, "usage",
				  "request needs --key: a pkcs11: URI, or a key file");
	r = sk_key_load(uri, &secret, &key, err);
	if (r == 0)
		r = sk_request_make(key, name, &pem, &len, err);
	if (r < 0)
		return r;
	r = sk_output_write(out, pem, len, err);
	if (r < 0)
		return r;
	if (sk_cli_json(cli))
		sk_cli_print_json(json_pack("{s:s}", "request", out));
	else
		(void)printf("%s  request; where the root is: skerry key issue %s\n", out, out);
	return 0;
}

static int request_name(struct sk_cli *cli, const char *csr, size_t len, char **ret,
			struct sk_err *err)
{
	const char *given = sk_cli_opt(cli, "name");
	int r = 0;

	if (given) {
		*ret = strdup(given);
		r = *ret ? 0 : sk_err_oom(err);
	} else {
		r = sk_request_name(csr, len, ret, err);
	}
	return r < 0 ? r : check_name(*ret, err);
}

static int run_issue(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_keyring_ca_done) struct sk_keyring_ca ca = { 0 };
	_cleanup_(sk_keyring_done) struct sk_keyring k = { .dirfd = -1 };
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	_cleanup_free_ char *csr = NULL, *name = NULL;
	struct sk_subject who = { .from_s = sk_wall_s() - BACKDATE_S };
	const char *file = sk_cli_arg(cli, 0);
	int64_t lasts;
	size_t len;
	int r = sk_file_read(AT_FDCWD, file, CSR_MAX, &csr, &len);

	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s: %s",
				  file, strerror(-r));
	r = request_name(cli, csr, len, &name, err);
	if (r < 0)
		return r;
	r = days(cli, "days", RELEASE_DAYS, &lasts, err);
	if (r < 0)
		return r;
	r = open_with_ca(cli, &k, &ca, err);
	if (r < 0)
		return r;
	r = refuse_existing(&k, name, ".pem", err);
	if (r < 0)
		return r;
	who.name = name;
	who.to_s = who.from_s + lasts;
	r = sk_ca_certify_request(&(struct sk_ca){ ca.key, ca.cert }, &who, csr, len, &cert, err);
	if (r == 0)
		r = issue(&k, name, cert, err);
	return r < 0 ? r : report_cert(cli, &k, name, cert, false, err);
}

static void print_revoked(const struct sk_cli *cli, const struct sk_keyring *k,
			  const struct sk_issued *c)
{
	if (sk_cli_json(cli))
		sk_cli_print_json(json_pack("{s:s, s:s, s:I}", "name", c->name, "serial", c->serial,
					    "crl_number", (json_int_t)k->crl_number));
	else
		(void)printf(
			"\"%s\" (serial %s) is revoked: %s/crl.pem, number %" PRIu64 ".\n"
			"A device knows when it has that list: bring it there through the hub or "
			"into its trust folder.\n",
			c->name, c->serial, k->dir, k->crl_number);
}

static int run_key_revoke(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_keyring_ca_done) struct sk_keyring_ca ca = { 0 };
	_cleanup_(sk_keyring_done) struct sk_keyring k = { .dirfd = -1 };
	const char *which = sk_cli_arg(cli, 0);
	struct sk_issued *c;
	int r = open_with_ca(cli, &k, &ca, err);

	if (r < 0)
		return r;
	c = sk_keyring_find(&k, which);
	if (!c)
		return sk_err_set(err, -ENOENT, "not-found",
				  "no certificate with name or serial \"%s\" was issued here; see "
				  "skerry key list",
				  which);
	/* Revoked in the index but not in the list: a crash came between the two, so finish it. */
	if (c->revoked_s && sk_keyring_crl_current(&k))
		return sk_err_set(err, -EEXIST, "already-exists", "\"%s\" is revoked already",
				  which);
	if (!c->revoked_s)
		c->revoked_s = SK_MAX(sk_wall_s(), 1);
	r = sk_keyring_write_crl(&k, &ca, sk_wall_s(), err);
	if (r == 0)
		print_revoked(cli, &k, c);
	return r;
}

static const struct sk_opt init_opts[] = {
	SK_OPT_KEYS_DIR,
	{ "name", 0, "NAME", "the root's name; \"Skerry root\" and part of its key without it" },
	{ "days", 0, "DAYS", "how long it is good; 20 years without it" },
	{ "rsa", 0, NULL, "RSA 4096 instead of ECDSA P-256" },
	{ "encrypt", 0, NULL, "protect the root's key with a passphrase" },
	{ "passphrase-file", 0, "FILE", "take the passphrase from the first line of FILE" },
	{ 0 },
};
static const char *const init_examples[] = {
	"skerry key init\ta root in the folder \"keys\"",
	"skerry key init --dir /media/safe/keys --encrypt\ton a stick that lies in a safe",
	NULL,
};
static const struct sk_cmd cmd_init = {
	.name = "init",
	.summary = "make a root: the key that devices trust",
	.about = "Makes the root's private key (ca.key), its certificate (ca.pem) and an empty "
		 "revocation list (crl.pem). ca.pem and crl.pem together are what a device "
		 "believes. A root that exists is never overwritten.",
	.examples = init_examples,
	.opts = init_opts,
	.run = run_init,
};

static const struct sk_opt release_opts[] = {
	SK_OPT_KEYS_DIR,
	{ "days", 0, "DAYS", "how long the certificate is good; 730 without it" },
	{ "rsa", 0, NULL, "RSA 3072 instead of ECDSA P-256" },
	{ "encrypt", 0, NULL, "protect the new key too, with the same passphrase" },
	SECRET_OPTION,
	{ 0 },
};
static const char *const release_examples[] = {
	"skerry key release alice\tkeys/alice.key and keys/alice.pem",
	NULL,
};
static const struct sk_cmd cmd_release = {
	.name = "release",
	.summary = "make a key and certificate for signing releases",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.about = "The certificate can sign releases and nothing else. One for each person or build "
		 "machine: so each can be revoked alone. The passphrase of an encrypted root comes "
		 "from --passphrase-file, from " SK_PASSPHRASE_ENV " or from a question.",
	.examples = release_examples,
	.opts = release_opts,
	.run = run_release,
};

static const struct sk_opt request_opts[] = {
	{ "key", 0, "KEY", "pkcs11: URI (RFC 7512) or key file" },
	{ "output", 'o', "FILE", "where the request goes; NAME.csr without it" },
	{ "passphrase-file", 0, "FILE", "the key's passphrase or PIN: first line of FILE" },
	{ 0 },
};
static const char *const request_examples[] = {
	"skerry key request alice --key 'pkcs11:token=release;object=alice'\talice.csr",
	NULL,
};
static const struct sk_cmd cmd_request = {
	.name = "request",
	.summary = "ask for a certificate for a key that stays where it is",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.about = "For a key in a PKCS#11 token (smart card, HSM), or on another machine than the "
		 "root. The file that is made holds no secret; \"skerry key issue\" answers it.",
	.examples = request_examples,
	.opts = request_opts,
	.run = run_request,
};

static const struct sk_opt issue_opts[] = {
	SK_OPT_KEYS_DIR,
	{ "name", 0, "NAME", "name of the certificate, instead of what the request says" },
	{ "days", 0, "DAYS", "how long the certificate is good; 730 without it" },
	SECRET_OPTION,
	{ 0 },
};
static const struct sk_cmd cmd_issue = {
	.name = "issue",
	.summary = "answer a request with a certificate for signing releases",
	.args = "REQUEST",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Of the request only the key and the name are taken; who asks must be known to you "
		"by other means.",
	.opts = issue_opts,
	.run = run_issue,
};

static const struct sk_opt revoke_opts[] = {
	SK_OPT_KEYS_DIR,
	SECRET_OPTION,
	{ 0 },
};
static const struct sk_cmd cmd_revoke = {
	.name = "revoke",
	.summary = "withdraw a certificate",
	.args = "NAME|SERIAL",
	.min_args = 1,
	.max_args = 1,
	.about = "Writes crl.pem with the next number. A device that has it refuses every release "
		 "that the certificate signed, also those from before.",
	.opts = revoke_opts,
	.run = run_key_revoke,
};

static const struct sk_cmd *const subs[] = {
	&cmd_init,   &cmd_release,     &cmd_request,	 &cmd_issue,
	&cmd_revoke, &sk_cmd_key_list, &sk_cmd_key_show, NULL,
};

const struct sk_cmd sk_cmd_key = {
	.name = "key",
	.summary = "keys and certificates that sign releases",
	.about = "A root CA that devices trust, certificates for signing releases, and their "
		 "revocation. See docs/howto/keys.md.",
	.sub = subs,
};
