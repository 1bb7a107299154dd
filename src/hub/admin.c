/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "hub/core/database.h"
#include "hub/db/audit.h"
#include "hub/db/orgs.h"
#include "hub/db/users.h"
#include "hub/domain/password.h"
#include "hub/domain/secret.h"
#include "io/json.h"

/** A password to set: given, or made for the first login. */
struct chosen {
	char *text;
	bool temporary;
	char hash[SK_PASSWORD_HASH_MAX];
};

static void chosen_done(struct chosen *p)
{
	if (p->text)
		explicit_bzero(p->text, strlen(p->text));
	free(p->text);
}

static int choose(const char *file, struct chosen *ret, struct sk_err *err)
{
	char made[32];
	size_t len;
	int r;

	if (file) {
		r = sk_file_read(AT_FDCWD, file, SK_PASSWORD_MAX + 2, &ret->text, &len);
		if (r < 0)
			return sk_err_set(err, r, "io", "cannot read %s: %s", file, strerror(-r));
		ret->text[strcspn(ret->text, "\r\n")] = '\0';
	} else {
		r = sk_secret_password(made, err);
		if (r < 0)
			return r;
		ret->text = strdup(made);
		ret->temporary = true;
	}
	return ret->text ? sk_password_hash(ret->text, ret->hash, err) : sk_err_oom(err);
}

static int finish(struct sk_conn *c, int r, int64_t org, const char *action, const char *object,
		  struct sk_err *err)
{
	if (r >= 0)
		r = c->audit->add(c,
				  &(struct sk_audit){ .org = org,
						      .actor = "local",
						      .action = action,
						      .object = object,
						      .outcome = "ok" },
				  err);
	return sk_db_end(c, r, err);
}

static int check_name(const char *what, const char *name, struct sk_err *err)
{
	if (sk_name_ok(name))
		return 0;
	return sk_err_set(err, -EINVAL, "bad-name",
			  "%s \"%s\": first a letter or digit, then letters, digits, '.', '_', '-'",
			  what, name);
}

static void print_user(const char *org, const char *user, const struct chosen *p)
{
	if (p->temporary)
		(void)printf("organisation %s, user %s, password for the first login: %s\n", org,
			     user, p->text);
	else
		(void)printf("organisation %s, user %s\n", org, user);
}

int sk_admin_org_add(const struct sk_hub_config *config, const char *org, const char *owner,
		     const char *password_file, struct sk_err *err)
{
	_cleanup_(chosen_done) struct chosen password = { 0 };
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	struct sk_conn *c;
	int64_t id = 0;
	int r = check_name("organisation", org, err);

	if (r < 0)
		return r;
	r = check_name("user", owner, err);
	if (r < 0)
		return r;
	r = choose(password_file, &password, err);
	if (r < 0)
		return r;
	r = sk_hub_open_db(config, &db, err);
	if (r < 0)
		return r;
	r = sk_db_begin(db, &c, err);
	if (r < 0)
		return r;
	r = c->orgs->add(c, org, &id, err);
	if (r == 0)
		r = c->users->add(c, id, owner, "owner", password.hash, password.temporary, err);
	r = finish(c, r, id, "organisation.create", owner, err);
	if (r == 0)
		print_user(org, owner, &password);
	return r;
}

static int need_org(struct sk_conn *c, const char *org, int64_t *ret, struct sk_err *err)
{
	int r = c->orgs->find(c, org, ret, err);

	return r == 0 ? sk_err_set(err, -ENOENT, "not-found", "there is no organisation \"%s\"",
				   org)
		      : SK_MIN(r, 0);
}

int sk_admin_password(const struct sk_hub_config *config, const char *org, const char *user,
		      const char *password_file, struct sk_err *err)
{
	_cleanup_(chosen_done) struct chosen password = { 0 };
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	struct sk_conn *c;
	int64_t id = 0;
	int r = choose(password_file, &password, err);

	if (r < 0)
		return r;
	r = sk_hub_open_db(config, &db, err);
	if (r < 0)
		return r;
	r = sk_db_begin(db, &c, err);
	if (r < 0)
		return r;
	r = need_org(c, org, &id, err);
	if (r == 0)
		r = c->users->set_password(c, id, user, password.hash, password.temporary, 0, err);
	else
		id = 0;
	if (id && r == 0)
		r = sk_err_set(err, -ENOENT, "not-found", "there is no user \"%s\"", user);
	r = finish(c, r, id, "user.password", user, err);
	if (r == 0)
		print_user(org, user, &password);
	return r;
}

int sk_admin_org_quota(const struct sk_hub_config *config, const char *org, const char *size,
		       struct sk_err *err)
{
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	struct sk_conn *c;
	uint64_t bytes;
	int64_t id = 0;
	int r = sk_parse_size(size, &bytes);

	if (r < 0 || bytes > INT64_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "\"%s\" is no size: 500M, 20G, 0",
				  size);
	r = sk_hub_open_db(config, &db, err);
	if (r < 0)
		return r;
	r = sk_db_begin(db, &c, err);
	if (r < 0)
		return r;
	r = need_org(c, org, &id, err);
	if (r == 0)
		r = c->orgs->set_quota(c, id, bytes, err);
	return finish(c, r, id, "organisation.quota", size, err);
}

int sk_admin_org_list(const struct sk_hub_config *config, struct sk_err *err)
{
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	_cleanup_json_ json_t *list = NULL;
	struct sk_conn *c;
	json_t *org;
	size_t i;
	int r = sk_hub_open_db(config, &db, err);

	if (r == 0)
		r = sk_db_read(db, &c, err);
	if (r == 0)
		r = c->orgs->list(c, &list, err);
	json_array_foreach (list, i, org) {
		(void)printf("%s  users %lld  devices %lld  images %lld bytes\n",
			     json_string_value(json_object_get(org, "name")),
			     json_integer_value(json_object_get(org, "users")),
			     json_integer_value(json_object_get(org, "devices")),
			     json_integer_value(json_object_get(org, "storage_bytes")));
	}
	return r;
}

int sk_admin_backup(const struct sk_hub_config *config, const char *file, struct sk_err *err)
{
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	struct sk_conn *c;
	int r = sk_hub_open_db(config, &db, err);

	if (r < 0)
		return r;
	r = sk_db_read(db, &c, err);
	return r < 0 ? r : sk_db_backup(c, file, err);
}
