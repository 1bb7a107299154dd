/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/manifest/compose.h"

/* One service: each key of the Compose specification becomes words of an app, or is refused. */
#define REFUSED "cannot be expressed in a manifest"

struct service {
	struct compose *c;
	const char *name;
	struct dts props, nodes; /* properties stand before subnodes */
	const struct item *self;
	bool has_image, has_environment, has_restart, has_health, sealed_root;
};

/** One key of a service. @prop: the property that it becomes, or what the reader wants to know. */
typedef void (*service_fn)(struct service *s, const struct item *i, const char *prop);

/** struct service_key - without @read a key is refused, with @hint; a row without key ends */
struct service_key {
	const char *key;
	service_fn read;
	const char *prop;
	const char *hint;
};
extern const struct service_key sk_service_keys[];

void sk_service_refuse(struct service *s, const struct item *i, const char *hint);
/** A subnode of the app: its path in @buf. */
struct dts sk_service_sub(const struct service *s, const char *name, char buf[WHERE_MAX]);
/** The text of one key of a long form, or NULL when it is absent. */
const char *sk_service_part(struct service *s, const struct item *i, const char *key);
/** Refuses every key of a long form that is not in @known (NULL-terminated). */
void sk_service_only(struct service *s, const struct item *i, const char *const *known);
void sk_service_take_image(struct service *s, const struct item *i, const char *ref);

/* The readers, by file: compose_service.c, compose_env.c, compose_mounts.c, compose_health.c, compose_deploy.c */
void sk_service_image(struct service *s, const struct item *i, const char *prop);
void sk_service_command(struct service *s, const struct item *i, const char *prop);
void sk_service_environment(struct service *s, const struct item *i, const char *prop);
void sk_service_restart(struct service *s, const struct item *i, const char *prop);
void sk_service_depends_on(struct service *s, const struct item *i, const char *prop);
void sk_service_network_mode(struct service *s, const struct item *i, const char *prop);
void sk_service_read_only(struct service *s, const struct item *i, const char *prop);
void sk_service_same(struct service *s, const struct item *i, const char *prop);
void sk_service_container_name(struct service *s, const struct item *i, const char *prop);
void sk_service_string(struct service *s, const struct item *i, const char *prop);
void sk_service_number(struct service *s, const struct item *i, const char *prop);
void sk_service_devices(struct service *s, const struct item *i, const char *prop);
void sk_service_volumes(struct service *s, const struct item *i, const char *prop);
void sk_service_health(struct service *s, const struct item *i, const char *prop);
void sk_service_deploy(struct service *s, const struct item *i, const char *prop);
void sk_service_x(struct service *s, const struct item *i, const char *prop);
