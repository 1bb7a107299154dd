/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

#define FILE_MAX   (1u << 20)
#define COMPATIBLE "skerry,virtual"

static int provision_put(const char *root, const char *name, const void *data, size_t len,
			 mode_t mode, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/etc/skerry/%s", root, name);
	int r = path ? sk_file_write(AT_FDCWD, path, data, len, mode) : -ENOMEM;

	return r < 0 ? sk_err_set(err, r, "io", "cannot write /etc/skerry/%s of the device: %s",
				  name, strerror(-r))
		     : 0;
}

static int provision_copy(const char *from, const char *root, const char *name, mode_t mode,
			  struct sk_err *err)
{
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, from, FILE_MAX, &data, &len);

	if (r < 0)
		return sk_err_set(err, r, "not-found", "cannot read %s: %s", from, strerror(-r));
	return provision_put(root, name, data, len, mode, err);
}

static int copy_trust(const char *dir, const char *root, struct sk_err *err)
{
	_cleanup_free_ char *ca = sk_asprintf("%s/ca.pem", dir);
	_cleanup_free_ char *crl = sk_asprintf("%s/crl.pem", dir);
	_cleanup_free_ char *at = sk_asprintf("%s/etc/skerry/trust", root);
	int r;

	if (!ca || !crl || !at)
		return sk_err_oom(err);
	r = sk_mkdir_p(AT_FDCWD, at, 0755);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot make the trust folder: %s", strerror(-r));
	r = provision_copy(ca, root, "trust/ca.pem", 0644, err);
	if (r == 0 && access(crl, F_OK) == 0)
		r = provision_copy(crl, root, "trust/crl.pem", 0644, err);
	return r;
}

static int check_file(const char *path, struct sk_err *err)
{
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, path, FILE_MAX, &data, &len);

	if (r < 0)
		return sk_err_set(err, r, "not-found", "cannot read %s: %s", path,
				  r == -EINVAL ? "it is not a regular file" : strerror(-r));
	if (data[strspn(data, " \t\r\n")] == '\0')
		return sk_err_set(err, -EINVAL, "bad-value", "%s is empty", path);
	return 0;
}

static int check_trust(const struct sk_sim_provision *p, const char *dir, struct sk_err *err)
{
	_cleanup_free_ char *ca = sk_asprintf("%s/ca.pem", p->trust_dir ? p->trust_dir : "");
	_cleanup_free_ char *disk = sk_asprintf("%s/disk.ext4", dir);

	if (!ca || !disk)
		return sk_err_oom(err);
	if (p->trust_dir)
		return check_file(ca, err);
	return access(disk, F_OK) == 0
		       ? 0
		       : sk_err_set(err, -ENOENT, "usage",
				    "a new device must be told whom to trust: --trust FOLDER, with "
				    "the ca.pem that `skerry key init` made");
}

static int check_settings(char *const *settings, struct sk_err *err)
{
	SK_STRV_FOREACH (s, settings)
		if (!strchr(*s, '='))
			return sk_err_set(err, -EINVAL, "usage", "\"%s\": write KEY=VALUE", *s);
	return 0;
}

int sk_sim_provision_check(const struct sk_sim_provision *p, const char *dir, struct sk_err *err)
{
	const char *const files[] = { p->hub_ca_file, p->token_file };
	int r = check_trust(p, dir, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = files[i] ? check_file(files[i], err) : 0;
	if (r == 0)
		r = check_settings(p->skerryd_settings, err);
	return r == 0 ? check_settings(p->agent_settings, err) : r;
}

static int add_settings(struct sk_buf *b, char *const *settings)
{
	int r = 0;

	SK_STRV_FOREACH (s, settings) {
		const char *eq = strchr(*s, '=');

		r = eq ? sk_buf_addf(b, "%.*s = %s\n", (int)(eq - *s), *s, eq + 1) : -EINVAL;
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_skerryd_conf(const struct sk_sim_provision *p, const char *root,
			      struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(FILE_MAX);
	int r = sk_buf_addf(&b, "compatible = %s\n", p->compatible ? p->compatible : COMPATIBLE);

	r = r < 0 ? r : add_settings(&b, p->skerryd_settings);
	if (r < 0)
		return sk_err_set(err, r, "usage", "a setting is written KEY=VALUE");
	return provision_put(root, "skerryd.conf", b.data, b.len, 0644, err);
}

static int write_agent_conf(const struct sk_sim_config *c, const struct sk_sim_provision *p,
			    const char *root, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(FILE_MAX);
	int r = sk_buf_addf(&b, "hub = %s\nname = %s\ncompatible = %s\n", p->hub_url, c->name,
			    p->compatible ? p->compatible : COMPATIBLE);

	if (r == 0 && p->hub_ca_file)
		r = sk_buf_adds(&b, "ca-file = /etc/skerry/hub-ca.pem\n");
	if (r == 0 && p->organisation)
		r = sk_buf_addf(&b, "organisation = %s\n", p->organisation);
	if (r == 0 && p->token_file)
		r = sk_buf_adds(&b, "token-file = /etc/skerry/enrol-token\n");
	r = r < 0 ? r : add_settings(&b, p->agent_settings);
	if (r < 0)
		return sk_err_set(err, r, "usage", "a setting is written KEY=VALUE");
	r = provision_put(root, "agent.conf", b.data, b.len, 0644, err);
	if (r == 0 && p->hub_ca_file)
		r = provision_copy(p->hub_ca_file, root, "hub-ca.pem", 0644, err);
	/* Its own user reads it, nobody else but root. */
	if (r == 0 && p->token_file)
		r = provision_copy(p->token_file, root, "enrol-token", 0444, err);
	return r;
}

int sk_sim_provision(const struct sk_sim_config *c, const struct sk_sim_provision *p,
		     const char *root, struct sk_err *err)
{
	_cleanup_free_ char *ca = sk_asprintf("%s/etc/skerry/trust/ca.pem", root);
	_cleanup_free_ char *conf = sk_asprintf("%s/etc/skerry/skerryd.conf", root);
	int r = 0;

	if (!ca || !conf)
		return sk_err_oom(err);
	if (p->trust_dir)
		r = copy_trust(p->trust_dir, root, err);
	else if (access(ca, F_OK) < 0)
		r = sk_err_set(
			err, -ENOENT, "usage",
			"a new device must be told whom to trust: --trust FOLDER, with the ca.pem that "
			"`skerry key init` made");
	if (r == 0 && (p->compatible || p->skerryd_settings || access(conf, F_OK) < 0))
		r = write_skerryd_conf(p, root, err);
	if (r == 0 && p->hub_url)
		r = write_agent_conf(c, p, root, err);
	return r;
}
