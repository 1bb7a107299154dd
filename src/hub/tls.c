/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

#define CA_FILE	   "../ca.pem" /* where people look for it: at the top of the data */
#define PEM_MAX	   (256 * 1024)
#define CA_DAYS	   7300
#define CERT_DAYS  397
#define RENEW_DAYS 30
#define DAY_S	   86400L

static void pkey_free(EVP_PKEY **at)
{
	EVP_PKEY_free(*at);
}

static void x509_free(X509 **at)
{
	X509_free(*at);
}

static void bio_free(BIO **at)
{
	BIO_free(*at);
}

#define _cleanup_pkey_ _cleanup_(pkey_free)
#define _cleanup_x509_ _cleanup_(x509_free)
#define _cleanup_bio_  _cleanup_(bio_free)

void sk_hub_tls_done(struct sk_hub_tls *t)
{
	free(t->cert_pem);
	if (t->key_pem)
		explicit_bzero(t->key_pem, strlen(t->key_pem));
	free(t->key_pem);
	free(t->ca_file);
	*t = (struct sk_hub_tls){ 0 };
}

static int failed(struct sk_err *err, const char *what)
{
	return sk_err_set(err, -EIO, "internal", "cannot make a certificate: %s", what);
}

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

/* Version, random serial, dates, names and key: what every certificate has. */
static X509 *start_cert(EVP_PKEY *key, const char *cn, long days, const X509_NAME *issuer)
{
	_cleanup_x509_ X509 *x = X509_new();
	unsigned char serial[16];
	BIGNUM *bn;
	bool ok;

	if (!x || RAND_bytes(serial, sizeof(serial)) != 1)
		return NULL;
	serial[0] &= 0x7f;
	bn = BN_bin2bn(serial, sizeof(serial), NULL);
	ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) &&
	     X509_set_version(x, X509_VERSION_3) == 1 &&
	     X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S) &&
	     X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, NULL) &&
	     X509_set_pubkey(x, key) == 1 &&
	     X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
					(const unsigned char *)cn, -1, -1, 0) == 1 &&
	     X509_set_issuer_name(x, issuer ? issuer : X509_get_subject_name(x)) == 1;
	BN_free(bn);
	return ok ? TAKE_PTR(x) : NULL;
}

static int to_pem(X509 *x, EVP_PKEY *key, char **ret, struct sk_err *err)
{
	_cleanup_bio_ BIO *b = BIO_new(BIO_s_mem());
	char *data;
	long len;

	if (!b || (x && PEM_write_bio_X509(b, x) != 1) ||
	    (key && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) != 1))
		return failed(err, "PEM");
	len = BIO_get_mem_data(b, &data);
	*ret = strndup(data, (size_t)len);
	return *ret ? 0 : sk_err_oom(err);
}

static int save(int dir, const char *name, X509 *x, EVP_PKEY *key, mode_t mode, struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	int r = to_pem(x, key, &pem, err);

	if (r < 0)
		return r;
	r = sk_file_write(dir, name, pem, strlen(pem), mode);
	if (key)
		explicit_bzero(pem, strlen(pem));
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot write tls/%s: %s", name, strerror(-r));
	return 0;
}

static int make_ca(int dir, struct sk_err *err)
{
	_cleanup_pkey_ EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_x509_ X509 *x =
		key ? start_cert(key, "Skerry hub authority", CA_DAYS, NULL) : NULL;
	int r;

	if (!x || !add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !add_ext(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_ext(x, x, NID_subject_key_identifier, "hash") ||
	    X509_sign(x, key, EVP_sha256()) == 0)
		return failed(err, "authority");
	/* The key first: the certificate says that both are there. */
	r = save(dir, "ca.key", NULL, key, 0600, err);
	return r < 0 ? r : save(dir, CA_FILE, x, NULL, 0644, err);
}

static EVP_PKEY *read_key(const char *pem)
{
	_cleanup_bio_ BIO *b = BIO_new_mem_buf(pem, -1);

	return b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
}

static X509 *read_cert(const char *pem)
{
	_cleanup_bio_ BIO *b = BIO_new_mem_buf(pem, -1);

	return b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
}

static int read_file(int dir, const char *name, char **ret, struct sk_err *err)
{
	size_t len;
	int r = sk_file_read(dir, name, PEM_MAX, ret, &len);

	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s: %s",
				  name, strerror(-r));
	return 0;
}

/* "DNS:a,IP:127.0.0.1". A name goes into OpenSSL's little language, so its letters are checked. */
static int alt_names(const char *names, char **ret, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(8192);
	_cleanup_strv_ char **v = NULL;
	unsigned char ip[16];
	int r = sk_strv_split(names, ' ', &v);

	SK_STRV_FOREACH (n, v) {
		bool is_ip = inet_pton(AF_INET, *n, ip) == 1 || inet_pton(AF_INET6, *n, ip) == 1;

		if (!is_ip && strspn(*n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789.-*") != strlen(*n))
			return sk_err_set(err, -EINVAL, "bad-name",
					  "\"%s\" is no host name or address", *n);
		if (r == 0)
			r = sk_buf_addf(&b, "%s%s:%s", b.len ? "," : "", is_ip ? "IP" : "DNS", *n);
	}
	if (r < 0 || b.len == 0)
		return sk_err_set(err, -EINVAL, "bad-value", "no (or too many) names");
	*ret = sk_buf_take(&b, NULL);
	return *ret ? 0 : sk_err_oom(err);
}

static int make_cert(int dir, const char *names, struct sk_err *err)
{
	_cleanup_free_ char *ca_pem = NULL, *ca_key_pem = NULL, *san = NULL;
	_cleanup_pkey_ EVP_PKEY *ca_key = NULL, *key = EVP_EC_gen("P-256");
	_cleanup_x509_ X509 *ca = NULL, *x = NULL;
	int r = read_file(dir, CA_FILE, &ca_pem, err);

	if (r == 0)
		r = read_file(dir, "ca.key", &ca_key_pem, err);
	if (r == 0)
		r = alt_names(names, &san, err);
	if (r < 0)
		return r;
	ca = read_cert(ca_pem);
	ca_key = read_key(ca_key_pem);
	explicit_bzero(ca_key_pem, strlen(ca_key_pem));
	if (!ca || !ca_key || !key)
		return failed(err, "the authority's files are damaged");
	x = start_cert(key, "Skerry hub", CERT_DAYS, X509_get_subject_name(ca));
	if (!x || !add_ext(x, ca, NID_basic_constraints, "critical,CA:FALSE") ||
	    !add_ext(x, ca, NID_key_usage, "critical,digitalSignature") ||
	    !add_ext(x, ca, NID_ext_key_usage, "serverAuth") ||
	    !add_ext(x, ca, NID_subject_key_identifier, "hash") ||
	    !add_ext(x, ca, NID_authority_key_identifier, "keyid") ||
	    !add_ext(x, ca, NID_subject_alt_name, san) || X509_sign(x, ca_key, EVP_sha256()) == 0)
		return failed(err, "certificate");
	r = save(dir, "key.pem", NULL, key, 0600, err);
	if (r == 0)
		r = save(dir, "cert.pem", x, NULL, 0644, err);
	if (r == 0 && sk_file_write(dir, "names", names, strlen(names), 0644) < 0)
		r = sk_err_set(err, -EIO, "io", "cannot write tls/names");
	return r;
}

/* Is the certificate there, for these names, of this key (a crash may part them), and good? */
static bool cert_is_good(int dir, const char *names)
{
	_cleanup_free_ char *cert_pem = NULL, *key_pem = NULL, *of = NULL;
	_cleanup_pkey_ EVP_PKEY *key = NULL;
	_cleanup_x509_ X509 *x = NULL;
	int days = 0, seconds;

	if (read_file(dir, "cert.pem", &cert_pem, NULL) < 0 ||
	    read_file(dir, "key.pem", &key_pem, NULL) < 0 ||
	    read_file(dir, "names", &of, NULL) < 0 || !sk_streq(of, names))
		return false;
	x = read_cert(cert_pem);
	key = read_key(key_pem);
	return x && key && X509_check_private_key(x, key) == 1 &&
	       ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) == 1 &&
	       days > RENEW_DAYS;
}

static void default_names(char *buf, size_t size)
{
	char host[HOST_NAME_MAX + 1] = "";

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(buf, size, "%s%slocalhost 127.0.0.1 ::1", host, *host ? " " : "");
}

/* Those that are asked for now, else those of last time, else what this machine is called. */
static int choose_names(int dir, const char *asked, char **ret)
{
	char defaults[HOST_NAME_MAX + 64];

	if (!*asked && read_file(dir, "names", ret, NULL) == 0)
		return 0;
	default_names(defaults, sizeof(defaults));
	*ret = strdup(*asked ? asked : defaults);
	return *ret ? 0 : -ENOMEM;
}

static int make_files(const char *folder, const char *asked, struct sk_err *err)
{
	_cleanup_free_ char *names = NULL;
	_cleanup_close_ int dir = -1;
	int r = sk_mkdir_p(AT_FDCWD, folder, 0755);

	if (r == 0)
		dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return sk_err_set(err, r < 0 ? r : -errno, "io", "cannot make %s", folder);
	if (choose_names(dir, asked, &names) < 0)
		return sk_err_oom(err);
	if (faccessat(dir, CA_FILE, F_OK, 0) < 0)
		r = make_ca(dir, err);
	if (r == 0 && !cert_is_good(dir, names))
		r = make_cert(dir, names, err);
	return r;
}

int sk_hub_tls_load(const char *data, const char *cert, const char *key, const char *names,
		    struct sk_hub_tls *ret, struct sk_err *err)
{
	_cleanup_free_ char *folder = sk_asprintf("%s/tls", data);
	_cleanup_free_ char *own_cert = sk_asprintf("%s/tls/cert.pem", data);
	_cleanup_free_ char *own_key = sk_asprintf("%s/tls/key.pem", data);
	int r = 0;

	if (!folder || !own_cert || !own_key)
		return sk_err_oom(err);
	if (!*cert != !*key)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "tls-cert and tls-key belong together: give both or none");
	if (!*cert) {
		r = make_files(folder, names, err);
		if (r == 0 && !(ret->ca_file = sk_asprintf("%s/ca.pem", data)))
			r = sk_err_oom(err);
	}
	if (r == 0)
		r = read_file(AT_FDCWD, *cert ? cert : own_cert, &ret->cert_pem, err);
	if (r == 0)
		r = read_file(AT_FDCWD, *key ? key : own_key, &ret->key_pem, err);
	if (r < 0)
		sk_hub_tls_done(ret);
	return r;
}
