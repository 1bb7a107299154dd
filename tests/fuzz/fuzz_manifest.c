/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "model/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a sound manifest is pinned to must be sound, pinned, and pin to itself. */
static void pin_twice(const void *dtb, size_t len, const struct sk_manifest *m)
{
	_cleanup_free_ struct sk_image_ref *images = calloc(m->n_images + 1, sizeof(*images));
	_cleanup_free_ void *once = NULL, *twice = NULL;
	_cleanup_(sk_manifest_freep) struct sk_manifest *again = NULL;
	size_t once_len, twice_len;

	for (size_t i = 0; i < m->n_images; i++) {
		images[i] = m->images[i];
		images[i].size_bytes = 1;
	}
	if (sk_manifest_pin(dtb, len, images, m->n_images, 1, &once, &once_len, NULL) < 0)
		return;
	if (sk_manifest_parse(once, once_len, &again, NULL, NULL) < 0 ||
	    sk_manifest_pinned(again, NULL) < 0 || again->n_apps != m->n_apps)
		abort();
	if (sk_manifest_pin(once, once_len, images, m->n_images, 1, &twice, &twice_len, NULL) < 0 ||
	    twice_len != once_len || memcmp(once, twice, once_len) != 0)
		abort();
}

/* Every pair of a checked manifest can be merged; nothing borrowed is missing. */
static void use(const struct sk_manifest *m)
{
	for (size_t i = 0; i < m->n_apps; i++) {
		_cleanup_(sk_run_done) struct sk_run run = { 0 };

		if (!m->apps[i].image || !sk_manifest_app(m, m->apps[i].name) ||
		    sk_run_merge(&m->apps[i].run, &m->apps[0].run, &run) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
	struct sk_err err = SK_ERR_INIT;
	int r = sk_manifest_parse(data, size, &m, &diags, &err);

	if (r < 0) {
		if (m || err.text[0] == '\0')
			abort();
		return 0;
	}
	if (diags.n > 0)
		abort();
	use(m);
	pin_twice(data, size, m);
	return 0;
}
