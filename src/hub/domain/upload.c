/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "io/crypto/cms.h"
#include "io/json.h"
#include "model/manifest.h"
#include "model/release.h"

#define TRUST_DIR_MAX 64

void sk_release_file_done(struct sk_release_file *f)
{
	if (f->manifest)
		sk_manifest_free(f->manifest);
	json_decref(f->graph);
	json_decref(f->compatible);
	*f = (struct sk_release_file){ 0 };
}

static void remove_folder(char (*at)[TRUST_DIR_MAX])
{
	if ((*at)[0])
		(void)sk_rm_rf(AT_FDCWD, *at);
}

/* Trust is a folder with ca.pem: one for the time of the check. */
static int load_trust(const char *pem, struct sk_trust **ret, struct sk_err *err)
{
	_cleanup_(remove_folder) char dir[TRUST_DIR_MAX] = "/tmp/skerry-hub-trust-XXXXXX";
	char file[96];
	int r;

	if (!mkdtemp(dir)) {
		dir[0] = '\0';
		return sk_err_set(err, -errno, "io", "cannot make a folder in /tmp: %s",
				  strerror(errno));
	}
	(void)snprintf(file, sizeof(file), "%s/ca.pem", dir);
	r = sk_file_write(AT_FDCWD, file, pem, strlen(pem), 0600);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot write %s: %s", file, strerror(-r));
	return sk_trust_load(dir, ret, err);
}

int sk_upload_check_ca(const char *pem, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *trust = NULL;
	struct sk_err why = SK_ERR_INIT;

	if (load_trust(pem, &trust, &why) < 0)
		return sk_err_set(err, -EINVAL, "bad-value", "these are no root certificates");
	return 0;
}

static int open_envelope(const void *skr, size_t len, const char *ca_pem, void **ret,
			 size_t *ret_len, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *trust = NULL;
	int r;

	if (!ca_pem)
		return sk_cms_peek(skr, len, SK_MANIFEST_SIZE_MAX, ret, ret_len, err);
	r = load_trust(ca_pem, &trust, err);
	if (r < 0)
		return r;
	return sk_cms_verify(skr, len, SK_MANIFEST_SIZE_MAX, trust, sk_wall_s(), ret, ret_len, NULL,
			     err);
}

int sk_release_file_read(const void *skr, size_t len, const char *ca_pem,
			 struct sk_release_file *ret, struct sk_err *err)
{
	_cleanup_(sk_release_file_done) struct sk_release_file f = { 0 };
	_cleanup_free_ void *tree = NULL;
	size_t tree_len = 0;
	int r = open_envelope(skr, len, ca_pem, &tree, &tree_len, err);

	if (r == 0)
		r = sk_manifest_parse(tree, tree_len, &f.manifest, NULL, err);
	if (r == 0)
		r = sk_manifest_pinned(f.manifest, err);
	if (r < 0)
		return r;
	if (sk_digest_of(tree, tree_len, &f.id) < 0 || sk_digest_of(skr, len, &f.file) < 0)
		return sk_err_oom(err);
	f.graph = sk_manifest_graph(f.manifest);
	f.compatible = sk_json_strv(f.manifest->compatible);
	if (!f.graph || !f.compatible)
		return sk_err_oom(err);
	*ret = f;
	memset(&f, 0, sizeof(f)); /* handed on */
	return 0;
}
