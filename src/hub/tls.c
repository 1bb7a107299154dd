/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "io/crypto/pki.h"

#define CA_FILE	   "../ca.pem" /* where people look for it: at the top of the data */
#define PEM_MAX	   (256 * 1024)
#define CA_DAYS	   7300
#define CERT_DAYS  397
#define RENEW_DAYS 30
#define DAY_S	   86400L

void sk_hub_tls_done(struct sk_hub_tls *t)
{
	free(t->cert_pem);
	if (t->key_pem)
		explicit_bzero(t->key_pem, strlen(t->key_pem));
	free(t->key_pem);
	free(t->ca_file);
	*t = (struct sk_hub_tls){ 0 };
}

static int write_file(int dir, const char *name, const char *text, size_t len, mode_t mode,
		      struct sk_err *err)
{
	int r = sk_file_write(dir, name, text, len, mode);

	if (r < 0)
		return sk_err_set(err, r, "io", "cannot write tls/%s: %s", name, strerror(-r));
	return 0;
}

static int save_key(int dir, const char *name, const struct sk_key *key, struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r = sk_key_pem(key, NULL, &pem, &len, err);

	if (r < 0)
		return r;
	r = write_file(dir, name, pem, len, 0600, err);
	explicit_bzero(pem, len);
	return r;
}

static int save_cert(int dir, const char *name, const struct sk_cert *cert, struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r = sk_cert_pem(cert, &pem, &len, err);

	return r < 0 ? r : write_file(dir, name, pem, len, 0644, err);
}

static struct sk_subject subject(const char *name, int64_t days)
{
	int64_t now_s = sk_wall_s();

	return (struct sk_subject){ .name = name,
				    .from_s = now_s - DAY_S,
				    .to_s = now_s + days * DAY_S,
				    .use = SK_CERT_SERVER };
}

static int make_ca(int dir, struct sk_err *err)
{
	const struct sk_subject who = subject("Skerry hub authority", CA_DAYS);
	_cleanup_(sk_key_freep) struct sk_key *key = NULL;
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	int r = sk_key_make(SK_KEY_P256, &key, err);

	if (r < 0)
		return r;
	r = sk_ca_make(key, &who, &cert, err);
	if (r < 0)
		return r;
	/* The key first: where the certificate is, both are. */
	r = save_key(dir, "ca.key", key, err);
	return r < 0 ? r : save_cert(dir, CA_FILE, cert, err);
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

static int read_key(int dir, const char *name, struct sk_key **ret, struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	int r = read_file(dir, name, &pem, err);

	if (r < 0)
		return r;
	r = sk_key_parse(pem, strlen(pem), name, NULL, ret, err);
	explicit_bzero(pem, strlen(pem));
	return r;
}

static int read_cert(int dir, const char *name, struct sk_cert **ret, struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	int r = read_file(dir, name, &pem, err);

	return r < 0 ? r : sk_cert_parse(pem, strlen(pem), ret, err);
}

static int certify(int dir, const char *names, const struct sk_key *key, struct sk_cert **ret,
		   struct sk_err *err)
{
	_cleanup_(sk_key_freep) struct sk_key *ca_key = NULL;
	_cleanup_(sk_cert_freep) struct sk_cert *ca = NULL;
	struct sk_subject who = subject("Skerry hub", CERT_DAYS);
	int r = read_cert(dir, CA_FILE, &ca, err);

	if (r < 0)
		return r;
	r = read_key(dir, "ca.key", &ca_key, err);
	if (r < 0)
		return r;
	who.hosts = names;
	return sk_ca_certify(&(struct sk_ca){ ca_key, ca }, &who, key, ret, err);
}

static int make_cert(int dir, const char *names, struct sk_err *err)
{
	_cleanup_(sk_key_freep) struct sk_key *key = NULL;
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	int r = sk_key_make(SK_KEY_P256, &key, err);

	if (r < 0)
		return r;
	r = certify(dir, names, key, &cert, err);
	if (r < 0)
		return r;
	r = save_key(dir, "key.pem", key, err);
	if (r < 0)
		return r;
	r = save_cert(dir, "cert.pem", cert, err);
	return r < 0 ? r : write_file(dir, "names", names, strlen(names), 0644, err);
}

static bool expires_soon(const struct sk_cert *cert)
{
	_cleanup_(sk_cert_facts_done) struct sk_cert_facts f = { 0 };

	return sk_cert_facts(cert, &f, NULL) < 0 || f.to_s - sk_wall_s() <= RENEW_DAYS * DAY_S;
}

/* Is the certificate there, for these names, of this key (a crash may part them), and good? */
static bool cert_is_good(int dir, const char *names)
{
	_cleanup_free_ char *of = NULL;
	_cleanup_(sk_key_freep) struct sk_key *key = NULL;
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;

	if (read_file(dir, "names", &of, NULL) < 0 || !sk_streq(of, names))
		return false;
	if (read_cert(dir, "cert.pem", &cert, NULL) < 0 || read_key(dir, "key.pem", &key, NULL) < 0)
		return false;
	return sk_cert_is_for(cert, key) && !expires_soon(cert);
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
