/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/core/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "hub/db/expiry.h"
#include "model/manifest.h"

#define KEEP_DAYS_MAX 36500

enum kind { TEXT, NUMBER, SIZE };

struct key {
	const char *name;
	enum kind kind;
	size_t offset;
	size_t size;
	uint64_t min, max;
};

#define TEXT_KEY(name, member)                                            \
	{                                                                 \
		name, TEXT, offsetof(struct sk_hub_config, member),       \
			sizeof(((struct sk_hub_config *)0)->member), 0, 0 \
	}
#define NUMBER_KEY(name, member, min, max)                                            \
	{                                                                             \
		name, NUMBER, offsetof(struct sk_hub_config, member), 0, (min), (max) \
	}

static const struct key keys[] = {
	TEXT_KEY("data", data),
	TEXT_KEY("listen", listen),
	TEXT_KEY("tls-cert", tls_cert),
	TEXT_KEY("tls-key", tls_key),
	TEXT_KEY("names", names),
	NUMBER_KEY("threads", threads, 1, 64),
	NUMBER_KEY("connections-max", connections_max, 8, 1000000),
	NUMBER_KEY("connections-per-ip", connections_per_ip, 0, 1000000),
	NUMBER_KEY("pending-max", pending_max, 0, 1000000),
	NUMBER_KEY("pending-per-ip-max", pending_per_ip_max, 0, 1000000),
	NUMBER_KEY("poll-max", poll_max_s, 1, 600),
	NUMBER_KEY("session-time", session_s, 10, 86400),
	NUMBER_KEY("audit-keep", audit_keep_days, SK_EXPIRY_AUDIT_MIN_DAYS, KEEP_DAYS_MAX),
	NUMBER_KEY("jobs-keep", jobs_keep_days, 1, KEEP_DAYS_MAX),
	NUMBER_KEY("logs-keep", logs_keep_days, 1, KEEP_DAYS_MAX),
	NUMBER_KEY("pending-keep", pending_keep_days, 1, KEEP_DAYS_MAX),
	{ "image-size-max", SIZE, offsetof(struct sk_hub_config, image_max), 0, 4096,
	  SK_IMAGE_SIZE_MAX },
};

void sk_hub_config_defaults(struct sk_hub_config *c)
{
	*c = (struct sk_hub_config){
		.data = "/var/lib/skerry-hub",
		.listen = "[::]:8443",
		.threads = 4,
		.connections_max = 20000,
		.connections_per_ip = 0,
		.pending_max = 1000,
		.pending_per_ip_max = 100,
		.poll_max_s = 120,
		.session_s = 3600,
		.image_max = SK_IMAGE_SIZE_MAX,
		.audit_keep_days = 730,
		.jobs_keep_days = 180,
		.logs_keep_days = 30,
		.pending_keep_days = 30,
	};
}

static int set_number(struct sk_hub_config *c, const struct key *k, const char *value,
		      struct sk_err *err)
{
	char *at = (char *)c + k->offset;
	uint64_t v;
	int r = k->kind == SIZE ? sk_parse_size(value, &v) : sk_parse_u64(value, &v);

	if (r < 0 || v < k->min || v > k->max)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "%s: \"%s\" is not a number from %llu to %llu", k->name, value,
				  (unsigned long long)k->min, (unsigned long long)k->max);
	if (k->kind == SIZE)
		memcpy(at, &v, sizeof(v));
	else
		memcpy(at, &(uint32_t){ (uint32_t)v }, sizeof(uint32_t));
	return 0;
}

int sk_hub_config_set(void *arg, const char *key, const char *value, struct sk_err *err)
{
	struct sk_hub_config *c = arg;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!sk_streq(keys[i].name, key))
			continue;
		if (keys[i].kind != TEXT)
			return set_number(c, &keys[i], value, err);
		if (strlen(value) >= keys[i].size || !*value)
			return sk_err_set(err, -EINVAL, "bad-value", "%s: empty or too long", key);
		(void)snprintf((char *)c + keys[i].offset, keys[i].size, "%s", value);
		return 0;
	}
	return sk_err_set(err, -EINVAL, "bad-value", "there is no setting \"%s\"", key);
}
