/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/sqlite/schema.h"

#include <errno.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"

/*
 * One string per schema version, applied in order and never changed once released: a new version
 * is a new string at the end. Public ids are random, so they tell nothing about other
 * organisations; every object carries its organisation.
 */
#define PUBLIC_ID "uid TEXT NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(8)))),"
#define ORG	  "org_id INTEGER NOT NULL REFERENCES orgs(id),"

static const char v1_people[] =
	"CREATE TABLE orgs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" created_s INTEGER NOT NULL);"
	"CREATE TABLE users (id INTEGER PRIMARY KEY," ORG
	" name TEXT NOT NULL, role TEXT NOT NULL CHECK (role IN ('owner','user')),"
	" password TEXT NOT NULL, temporary INTEGER NOT NULL DEFAULT 0,"
	" created_s INTEGER NOT NULL, UNIQUE (org_id, name));"
	"CREATE TABLE tokens (id INTEGER PRIMARY KEY," PUBLIC_ID ORG
	" user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
	" name TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('login','api')),"
	" hash BLOB NOT NULL UNIQUE, created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL);"
	"CREATE INDEX tokens_user ON tokens(user_id);"
	"CREATE TABLE audit (id INTEGER PRIMARY KEY," ORG
	" at_s INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,"
	" object TEXT, peer TEXT, outcome TEXT NOT NULL);"
	"CREATE INDEX audit_org ON audit(org_id, id);"
	/* Append only: not even a mistake of the hub's own changes what was recorded. */
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
	" BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
	" BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;";

static const char v2_fleet[] =
	"CREATE TABLE projects (id INTEGER PRIMARY KEY," ORG
	" name TEXT NOT NULL, created_s INTEGER NOT NULL, UNIQUE (org_id, name));"
	"CREATE TABLE images (id INTEGER PRIMARY KEY," ORG
	" digest TEXT NOT NULL, size_bytes INTEGER NOT NULL, complete INTEGER NOT NULL DEFAULT 0,"
	" UNIQUE (org_id, digest));"
	"CREATE TABLE releases (id INTEGER PRIMARY KEY," ORG
	" project_id INTEGER NOT NULL REFERENCES projects(id), digest TEXT NOT NULL,"
	" version TEXT NOT NULL, file_digest TEXT NOT NULL, file_size INTEGER NOT NULL,"
	" created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL, created_by TEXT NOT NULL,"
	" compatible TEXT NOT NULL, graph TEXT NOT NULL,"
	" UNIQUE (project_id, digest), UNIQUE (project_id, version));"
	"CREATE INDEX releases_org ON releases(org_id, digest);"
	"CREATE TABLE release_images ("
	" release_id INTEGER NOT NULL REFERENCES releases(id) ON DELETE CASCADE,"
	" image_id INTEGER NOT NULL REFERENCES images(id), name TEXT NOT NULL,"
	" PRIMARY KEY (release_id, name));"
	"CREATE INDEX release_images_image ON release_images(image_id);"
	"CREATE TABLE deployments (id INTEGER PRIMARY KEY," ORG
	" project_id INTEGER NOT NULL REFERENCES projects(id), name TEXT NOT NULL,"
	" release_id INTEGER REFERENCES releases(id), rollout INTEGER NOT NULL DEFAULT 0,"
	" attached_s INTEGER, created_s INTEGER NOT NULL, UNIQUE (project_id, name));"
	"CREATE INDEX deployments_release ON deployments(release_id);"
	"CREATE TABLE enrolment_tokens (id INTEGER PRIMARY KEY," PUBLIC_ID ORG
	" deployment_id INTEGER NOT NULL REFERENCES deployments(id) ON DELETE CASCADE,"
	" name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, created_s INTEGER NOT NULL,"
	" expires_s INTEGER NOT NULL, uses_max INTEGER NOT NULL, uses INTEGER NOT NULL DEFAULT 0,"
	" revoked INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX enrolment_tokens_of ON enrolment_tokens(deployment_id);"
	"CREATE TABLE devices (id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE," ORG
	" deployment_id INTEGER REFERENCES deployments(id), status TEXT NOT NULL"
	" CHECK (status IN ('pending','accepted','rejected','blocked')),"
	" name TEXT NOT NULL, public_key TEXT NOT NULL, compatible TEXT NOT NULL,"
	" peer TEXT NOT NULL, enrolled_s INTEGER NOT NULL, last_seen_s INTEGER NOT NULL DEFAULT 0,"
	" release TEXT, version TEXT);"
	"CREATE INDEX devices_org ON devices(org_id, status);"
	"CREATE INDEX devices_deployment ON devices(deployment_id);"
	"CREATE INDEX devices_pending ON devices(peer) WHERE status = 'pending';"
	"CREATE INDEX devices_release ON devices(org_id, release);"
	/* One row a device: a new session ends the one before. */
	"CREATE TABLE sessions (device_id INTEGER PRIMARY KEY"
	" REFERENCES devices(id) ON DELETE CASCADE,"
	" hash BLOB NOT NULL UNIQUE, expires_s INTEGER NOT NULL);"
	"CREATE TABLE jobs (id INTEGER PRIMARY KEY," PUBLIC_ID ORG
	" device_id INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,"
	" kind TEXT NOT NULL CHECK (kind IN ('release','logs','inventory')),"
	" state TEXT NOT NULL, open INTEGER NOT NULL DEFAULT 1,"
	" release_id INTEGER REFERENCES releases(id) ON DELETE SET NULL,"
	" release TEXT, version TEXT, deployment_id INTEGER REFERENCES deployments(id)"
	" ON DELETE SET NULL, rollout INTEGER, params TEXT, bytes_done INTEGER NOT NULL DEFAULT 0,"
	" bytes_total INTEGER NOT NULL DEFAULT 0, reason TEXT, created_s INTEGER NOT NULL,"
	" updated_s INTEGER NOT NULL, created_by TEXT NOT NULL);"
	"CREATE UNIQUE INDEX jobs_one_release ON jobs(device_id) WHERE open AND kind = 'release';"
	"CREATE INDEX jobs_open ON jobs(device_id) WHERE open;"
	"CREATE INDEX jobs_device ON jobs(device_id, id);"
	"CREATE INDEX jobs_org ON jobs(org_id, id);"
	"CREATE INDEX jobs_rollout ON jobs(deployment_id, rollout, state);"
	"CREATE INDEX jobs_release ON jobs(release_id);"
	"CREATE TABLE job_events (id INTEGER PRIMARY KEY,"
	" job_id INTEGER NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, at_s INTEGER NOT NULL,"
	" step TEXT NOT NULL, bytes_done INTEGER NOT NULL, bytes_total INTEGER NOT NULL,"
	" reason TEXT);"
	"CREATE INDEX job_events_job ON job_events(job_id, id);";

static const char v3_reports[] =
	"CREATE TABLE inventory (device_id INTEGER PRIMARY KEY REFERENCES devices(id)"
	" ON DELETE CASCADE, at_s INTEGER NOT NULL, data TEXT NOT NULL);"
	"CREATE TABLE logs (id INTEGER PRIMARY KEY,"
	" device_id INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,"
	" job TEXT, capsule TEXT NOT NULL, at_s INTEGER NOT NULL, text TEXT NOT NULL);"
	"CREATE INDEX logs_device ON logs(device_id, id);"
	"ALTER TABLE orgs ADD COLUMN ca TEXT;"
	"ALTER TABLE orgs ADD COLUMN quota_bytes INTEGER NOT NULL DEFAULT 0;";

static const char v4_crls[] =
	/* One revocation list a root: @issuer_id is made of the root's name and key. */
	"CREATE TABLE crls (id INTEGER PRIMARY KEY," ORG
	" issuer_id TEXT NOT NULL, issuer TEXT NOT NULL, number INTEGER NOT NULL,"
	" digest TEXT NOT NULL, pem TEXT NOT NULL, entries INTEGER NOT NULL,"
	" issued_s INTEGER NOT NULL, due_s INTEGER, created_s INTEGER NOT NULL,"
	" created_by TEXT NOT NULL, UNIQUE (org_id, issuer_id));"
	/* What each device said that it has; number 0: none, refused: why it did not take ours. */
	"CREATE TABLE device_crls ("
	" device_id INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,"
	" issuer_id TEXT NOT NULL, issuer TEXT NOT NULL, number INTEGER NOT NULL, refused TEXT,"
	" PRIMARY KEY (device_id, issuer_id)) WITHOUT ROWID;"
	"CREATE INDEX device_crls_issuer ON device_crls(issuer_id, number);"
	/* In the row that every poll reads anyway: something is new since the device looked. */
	"ALTER TABLE devices ADD COLUMN crls_due INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE orgs ADD COLUMN crls_version INTEGER NOT NULL DEFAULT 0;";

static const char v5_bounds[] =
	/* Lists come in pages, in the order of the rows' ids, which ends every index. */
	"CREATE INDEX tokens_org ON tokens(org_id);"
	"CREATE INDEX releases_project ON releases(project_id);"
	"CREATE INDEX deployments_org ON deployments(org_id);"
	"CREATE INDEX devices_of_org ON devices(org_id);"
	"CREATE INDEX jobs_of_rollout ON jobs(deployment_id, rollout);"
	/* What is old is found without looking at what is not. */
	"CREATE INDEX tokens_expiry ON tokens(expires_s);"
	"CREATE INDEX enrolment_tokens_expiry ON enrolment_tokens(expires_s);"
	"CREATE INDEX sessions_expiry ON sessions(expires_s);"
	"CREATE INDEX devices_waiting ON devices(enrolled_s) WHERE status = 'pending';"
	"CREATE INDEX jobs_ended ON jobs(updated_s) WHERE NOT open;"
	"CREATE INDEX logs_at ON logs(at_s);"
	"CREATE INDEX audit_at ON audit(at_s);"
	/* Still not even a mistake of the hub's own: nothing changes, nothing younger than 30 days goes. */
	"DROP TRIGGER audit_no_delete;"
	"CREATE TRIGGER audit_no_early_delete BEFORE DELETE ON audit"
	" WHEN OLD.at_s > CAST(strftime('%s', 'now') AS INTEGER) - 2592000"
	" BEGIN SELECT RAISE(ABORT, 'the audit log keeps what is younger than 30 days'); END;";

static const char v6_refusals[] =
	/* Equal refusals are one line. */
	"ALTER TABLE audit ADD COLUMN times INTEGER NOT NULL DEFAULT 1;";

/*
 * Ids are never used twice. Without AUTOINCREMENT SQLite gives the id of the last row once more when
 * that row was deleted, and what knows the old row by its id (a poll that waits, a page's cursor)
 * meets the new one. The word changes nothing in how a table lies on the disk, so the text of the
 * schema is edited, which takes no time however large the tables are (sqlite.org/lang_altertable.html,
 * "Making Other Kinds Of Table Schema Changes": the procedure for what does not affect the content).
 * The first table that has the word makes SQLite's table of the greatest ids; RESET ends the editing
 * and has the schema read anew; each table's ids go on from the greatest that is there.
 */
#define START(table) \
	"INSERT INTO sqlite_sequence SELECT '" table "', coalesce(max(id), 0) FROM " table ";"
static const char v7_ids[] =
	"CREATE TABLE first_one (id INTEGER PRIMARY KEY AUTOINCREMENT);"
	"DROP TABLE first_one;"
	"PRAGMA writable_schema=ON;"
	"UPDATE sqlite_schema SET sql = replace(sql, '(id INTEGER PRIMARY KEY,',"
	" '(id INTEGER PRIMARY KEY AUTOINCREMENT,') WHERE type = 'table';"
	/* clang-format off */
	"PRAGMA writable_schema=RESET;"
	START("orgs") START("users") START("tokens") START("audit")
	START("projects") START("images") START("releases") START("deployments")
	START("enrolment_tokens") START("devices") START("jobs") START("job_events")
	START("logs") START("crls");
/* clang-format on */

static const struct {
	const char *sql;
	bool edits_schema; /* the text of it: SQLite refuses that to a connection in defensive mode */
} versions[] = {
	{ v1_people, false }, { v2_fleet, false },    { v3_reports, false }, { v4_crls, false },
	{ v5_bounds, false }, { v6_refusals, false }, { v7_ids, true },
};

int sk_schema_newest(void)
{
	return (int)ARRAY_SIZE(versions);
}

static int exec(struct sk_conn *c, const char *sql, struct sk_err *err)
{
	if (sqlite3_exec(sk_sqlite_of(c)->handle, sql, NULL, NULL, NULL))
		return sk_sql_fail(c, err);
	return 0;
}

static int current(struct sk_conn *c, int64_t *ret, struct sk_err *err)
{
	int r = sk_sql_int(c, ret, err, "SELECT coalesce(max(version), 0) FROM schema_version",
			   SK_NO_BINDS);

	return r < 0 ? r : 0;
}

static void set_defensive(struct sk_conn *c, bool on)
{
	(void)sqlite3_db_config(sk_sqlite_of(c)->handle, SQLITE_DBCONFIG_DEFENSIVE, (int)on, NULL);
}

static int apply(struct sk_conn *c, int version, struct sk_err *err)
{
	int r;

	if (versions[version - 1].edits_schema)
		set_defensive(c, false);
	r = exec(c, versions[version - 1].sql, err);
	if (versions[version - 1].edits_schema) {
		if (r < 0)
			(void)exec(c, "PRAGMA writable_schema=OFF", NULL);
		set_defensive(c, true);
	}
	if (r < 0)
		return r;
	r = sk_sql_run(c, err, "INSERT INTO schema_version (version, at_s) VALUES (?, ?)",
		       SK_BIND(SK_INT(version), SK_INT(sk_wall_s())));
	return SK_MIN(r, 0);
}

/* Reads the version inside the transaction: two programs that start at once do a step once. */
static int step(struct sk_conn *c, int target, int64_t *at, struct sk_err *err)
{
	int r = exec(c, "BEGIN IMMEDIATE", err);

	if (r < 0)
		return r;
	r = current(c, at, err);
	if (r == 0 && *at < target) {
		r = apply(c, (int)*at + 1, err);
		(*at)++;
	}
	if (r == 0)
		r = exec(c, "COMMIT", err);
	if (r < 0)
		(void)exec(c, "ROLLBACK", NULL);
	return r;
}

/* A database that has tables but is not the hub's is left as it is. */
static int check_ours(struct sk_conn *c, struct sk_err *err)
{
	int64_t foreign = 0;
	int r = sk_sql_int(c, &foreign, err,
			   "SELECT count(*) > 0 AND sum(name = 'schema_version') = 0"
			   " FROM sqlite_schema",
			   SK_NO_BINDS);

	if (r >= 0 && foreign)
		return sk_err_set(err, -EPROTO, "not-supported",
				  "this is not a database of skerry-hub");
	return SK_MIN(r, 0);
}

int sk_schema_migrate_to(struct sk_conn *c, int version, struct sk_err *err)
{
	int64_t at = 0;
	int r = check_ours(c, err);

	if (r < 0)
		return r;
	r = exec(c,
		 "CREATE TABLE IF NOT EXISTS schema_version"
		 " (version INTEGER PRIMARY KEY, at_s INTEGER NOT NULL)",
		 err);
	if (r < 0)
		return r;
	r = current(c, &at, err);
	if (r < 0)
		return r;
	if (at > (int64_t)ARRAY_SIZE(versions))
		return sk_err_set(err, -EPROTO, "not-supported",
				  "a newer skerry-hub made this database (schema %d, this one "
				  "knows %d): install that version",
				  (int)at, (int)ARRAY_SIZE(versions));
	while (r == 0 && at < version)
		r = step(c, version, &at, err);
	return r;
}

int sk_schema_migrate(struct sk_conn *c, struct sk_err *err)
{
	return sk_schema_migrate_to(c, sk_schema_newest(), err);
}
