/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/manifest.h"

/**
 * sk_app_fingerprint() - hash of everything that decides how an app runs
 * Image digest (and with it the image's own defaults), run configuration, grants, limits and
 * restart policy. A capsule carries it as a label, so that after any restart the daemon sees
 * which running capsules already are what the manifest wants.
 * Return: 0 or -ENOMEM
 */
int sk_app_fingerprint(const struct sk_app *app, struct sk_digest *ret);
