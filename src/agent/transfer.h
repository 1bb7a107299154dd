/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/device.h"
#include "agent/hub.h"

/** Called now and then with the bytes of this image that are on the device. */
typedef void (*sk_transfer_progress)(void *arg, uint64_t image_bytes);

/**
 * sk_transfer_image() - stream an image from the hub straight into skerryd
 * No file of its own: what arrives goes to skerryd's socket at once, from the offset that skerryd
 * names, so that a cut at any place costs nothing but another request.
 *
 * Return: 0 when the image is complete; -EBADMSG ("digest-mismatch") when the hub sent another one;
 * else why it stopped: @ret_refused: trying again cannot help.
 */
int sk_transfer_image(struct sk_hub_link *hub, struct sk_device_link *device,
		      const struct sk_digest *digest, sk_transfer_progress progress, void *arg,
		      bool *ret_refused, struct sk_err *err);
