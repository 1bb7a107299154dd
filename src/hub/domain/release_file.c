/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/release_file.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/crypto/cms.h"
#include "io/json.h"
#include "model/manifest.h"
#include "model/release.h"

void sk_release_file_done(struct sk_release_file *f)
{
	if (f->manifest)
		sk_manifest_free(f->manifest);
	json_decref(f->graph);
	json_decref(f->compatible);
	*f = (struct sk_release_file){ 0 };
}

int sk_roots_check(const char *pem, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *trust = NULL;
	struct sk_err why = SK_ERR_INIT;

	if (sk_trust_of(pem, &trust, &why) < 0)
		return sk_err_set(err, -EINVAL, "bad-value", "these are no root certificates");
	return 0;
}

int sk_roots_check_crl(const char *ca_pem, const char *crl_pem, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *trust = NULL;
	int r = sk_trust_of(ca_pem, &trust, err);

	if (r == 0)
		r = sk_trust_update_crl(trust, crl_pem, strlen(crl_pem), err);
	return SK_MIN(r, 0);
}

static int open_envelope(const void *skr, size_t len, const char *ca_pem, char *const *crls,
			 void **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *trust = NULL;
	int r;

	if (!ca_pem)
		return sk_cms_peek(skr, len, SK_MANIFEST_SIZE_MAX, ret, ret_len, err);
	r = sk_trust_of(ca_pem, &trust, err);
	if (r < 0)
		return r;
	SK_STRV_FOREACH (crl, crls)
		(void)sk_trust_update_crl(trust, *crl, strlen(*crl), NULL);
	return sk_cms_verify(skr, len, SK_MANIFEST_SIZE_MAX, trust, sk_wall_s(), ret, ret_len, NULL,
			     err);
}

int sk_release_file_read(const void *skr, size_t len, const char *ca_pem, char *const *crls,
			 struct sk_release_file *ret, struct sk_err *err)
{
	_cleanup_(sk_release_file_done) struct sk_release_file f = { 0 };
	_cleanup_free_ void *tree = NULL;
	size_t tree_len = 0;
	int r = open_envelope(skr, len, ca_pem, crls, &tree, &tree_len, err);

	if (r < 0)
		return r;
	r = sk_manifest_parse(tree, tree_len, &f.manifest, NULL, err);
	if (r < 0)
		return r;
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
	memset(&f, 0, sizeof(f)); /* the caller owns it */
	return 0;
}
