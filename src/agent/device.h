/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "io/http/client.h"

/* The link to skerryd on this device, over its UNIX socket. It decides everything that matters. */
struct sk_device_link {
	struct sk_http_client *client;
	char *socket;
};

int sk_device_link_init(struct sk_device_link *d, const char *socket, struct sk_err *err);
void sk_device_link_done(struct sk_device_link *d);

int sk_device_get(struct sk_device_link *d, const char *path, json_t **ret, struct sk_err *err);

/** sk_device_put_release() - hand a release file over; @ret: what it is and what is missing. */
int sk_device_put_release(struct sk_device_link *d, const void *skr, size_t len, json_t **ret,
			  struct sk_err *err);
/** sk_device_put_crl() - hand a revocation list over. 0 taken, 1 it is not newer, or refused */
int sk_device_put_crl(struct sk_device_link *d, const void *crl, size_t len, struct sk_err *err);
int sk_device_apply(struct sk_device_link *d, const struct sk_digest *release,
		    uint64_t *ret_generation, struct sk_err *err);

/** An image as skerryd knows it. */
struct sk_device_image {
	struct sk_digest digest;
	uint64_t size_bytes, offset;
	bool have;
};
int sk_device_image_parse(const json_t *j, struct sk_device_image *ret, struct sk_err *err);
int sk_device_image(struct sk_device_link *d, const struct sk_digest *digest,
		    struct sk_device_image *ret, struct sk_err *err);

/** How a generation stands: a word of the API ("trying", "good", "bad") and why. */
struct sk_device_generation {
	uint64_t number;
	char state[16];
	char reason[512];
};
/** The newest generation of @release with a number above @above. -ENOENT: none. */
int sk_device_generation(struct sk_device_link *d, const struct sk_digest *release, uint64_t above,
			 struct sk_device_generation *ret, struct sk_err *err);
/** The highest number in use; 0 for none. */
int sk_device_last_generation(struct sk_device_link *d, uint64_t *ret, struct sk_err *err);

/** sk_device_refused() - is that skerryd's last word on it (and not a moment's trouble)? */
bool sk_device_refused(int code, const struct sk_err *err);
