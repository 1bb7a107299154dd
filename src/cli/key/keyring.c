/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"

#define INDEX_HEAD "skerry-keys 1"
#define INDEX_MAX  (16u << 20)
#define CRL_MAX	   (4u << 20)
#define CERT_MAX   (64u << 10)
#define CRL_LASTS  (365 * 86400) /* devices honour an older one too, until they get the next */

void sk_keyring_done(struct sk_keyring *k)
{
	if (k->dirfd >= 0)
		(void)close(k->dirfd); /* and with it the lock */
	free(k->dir);
	free(k->issued);
	*k = (struct sk_keyring){ .dirfd = -1 };
}

bool sk_keyring_has(const struct sk_keyring *k, const char *name, const char *suffix)
{
	_cleanup_free_ char *file = sk_asprintf("%s%s", name, suffix);

	return file && faccessat(k->dirfd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_dir(const char *dir, struct sk_keyring *k, struct sk_err *err)
{
	*k = (struct sk_keyring){ .dirfd = -1 };
	k->dir = strdup(dir);
	if (!k->dir)
		return sk_err_oom(err);
	k->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->dirfd < 0)
		return sk_err_set(
			err, -errno, errno == ENOENT ? "not-found" : "io",
			"cannot open the key folder %s: %s; make one with: skerry key init", dir,
			strerror(errno));
	if (flock(k->dirfd, LOCK_EX | LOCK_NB) < 0)
		return sk_err_set(err, -errno, "in-use", "another skerry key is using %s", dir);
	return 0;
}

int sk_keyring_create(const char *dir, struct sk_keyring *ret, struct sk_err *err)
{
	int r = sk_mkdir_p(AT_FDCWD, dir, 0700);

	*ret = (struct sk_keyring){ .dirfd = -1 };
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot make %s: %s", dir, strerror(-r));
	r = open_dir(dir, ret, err);
	if (r == 0 && (sk_keyring_has(ret, "ca", ".key") || sk_keyring_has(ret, "ca", ".pem") ||
		       sk_keyring_has(ret, "index", "")))
		r = sk_err_set(err, -EEXIST, "already-exists",
			       "there is a root in %s already; nothing was changed", dir);
	if (r < 0)
		sk_keyring_done(ret);
	return r;
}

static int damaged(const struct sk_keyring *k, struct sk_err *err)
{
	return sk_err_set(err, -EBADMSG, "damaged", "%s/index is damaged; restore it from a backup",
			  k->dir);
}

static int keyring_add_row(struct sk_keyring *k, const struct sk_issued *row)
{
	struct sk_issued *grown = reallocarray(k->issued, k->n_issued + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	k->issued = grown;
	k->issued[k->n_issued++] = *row;
	return 0;
}

/* "serial from to revoked name" */
static int parse_row(const char *line, struct sk_issued *ret)
{
	_cleanup_strv_ char **words = NULL;
	uint64_t from, to, revoked;

	if (sk_strv_split(line, ' ', &words) < 0 || sk_strv_len(words) != 5)
		return -EINVAL;
	if (strlen(words[0]) > SK_SERIAL_HEX || words[0][strspn(words[0], "0123456789abcdef")] ||
	    sk_parse_u64(words[1], &from) < 0 || sk_parse_u64(words[2], &to) < 0 ||
	    sk_parse_u64(words[3], &revoked) < 0 || !sk_name_ok(words[4]))
		return -EINVAL;
	*ret = (struct sk_issued){ .from_s = (int64_t)from,
				   .to_s = (int64_t)to,
				   .revoked_s = (int64_t)revoked };
	(void)snprintf(ret->serial, sizeof(ret->serial), "%s", words[0]);
	(void)snprintf(ret->name, sizeof(ret->name), "%s", words[4]);
	return 0;
}

static int parse_index(struct sk_keyring *k, const char *text, struct sk_err *err)
{
	_cleanup_strv_ char **lines = NULL;

	if (sk_strv_split(text, '\n', &lines) < 0)
		return sk_err_oom(err);
	if (sk_strv_len(lines) < 2 || !sk_streq(lines[0], INDEX_HEAD) ||
	    !sk_str_starts(lines[1], "crl ") || sk_parse_u64(lines[1] + 4, &k->crl_number) < 0)
		return damaged(k, err);
	for (size_t i = 2; lines[i]; i++) {
		struct sk_issued row;

		if (parse_row(lines[i], &row) < 0)
			return damaged(k, err);
		if (keyring_add_row(k, &row) < 0)
			return sk_err_oom(err);
	}
	return 0;
}

static int load_index(struct sk_keyring *k, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = sk_file_read(k->dirfd, "index", INDEX_MAX, &text, &len);

	if (r == -ENOENT)
		return sk_err_set(err, r, "not-found",
				  "%s holds no root; make one with: skerry key init --dir %s",
				  k->dir, k->dir);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read %s/index: %s", k->dir, strerror(-r));
	if (strlen(text) != len)
		return damaged(k, err);
	return parse_index(k, text, err);
}

int sk_keyring_open(const char *dir, struct sk_keyring *ret, struct sk_err *err)
{
	int r = open_dir(dir, ret, err);

	if (r == 0)
		r = load_index(ret, err);
	if (r < 0)
		sk_keyring_done(ret);
	return r;
}

int sk_keyring_save(const struct sk_keyring *k, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(INDEX_MAX);
	int r = sk_buf_addf(&b, INDEX_HEAD "\ncrl %" PRIu64 "\n", k->crl_number);

	for (size_t i = 0; r == 0 && i < k->n_issued; i++) {
		const struct sk_issued *c = &k->issued[i];

		r = sk_buf_addf(&b, "%s %" PRIi64 " %" PRIi64 " %" PRIi64 " %s\n", c->serial,
				c->from_s, c->to_s, c->revoked_s, c->name);
	}
	if (r == 0)
		r = sk_file_write(k->dirfd, "index", b.data, b.len, 0600);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOSPC ? "no-space" : "io",
				  "cannot write %s/index: %s", k->dir, strerror(-r));
	return 0;
}

int sk_keyring_add(struct sk_keyring *k, const char *name, const struct sk_cert *cert,
		   struct sk_err *err)
{
	struct sk_cert_facts f = { 0 };
	struct sk_issued row = { 0 };
	int r = sk_cert_facts(cert, &f, err);

	if (r < 0)
		return r;
	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	(void)snprintf(row.serial, sizeof(row.serial), "%s", f.serial);
	row.from_s = f.from_s;
	row.to_s = f.to_s;
	sk_cert_facts_done(&f);
	return keyring_add_row(k, &row) < 0 ? sk_err_oom(err) : 0;
}

struct sk_issued *sk_keyring_find(struct sk_keyring *k, const char *name_or_serial)
{
	for (size_t i = k->n_issued; i > 0; i--)
		if (sk_streq(k->issued[i - 1].name, name_or_serial) ||
		    sk_streq(k->issued[i - 1].serial, name_or_serial))
			return &k->issued[i - 1];
	return NULL;
}

int sk_keyring_write_new(const struct sk_keyring *k, const char *name, const char *suffix,
			 const char *data, size_t len, unsigned int mode, struct sk_err *err)
{
	_cleanup_free_ char *file = sk_asprintf("%s%s", name, suffix);
	_cleanup_free_ char *tmp = sk_asprintf(".new-%s%s", name, suffix);
	int r;

	if (!file || !tmp)
		return sk_err_oom(err);
	r = sk_file_write(k->dirfd, tmp, data, len, (mode_t)mode);
	if (r == 0 && renameat2(k->dirfd, tmp, k->dirfd, file, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(k->dirfd, tmp, 0);
	else
		r = sk_dir_sync(k->dirfd, ".");
	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists",
				  "%s/%s exists; choose another name, or move it away", k->dir,
				  file);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOSPC ? "no-space" : "io",
				  "cannot write %s/%s: %s", k->dir, file, strerror(-r));
	return 0;
}

void sk_keyring_ca_done(struct sk_keyring_ca *ca)
{
	sk_key_free(ca->key);
	sk_cert_free(ca->cert);
	*ca = (struct sk_keyring_ca){ 0 };
}

int sk_keyring_ca(const struct sk_keyring *k, const struct sk_secret *secret,
		  struct sk_keyring_ca *ret, struct sk_err *err)
{
	_cleanup_(sk_keyring_ca_done) struct sk_keyring_ca ca = { 0 };
	_cleanup_free_ char *pem = NULL, *key = sk_asprintf("%s/ca.key", k->dir);
	size_t len;
	int r;

	if (!key)
		return sk_err_oom(err);
	r = sk_file_read(k->dirfd, "ca.pem", CERT_MAX, &pem, &len);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io",
				  "cannot read %s/ca.pem: %s", k->dir, strerror(-r));
	r = sk_cert_parse(pem, len, &ca.cert, err);
	if (r < 0) {
		(void)sk_err_prefix(err, "%s/ca.pem", k->dir);
		return r;
	}
	r = sk_key_load(key, secret, &ca.key, err);
	if (r < 0)
		return r;
	*ret = ca;
	memset(&ca, 0, sizeof(ca)); /* handed on */
	return 0;
}

/* Number of the list in crl.pem; 0 when there is none that can be read. */
static uint64_t written_number(const struct sk_keyring *k)
{
	_cleanup_(sk_crl_facts_done) struct sk_crl_facts f = { 0 };
	_cleanup_free_ char *pem = NULL;
	size_t len;

	if (sk_file_read(k->dirfd, "crl.pem", CRL_MAX, &pem, &len) < 0 ||
	    sk_crl_facts(pem, len, &f, NULL) < 0)
		return 0;
	return f.number;
}

bool sk_keyring_crl_current(const struct sk_keyring *k)
{
	return k->crl_number > 0 && written_number(k) == k->crl_number;
}

static size_t all_revoked(const struct sk_keyring *k, struct sk_revoked *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n_issued; i++) {
		if (k->issued[i].revoked_s == 0)
			continue;
		memcpy(ret[n].serial, k->issued[i].serial, sizeof(ret[n].serial));
		ret[n++].since_s = k->issued[i].revoked_s;
	}
	return n;
}

int sk_keyring_write_crl(struct sk_keyring *k, const struct sk_keyring_ca *ca, int64_t now_s,
			 struct sk_err *err)
{
	_cleanup_free_ struct sk_revoked *revoked = calloc(k->n_issued + 1, sizeof(*revoked));
	const struct sk_ca with = { .key = ca->key, .cert = ca->cert };
	struct sk_crl_subject what = { .from_s = now_s, .to_s = now_s + CRL_LASTS };
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r;

	if (!revoked)
		return sk_err_oom(err);
	k->crl_number = SK_MAX(k->crl_number, written_number(k)) + 1;
	what.number = k->crl_number;
	what.revoked = revoked;
	what.n_revoked = all_revoked(k, revoked);
	r = sk_ca_revoke(&with, &what, &pem, &len, err);
	if (r == 0)
		r = sk_keyring_save(k, err);
	if (r < 0)
		return r;
	r = sk_file_write(k->dirfd, "crl.pem", pem, len, 0644);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOSPC ? "no-space" : "io",
				  "cannot write %s/crl.pem: %s", k->dir, strerror(-r));
	return 0;
}
