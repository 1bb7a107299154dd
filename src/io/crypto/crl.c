/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/crl.h"

#include <errno.h>
#include <string.h>

#include "io/crypto/ossl.h"

#define NUMBER_BYTES_MAX 20 /* RFC 5280, 5.2.3 */
#define REVOKED_MAX	 100000

static void crl_done(struct sk_crl *c)
{
	X509_CRL_free(c->list);
	ASN1_INTEGER_free(c->number);
	*c = (struct sk_crl){ 0 };
}

void sk_crls_done(struct sk_crls *c)
{
	for (size_t i = 0; i < c->n; i++)
		crl_done(&c->v[i]);
	free(c->v);
	*c = (struct sk_crls){ 0 };
}

static bool entry_has_critical(X509_REVOKED *entry)
{
	for (int i = 0; i < X509_REVOKED_get_ext_count(entry); i++)
		if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, i)))
			return true;
	return false;
}

static bool has_critical(X509_CRL *list)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(list);

	for (int i = 0; i < X509_CRL_get_ext_count(list); i++)
		if (X509_EXTENSION_get_critical(X509_CRL_get_ext(list, i)))
			return true;
	for (int i = 0; i < sk_X509_REVOKED_num(entries); i++)
		if (entry_has_critical(sk_X509_REVOKED_value(entries, i)))
			return true;
	return false;
}

static bool number_ok(const ASN1_INTEGER *n)
{
	return n && ASN1_STRING_length(n) <= NUMBER_BYTES_MAX &&
	       ASN1_STRING_type(n) == V_ASN1_INTEGER; /* not V_ASN1_NEG_INTEGER */
}

/* Signed by a root that may sign lists? Two roots can have one name: the key decides. */
static X509 *find_root(X509_CRL *list, STACK_OF(X509) * roots)
{
	for (int i = 0; i < sk_X509_num(roots); i++) {
		X509 *root = sk_X509_value(roots, i);

		if (X509_NAME_cmp(X509_get_subject_name(root), X509_CRL_get_issuer(list)) != 0)
			continue;
		if ((X509_get_extension_flags(root) & EXFLAG_KUSAGE) &&
		    !(X509_get_key_usage(root) & KU_CRL_SIGN))
			continue;
		if (X509_CRL_verify(list, X509_get0_pubkey(root)) == 1)
			return root;
		ERR_clear_error();
	}
	return NULL;
}

/* Is that the root's key, by the identifier that a list carries of its issuer's? */
static bool has_key_id(X509 *root, const ASN1_OCTET_STRING *id)
{
	const ASN1_OCTET_STRING *own = X509_get0_subject_key_id(root);
	unsigned char sha1[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (own)
		return ASN1_OCTET_STRING_cmp(own, id) == 0;
	return X509_pubkey_digest(root, EVP_sha1(), sha1, &len) == 1 &&
	       ASN1_STRING_length(id) == (int)len &&
	       memcmp(ASN1_STRING_get0_data(id), sha1, len) == 0;
}

/*
 * Of a root that was taken out of ca.pem: neither its name nor its key is known here. One of them alone says that
 * the list is damaged.
 */
static bool of_a_former_root(X509_CRL *list, STACK_OF(X509) * roots)
{
	AUTHORITY_KEYID *key = X509_CRL_get_ext_d2i(list, NID_authority_key_identifier, NULL, NULL);
	bool known = !key || !key->keyid;

	for (int i = 0; !known && i < sk_X509_num(roots); i++) {
		X509 *root = sk_X509_value(roots, i);

		known = X509_NAME_cmp(X509_get_subject_name(root), X509_CRL_get_issuer(list)) ==
				0 ||
			has_key_id(root, key->keyid);
	}
	AUTHORITY_KEYID_free(key);
	ERR_clear_error();
	return !known;
}

const char *sk_crl_unfit(X509_CRL *list)
{
	_cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *number =
		X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);

	if (!number_ok(number))
		return "it has no usable number";
	if (sk_X509_REVOKED_num(X509_CRL_get_REVOKED(list)) > REVOKED_MAX)
		return "it has too many entries";
	if (has_critical(list))
		return "it has a critical extension that is not known here";
	if (!sk_signature_strong(X509_CRL_get_signature_nid(list)))
		return "it is signed with a weak hash";
	return NULL;
}

/*
 * Takes a reference of @list. @kept: the list was taken before, and its root may have left ca.pem
 * since; only such a list may stand without a root.
 */
static int check_list(X509_CRL *list, STACK_OF(X509) * roots, bool kept, struct sk_crl *ret,
		      struct sk_err *err)
{
	const char *why = sk_crl_unfit(list);
	X509 *root;

	if (why)
		return sk_x509_crl_refuse(err, why);
	root = find_root(list, roots);
	if (!root && !(kept && of_a_former_root(list, roots)))
		return sk_err_set(err, -EKEYREJECTED, "untrusted",
				  "revocation list: none of the trusted roots signed it");
	*ret = (struct sk_crl){
		.list = X509_CRL_up_ref(list) == 1 ? list : NULL,
		.number = X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL),
		.root = root,
	};
	if (ret->list && ret->number)
		return 0;
	crl_done(ret);
	return sk_err_oom(err);
}

static bool is_of(const struct sk_crl *c, X509 *issuer)
{
	bool signed_by;

	if (c->root)
		return X509_NAME_cmp(X509_get_subject_name(c->root),
				     X509_get_subject_name(issuer)) == 0 &&
		       EVP_PKEY_eq(X509_get0_pubkey(c->root), X509_get0_pubkey(issuer)) == 1;
	signed_by =
		X509_NAME_cmp(X509_CRL_get_issuer(c->list), X509_get_subject_name(issuer)) == 0 &&
		X509_CRL_verify(c->list, X509_get0_pubkey(issuer)) == 1;
	ERR_clear_error();
	return signed_by;
}

static struct sk_crl *list_of(const struct sk_crls *c, X509 *issuer)
{
	for (size_t i = 0; i < c->n; i++)
		if (is_of(&c->v[i], issuer))
			return &c->v[i];
	return NULL;
}

/* Consumes @one. */
static int add_crl(struct sk_crls *c, struct sk_crl *one, struct sk_err *err)
{
	struct sk_crl *grown = reallocarray(c->v, c->n + 1, sizeof(*grown));

	if (!grown) {
		crl_done(one);
		return sk_err_oom(err);
	}
	c->v = grown;
	c->v[c->n++] = *one;
	return 0;
}

static int load_one(struct sk_crls *c, X509_CRL *list, STACK_OF(X509) * roots, struct sk_err *err)
{
	struct sk_crl one;
	int r = check_list(list, roots, true, &one, err);

	if (r < 0)
		return r;
	if (one.root && list_of(c, one.root)) {
		crl_done(&one);
		return sk_x509_crl_refuse(err, "a root has two of them");
	}
	return add_crl(c, &one, err);
}

int sk_crls_load(struct sk_crls *c, const void *pem, size_t len, STACK_OF(X509) * roots,
		 struct sk_err *err)
{
	_cleanup_x509_crls_ STACK_OF(X509_CRL) *lists = NULL;
	int r = sk_x509_crl_read_all(pem, len, &lists, err);

	for (int i = 0; r == 0 && i < sk_X509_CRL_num(lists); i++)
		r = load_one(c, sk_X509_CRL_value(lists, i), roots, err);
	return r;
}

/* One list, in either form. */
static int parse_one(const void *data, size_t len, X509_CRL **ret, struct sk_err *err)
{
	_cleanup_x509_crls_ STACK_OF(X509_CRL) *lists = NULL;

	if (len <= SK_CRL_FILE_MAX && sk_is_der(data, len) &&
	    sk_x509_crl_read_der(data, len, ret, NULL) == 0)
		return 0;
	if (len <= SK_CRL_FILE_MAX && !sk_is_der(data, len) &&
	    sk_x509_crl_read_all(data, len, &lists, NULL) == 0 && sk_X509_CRL_num(lists) == 1) {
		*ret = sk_X509_CRL_pop(lists);
		return 0;
	}
	return sk_x509_crl_refuse(err, "it is not one whole list (PEM or DER)");
}

static int copy_others(const struct sk_crls *old, const struct sk_crl *but, struct sk_crls *ret,
		       struct sk_err *err)
{
	for (size_t i = 0; i < old->n; i++) {
		struct sk_crl copy = { .root = old->v[i].root };
		int r;

		if (&old->v[i] == but)
			continue;
		if (X509_CRL_up_ref(old->v[i].list) == 1)
			copy.list = old->v[i].list;
		copy.number = ASN1_INTEGER_dup(old->v[i].number);
		if (!copy.list || !copy.number) {
			crl_done(&copy);
			return sk_err_oom(err);
		}
		r = add_crl(ret, &copy, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int sk_crls_with(const struct sk_crls *old, const void *crl, size_t len, STACK_OF(X509) * roots,
		 struct sk_crls *ret, struct sk_err *err)
{
	_cleanup_(X509_CRL_freep) X509_CRL *list = NULL;
	const struct sk_crl *present;
	struct sk_crl one;
	int r = parse_one(crl, len, &list, err);

	if (r < 0)
		return r;
	r = check_list(list, roots, false, &one, err);
	if (r < 0)
		return r;
	present = list_of(old, one.root);
	if (present && ASN1_INTEGER_cmp(one.number, present->number) <= 0) {
		crl_done(&one);
		return 1;
	}
	r = add_crl(ret, &one, err);
	return r < 0 ? r : copy_others(old, present, ret, err);
}

int sk_crls_pem(const struct sk_crls *c, char **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());

	if (!b)
		return sk_err_oom(err);
	for (size_t i = 0; i < c->n; i++)
		if (PEM_write_bio_X509_CRL(b, c->v[i].list) != 1)
			return sk_err_oom(err);
	if (BIO_ctrl_pending(b) > SK_CRL_FILE_MAX)
		return sk_x509_crl_refuse(err, "it is too large");
	return sk_bio_text(b, ret, ret_len, err);
}

/* Whatever the reason that an entry states, removal from a delta list among them: it is named. */
bool sk_crls_revoked(const struct sk_crls *c, X509 *cert, X509 *issuer, int64_t *ret_since_s)
{
	const struct sk_crl *of = list_of(c, issuer);
	X509_REVOKED *entry;

	if (!of || X509_CRL_get0_by_cert(of->list, &entry, cert) == 0)
		return false;
	*ret_since_s = sk_asn1_time(X509_REVOKED_get0_revocationDate(entry));
	return true;
}
