/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/*
 * SQLite in WAL mode: one connection that writes (one transaction at a time) and one that reads for
 * each thread. What a caller was told is on disk: synchronous=FULL.
 */

/** sk_sqlite_open() - open or make the file, and bring its schema up to date. "io", "damaged", "not-supported" */
int sk_sqlite_open(const char *path, struct sk_db **ret, struct sk_err *err);

/* The repositories, one file each. */
extern const struct sk_audit_repo sk_sqlite_audit;
extern const struct sk_crl_repo sk_sqlite_crls;
extern const struct sk_deployment_repo sk_sqlite_deployments;
extern const struct sk_device_repo sk_sqlite_devices;
extern const struct sk_enrolment_repo sk_sqlite_enrolments;
extern const struct sk_expiry_repo sk_sqlite_expiry;
extern const struct sk_image_repo sk_sqlite_images;
extern const struct sk_job_repo sk_sqlite_jobs;
extern const struct sk_org_repo sk_sqlite_orgs;
extern const struct sk_project_repo sk_sqlite_projects;
extern const struct sk_release_repo sk_sqlite_releases;
extern const struct sk_report_repo sk_sqlite_reports;
extern const struct sk_session_repo sk_sqlite_sessions;
extern const struct sk_token_repo sk_sqlite_tokens;
extern const struct sk_user_repo sk_sqlite_users;
