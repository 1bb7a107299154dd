/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "model/manifest.h"

/*
 * A release file (".skr") is one DER file: CMS SignedData (RFC 5652) around the pinned manifest's
 * device tree, with the signer's certificate chain inside. The release's name everywhere (its id)
 * is the SHA-256 of the device tree inside. Signature checks: io/crypto/cms.h. Whether a
 * correctly signed release suits this device is decided here, purely.
 * Reference: docs/reference/release.md
 */
#define SK_RELEASE_FILE_MAX (SK_MANIFEST_SIZE_MAX + (256u << 10))

/**
 * struct sk_device_facts - what a release is checked against
 * @compatible:    the device's own types; one of them must stand in the release's list
 * @project:       project of the newest good generation; NULL on a device that has none yet
 * @version:       its version; NULL as above
 * @has_os_slots:  false: a release with a system node is refused
 * @now_s:         wall clock; 0 when it is not trusted: expiry is not checked then
 */
struct sk_device_facts {
	char *const *compatible;
	const char *project;
	const char *version;
	bool has_os_slots;
	int64_t now_s;
};

/**
 * sk_release_suits() - may this device go to this (verified) release?
 * Return: 0, or -EPERM with "wrong-device", "downgrade", "expired", "not-supported", "bad-release"
 */
int sk_release_suits(const struct sk_manifest *m, const struct sk_device_facts *facts,
		     struct sk_err *err);

/** struct sk_app_change - what an upgrade does to one app */
enum sk_change { SK_CHANGE_SAME, SK_CHANGE_ADD, SK_CHANGE_REMOVE, SK_CHANGE_REPLACE };
struct sk_app_change {
	enum sk_change change;
	const struct sk_app *from, *to; /* borrowed */
};

/**
 * sk_release_changes() - apps of @from (may be NULL) and @to (may be NULL), in the order to act:
 * first everything to stop (REMOVE, REPLACE) in reverse start order of @from, then everything to
 * start (ADD, REPLACE again) in start order of @to. SAME rows come last. An app is SAME only if
 * image digest, run configuration, grants and limits are all equal.
 */
struct sk_changes {
	struct sk_app_change *stop, *start, *same;
	size_t n_stop, n_start, n_same;
};
int sk_release_changes(const struct sk_manifest *from, const struct sk_manifest *to,
		       struct sk_changes *ret);
void sk_changes_done(struct sk_changes *c);
