/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/manifest.h"
#include "store/store.h"

/** sk_capsule_run() - @app's run configuration laid over its image's own defaults; release with sk_run_done() */
int sk_capsule_run(struct sk_store *store, const struct sk_app *app, struct sk_run *ret,
		   struct sk_err *err);
