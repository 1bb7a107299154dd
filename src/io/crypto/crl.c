/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/crl.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "io/crypto/der.h"

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

static int refuse(struct sk_err *err, const char *why)
{
	ERR_clear_error();
	return sk_err_set(err, -EINVAL, "bad-value", "revocation list: %s", why);
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

/* Consumes @list whatever comes of it. @kept: one that was taken before may have lost its root since. */
static int check_list(X509_CRL *list, STACK_OF(X509) * roots, bool kept, struct sk_crl *ret,
		      struct sk_err *err)
{
	struct sk_crl c = { .list = list };
	const char *why = sk_crl_unfit(list);

	c.number = why ? NULL : X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
	if (!why && !c.number)
		why = "it has no usable number";
	if (why) {
		crl_done(&c);
		return refuse(err, why);
	}
	c.root = find_root(list, roots);
	if (!c.root && !(kept && of_a_former_root(list, roots))) {
		crl_done(&c);
		return sk_err_set(err, -EKEYREJECTED, "untrusted",
				  "revocation list: none of the trusted roots signed it");
	}
	*ret = c;
	return 0;
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
static int add(struct sk_crls *c, struct sk_crl *one, struct sk_err *err)
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

int sk_crls_load(struct sk_crls *c, const void *pem, size_t len, STACK_OF(X509) * roots,
		 struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new_mem_buf(pem, (int)len);
	X509_CRL *list;
	int r = 0;

	if (!b)
		return sk_err_oom(err);
	ERR_clear_error();
	while (r == 0 && (list = PEM_read_bio_X509_CRL(b, NULL, sk_ossl_no_passphrase, NULL))) {
		struct sk_crl one;

		r = check_list(list, roots, true, &one, err);
		if (r == 0 && one.root && list_of(c, one.root)) {
			crl_done(&one);
			r = refuse(err, "a root has two of them");
		}
		if (r == 0)
			r = add(c, &one, err);
	}
	if (r < 0)
		return r;
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return refuse(err, "it is damaged");
	ERR_clear_error();
	return c->n ? 0 : refuse(err, "the file holds none");
}

static X509_CRL *parse_pem(const void *data, size_t len)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new_mem_buf(data, (int)len);
	_cleanup_(X509_CRL_freep) X509_CRL *list = NULL, *second = NULL;

	if (!b)
		return NULL;
	list = PEM_read_bio_X509_CRL(b, NULL, sk_ossl_no_passphrase, NULL);
	second = list ? PEM_read_bio_X509_CRL(b, NULL, sk_ossl_no_passphrase, NULL) : NULL;
	return second ? NULL : TAKE_PTR(list);
}

/* One list, in either form. */
static X509_CRL *parse_one(const void *data, size_t len)
{
	const unsigned char *at = data;

	if (len == 0 || len > SK_CRL_FILE_MAX)
		return NULL;
	if (*at != SK_DER_SEQUENCE)
		return parse_pem(data, len);
	if (sk_der_check(data, len) < 0)
		return NULL;
	return d2i_X509_CRL(NULL, &at, (long)len);
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
		r = add(ret, &copy, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int sk_crls_with(const struct sk_crls *old, const void *crl, size_t len, STACK_OF(X509) * roots,
		 struct sk_crls *ret, struct sk_err *err)
{
	const struct sk_crl *present;
	struct sk_crl one;
	X509_CRL *list;
	int r;

	list = parse_one(crl, len);
	if (!list)
		return refuse(err, "it is not one whole list (PEM or DER)");
	r = check_list(list, roots, false, &one, err);
	if (r < 0)
		return r;
	present = list_of(old, one.root);
	if (present && ASN1_INTEGER_cmp(one.number, present->number) <= 0) {
		crl_done(&one);
		return 1;
	}
	r = add(ret, &one, err);
	return r < 0 ? r : copy_others(old, present, ret, err);
}

int sk_crls_pem(const struct sk_crls *c, char **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());
	char *data;
	long len;

	if (!b)
		return sk_err_oom(err);
	for (size_t i = 0; i < c->n; i++)
		if (PEM_write_bio_X509_CRL(b, c->v[i].list) != 1)
			return sk_err_oom(err);
	len = BIO_get_mem_data(b, &data);
	if (len > SK_CRL_FILE_MAX)
		return refuse(err, "it is too large");
	*ret = strndup(data, (size_t)len);
	*ret_len = (size_t)len;
	return *ret ? 0 : sk_err_oom(err);
}

bool sk_crls_revoked(const struct sk_crls *c, X509 *cert, X509 *issuer, int64_t *ret_since_s)
{
	const struct sk_crl *of = list_of(c, issuer);
	X509_REVOKED *entry;

	if (!of)
		return false;
	for (int i = 0; i < sk_X509_REVOKED_num(X509_CRL_get_REVOKED(of->list)); i++) {
		entry = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(of->list), i);
		if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(entry),
				     X509_get0_serialNumber(cert)) != 0)
			continue;
		*ret_since_s = sk_asn1_time(X509_REVOKED_get0_revocationDate(entry));
		return true;
	}
	return false;
}
