/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/capsule/engine.h"

/* Labels of the capsules that a release made, with their "=". */
#define SK_LABEL_FINGERPRINT "io.skerry.fingerprint=" /* sk_app_fingerprint() in hex */
#define SK_LABEL_ORDER	     "io.skerry.order="	      /* place in its release's start order */
#define SK_LABEL_PROJECT     "io.skerry.project="
#define SK_LABEL_VERSION     "io.skerry.version="
#define SK_LABEL_RELEASE     "io.skerry.release="

const char *sk_update_label(const struct sk_capsule_view *v, const char *name);
