/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/str.h"
#include "cli/manifest/compose_service.h"

/* "deploy": limits and the restart policy. */

static void limit_words(struct service *s, const struct item *i)
{
	static const struct compose_word words[] = {
		{ "cpus", "cpu-limit", AS_STRING, NULL },
		{ "memory", "memory-limit", AS_STRING, NULL },
		{ "pids", "pids-limit", AS_NUMBER, NULL },
		{ 0 },
	};

	sk_compose_words(&s->props, i, words);
}

/* Compose's "none" and "any" are a manifest's "no" and "always". */
static void policy_condition(struct service *s, const struct item *i)
{
	const char *text = sk_item_text(s->c, i);

	if (!text)
		return;
	if (sk_streq(text, "none"))
		text = "no";
	else if (sk_streq(text, "any"))
		text = "always";
	sk_dts_string(&s->props, "restart", i, text);
}

static void read_policy(struct service *s, const struct item *i)
{
	static const struct compose_word words[] = {
		{ "condition", NULL, AS_STRING, NULL },
		{ "delay", "backoff-min", AS_STRING, NULL },
		{ "max_attempts", "restart-max", AS_NUMBER, NULL },
		{ "window", "restart-window", AS_STRING, NULL },
		{ 0 },
	};

	if (!sk_item_is_map(s->c, i, "must be a map"))
		return;
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);
		const struct compose_word *w = words;

		while (w->key && !sk_streq(w->key, at.key))
			w++;
		if (!w->key)
			sk_compose_unknown(s->c, &at, words, sizeof(words[0]));
		else if (!w->prop)
			policy_condition(s, &at);
		else
			sk_compose_word(&s->props, &at, w);
	}
	if (!sk_yaml_get(i->v, "condition"))
		sk_dts_string(&s->props, "restart", i, "always");
}

static void deploy_limits(struct service *s, const struct item *i)
{
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);

		if (i->v->kind == SK_YAML_MAP && sk_streq(at.key, "limits"))
			limit_words(s, &at);
		else
			sk_service_refuse(s, &at, "write limits");
	}
}

static void deploy_key(struct service *s, const struct item *i)
{
	const char *text;

	if (sk_streq(i->key, "resources") && i->v->kind == SK_YAML_MAP) {
		deploy_limits(s, i);
	} else if (sk_streq(i->key, "restart_policy")) {
		s->has_restart = true;
		read_policy(s, i);
	} else if (sk_streq(i->key, "replicas")) {
		text = sk_item_text(s->c, i);
		if (text && !sk_streq(text, "1"))
			sk_service_refuse(s, i, "write a service for each");
	} else {
		sk_service_refuse(s, i, "leave it out");
	}
}

void sk_service_deploy(struct service *s, const struct item *i, const char *prop)
{
	if (!sk_item_is_map(s->c, i, "must be a map"))
		return;
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);

		deploy_key(s, &at);
	}
}
