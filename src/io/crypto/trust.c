/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "io/crypto/crl.h"
#include "io/crypto/crl_info.h"
#include "io/crypto/ossl.h"

#define CA_SIZE_MAX    (256u << 10)
#define ROOTS_MAX      32
#define CHAIN_MAX      4 /* intermediates between a root and a signer */
#define STRENGTH_LEVEL 2 /* OpenSSL's security level: 112 bit */

struct sk_trust {
	char *dir;		/* NULL: in memory alone */
	struct sk_digest files; /* of what was read there */
	STACK_OF(X509) * roots;
	X509_STORE *store; /* the same roots, as chain building wants them */
	struct sk_crls crls;
};

void sk_trust_free(struct sk_trust *t)
{
	if (!t)
		return;
	sk_X509_pop_free(t->roots, X509_free);
	X509_STORE_free(t->store);
	sk_crls_done(&t->crls);
	free(t->dir);
	free(t);
}

static int check_root(X509 *root, struct sk_err *err)
{
	_cleanup_free_ char *name = sk_x509_name(X509_get_subject_name(root));
	const char *why = NULL;

	if (!name)
		return sk_err_oom(err);
	if (X509_check_ca(root) != 1 || (X509_get_extension_flags(root) & EXFLAG_INVALID))
		why = "is not a CA's";
	else if (!(X509_get_extension_flags(root) & EXFLAG_SS))
		why = "is not a root: somebody else issued it";
	else if (!sk_key_strong(X509_get0_pubkey(root)))
		why = "has a weak key";
	if (why)
		return sk_err_set(err, -EINVAL, "bad-value", "certificate \"%s\" %s", name, why);
	return 0;
}

static int add_roots(struct sk_trust *t, const char *pem, size_t len, struct sk_err *err)
{
	int r = sk_x509_read_all(pem, len, ROOTS_MAX, &t->roots, err);

	t->store = X509_STORE_new();
	if (r < 0 || !t->store)
		return r < 0 ? r : sk_err_oom(err);
	for (int i = 0; i < sk_X509_num(t->roots); i++) {
		r = check_root(sk_X509_value(t->roots, i), err);
		if (r < 0)
			return r;
		if (X509_STORE_add_cert(t->store, sk_X509_value(t->roots, i)) != 1)
			return sk_err_oom(err);
	}
	return 0;
}

/** The text of ca.pem and crl.pem. @crl: NULL when there is none */
struct files {
	char *ca, *crl;
	size_t ca_len, crl_len;
};

static void files_done(struct files *f)
{
	free(f->ca);
	free(f->crl);
}

static int read_file(const char *dir, const char *name, size_t max, char **ret, size_t *ret_len,
		     struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/%s", dir, name);
	bool roots = sk_streq(name, "ca.pem");
	int r = path ? sk_file_read(AT_FDCWD, path, max, ret, ret_len) : -ENOMEM;

	if (r == 0 || (r == -ENOENT && !roots))
		return 0;
	if (r == -ENOMEM)
		return sk_err_oom(err);
	return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s, %s: %s",
			  roots ? "the roots of trust" : "the revocation list", path, strerror(-r));
}

static int read_files(const char *dir, struct files *ret, struct sk_err *err)
{
	int r = read_file(dir, "ca.pem", CA_SIZE_MAX, &ret->ca, &ret->ca_len, err);

	return r < 0 ? r
		     : read_file(dir, "crl.pem", SK_CRL_FILE_MAX, &ret->crl, &ret->crl_len, err);
}

/* Of both files and their lengths: bytes moved from one file to the other give another digest. */
static int digest_files(const struct files *f, struct sk_digest *ret)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	const size_t head[] = { f->ca_len, f->crl ? f->crl_len + 1 : 0 };
	int r = h ? sk_hasher_add(h, head, sizeof(head)) : -ENOMEM;

	if (r == 0)
		r = sk_hasher_add(h, f->ca, f->ca_len);
	if (r == 0 && f->crl)
		r = sk_hasher_add(h, f->crl, f->crl_len);
	return r == 0 ? sk_hasher_end(h, ret) : r;
}

/* A list that cannot be used is an error, not "nothing is revoked". */
static int use_files(struct sk_trust *t, const struct files *f, struct sk_err *err)
{
	const char *name = "ca.pem";
	int r = add_roots(t, f->ca, f->ca_len, err);

	if (r == 0 && f->crl) {
		name = "crl.pem";
		r = sk_crls_load(&t->crls, f->crl, f->crl_len, t->roots, err);
	}
	if (r < 0)
		(void)sk_err_prefix(err, "%s/%s", t->dir, name);
	return r;
}

static int load_from(const char *dir, const struct files *f, struct sk_trust **ret,
		     struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = calloc(1, sizeof(*t));
	int r;

	if (!t || !(t->dir = strdup(dir)) || digest_files(f, &t->files) < 0)
		return sk_err_oom(err);
	r = use_files(t, f, err);
	if (r == 0)
		*ret = TAKE_PTR(t);
	return r;
}

int sk_trust_load(const char *dir, struct sk_trust **ret, struct sk_err *err)
{
	_cleanup_(files_done) struct files f = { 0 };
	int r = read_files(dir, &f, err);

	return r < 0 ? r : load_from(dir, &f, ret, err);
}

int sk_trust_refresh(struct sk_trust **t, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *old = TAKE_PTR(*t);
	_cleanup_(files_done) struct files f = { 0 };
	struct sk_digest now;
	int r = read_files(old->dir, &f, err);

	if (r < 0)
		return r;
	if (digest_files(&f, &now) < 0)
		return sk_err_oom(err);
	if (sk_digest_equal(&now, &old->files)) {
		*t = TAKE_PTR(old);
		return 0;
	}
	r = load_from(old->dir, &f, t, err);
	return r < 0 ? r : 1;
}

int sk_trust_of(const char *ca_pem, struct sk_trust **ret, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = calloc(1, sizeof(*t));
	int r = t ? add_roots(t, ca_pem, strlen(ca_pem), err) : sk_err_oom(err);

	if (r == 0)
		*ret = TAKE_PTR(t);
	return r;
}

int sk_trust_check_crl(const struct sk_trust *t, const void *crl, size_t len, struct sk_err *err)
{
	_cleanup_(sk_crls_done) struct sk_crls next = { 0 };

	return sk_crls_with(&t->crls, crl, len, t->roots, &next, err);
}

static int write_crls(const struct sk_trust *t, const struct sk_crls *crls, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/crl.pem", t->dir), *pem = NULL;
	size_t pem_len;
	int r;

	if (!path)
		return sk_err_oom(err);
	r = sk_crls_pem(crls, &pem, &pem_len, err);
	if (r < 0)
		return r;
	r = sk_file_write(AT_FDCWD, path, pem, pem_len, 0644);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOSPC ? "no-space" : "io", "cannot write %s: %s",
				  path, strerror(-r));
	return 0;
}

/*
 * The file that this wrote is not a change for the next refresh. If it cannot be read now, that refresh reports
 * it.
 */
static void note_files(struct sk_trust *t)
{
	_cleanup_(files_done) struct files f = { 0 };

	if (read_files(t->dir, &f, NULL) == 0)
		(void)digest_files(&f, &t->files);
}

int sk_trust_update_crl(struct sk_trust *t, const void *crl, size_t len, struct sk_err *err)
{
	_cleanup_(sk_crls_done) struct sk_crls next = { 0 };
	int r = sk_crls_with(&t->crls, crl, len, t->roots, &next, err);

	if (r != 0)
		return r;
	r = t->dir ? write_crls(t, &next, err) : 0;
	if (r < 0)
		return r;
	if (t->dir)
		note_files(t);
	sk_crls_done(&t->crls);
	t->crls = next;
	next = (struct sk_crls){ 0 };
	return 0;
}

int sk_trust_crls(const struct sk_trust *t, struct sk_crl_info **ret, size_t *ret_n,
		  struct sk_err *err)
{
	struct sk_crl_info *v = calloc(t->crls.n + 1, sizeof(*v));
	int r = v ? 0 : sk_err_oom(err);

	for (size_t i = 0; r == 0 && i < t->crls.n; i++)
		r = sk_crl_info_fill(&v[i], t->crls.v[i].list, err);
	if (r < 0) {
		sk_crl_infos_free(v, t->crls.n);
		return r;
	}
	*ret = v;
	*ret_n = t->crls.n;
	return 0;
}

static int refuse_chain(X509_STORE_CTX *ctx, X509 *cert, struct sk_err *err)
{
	int code = X509_STORE_CTX_get_error(ctx);
	X509 *at = X509_STORE_CTX_get_current_cert(ctx);
	_cleanup_free_ char *name = sk_x509_name(X509_get_subject_name(at ? at : cert));
	_cleanup_free_ char *issuer = sk_x509_name(X509_get_issuer_name(at ? at : cert));
	char date[32];

	if (!name || !issuer)
		return sk_err_oom(err);
	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return sk_err_set(err, -EKEYREJECTED, "expired",
				  "certificate \"%s\" expired at %s; sign the release again with a "
				  "new one",
				  name, sk_time_format(date, sk_asn1_time(X509_get0_notAfter(at))));
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return sk_err_set(err, -EKEYREJECTED, "untrusted",
				  "certificate \"%s\" is not valid before %s; is the clock right?",
				  name,
				  sk_time_format(date, sk_asn1_time(X509_get0_notBefore(at))));
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return sk_err_set(
			err, -EKEYREJECTED, "untrusted",
			"certificate \"%s\" was issued by \"%s\", which is not a root that "
			"is trusted here",
			name, issuer);
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return sk_err_set(
			err, -EKEYREJECTED, "untrusted",
			"certificate \"%s\" is signed by itself and is not a root that is "
			"trusted here",
			name);
	default:
		return sk_err_set(err, -EKEYREJECTED, "untrusted", "certificate \"%s\": %s", name,
				  X509_verify_cert_error_string(code));
	}
}

static int build_chain(const struct sk_trust *t, X509 *cert, STACK_OF(X509) * others, int64_t now_s,
		       STACK_OF(X509) * *ret, struct sk_err *err)
{
	_cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;

	if (!ctx || X509_STORE_CTX_init(ctx, t->store, cert, others) != 1)
		return sk_err_oom(err);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_auth_level(param, STRENGTH_LEVEL);
	X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX);
	if (now_s == 0)
		(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
	else
		X509_VERIFY_PARAM_set_time(param, now_s);
	if (X509_verify_cert(ctx) != 1)
		return refuse_chain(ctx, cert, err);
	*ret = X509_STORE_CTX_get1_chain(ctx);
	return *ret ? 0 : sk_err_oom(err);
}

/* OpenSSL looks at the purpose of CAs only together with one of its own list; ours is not there. */
static bool may_issue_signers(X509 *ca)
{
	return !(X509_get_extension_flags(ca) & EXFLAG_XKUSAGE) ||
	       (X509_get_extended_key_usage(ca) & (XKU_CODE_SIGN | XKU_ANYEKU));
}

static int check_issuers(STACK_OF(X509) * chain, struct sk_err *err)
{
	for (int i = 1; i < sk_X509_num(chain); i++) {
		X509 *ca = sk_X509_value(chain, i), *below = sk_X509_value(chain, i - 1);
		_cleanup_free_ char *name = sk_x509_name(X509_get_subject_name(ca));
		const char *why = NULL;

		if (!name)
			return sk_err_oom(err);
		if (!may_issue_signers(ca))
			why = "may not issue certificates for signing code";
		else if (!sk_key_strong(X509_get0_pubkey(ca)))
			why = "has a weak key";
		else if (!sk_signature_strong(X509_get_signature_nid(below)))
			why = "signed with a weak hash";
		if (why)
			return sk_err_set(err, -EKEYREJECTED, "untrusted", "CA \"%s\" %s", name,
					  why);
	}
	return 0;
}

static int check_revoked(const struct sk_trust *t, STACK_OF(X509) * chain, struct sk_err *err)
{
	for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);
		_cleanup_free_ char *name = sk_x509_name(X509_get_subject_name(cert));
		int64_t since_s;
		char date[32];

		if (!name)
			return sk_err_oom(err);
		if (!sk_crls_revoked(&t->crls, cert, sk_X509_value(chain, i + 1), &since_s))
			continue;
		return sk_err_set(
			err, -EKEYREJECTED, "revoked",
			"certificate \"%s\" was revoked at %s; sign the release again with "
			"another one",
			name, sk_time_format(date, since_s));
	}
	return 0;
}

int sk_trust_check(const struct sk_trust *t, X509 *cert, STACK_OF(X509) * others, int64_t now_s,
		   struct sk_err *err)
{
	_cleanup_x509s_ STACK_OF(X509) *chain = NULL;
	int r = build_chain(t, cert, others, now_s, &chain, err);

	if (r == 0)
		r = sk_cert_signs_releases(cert, err);
	if (r == 0)
		r = check_issuers(chain, err);
	if (r == 0)
		r = check_revoked(t, chain, err);
	ERR_clear_error();
	return r;
}
