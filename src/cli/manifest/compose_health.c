/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/str.h"
#include "cli/manifest/compose_service.h"

/* Health checks, and x-skerry of a service. */

static void put_check(struct service *s, const struct dts *d, const struct item *i,
		      const char **test, size_t n)
{
	const char *shell[] = { "/bin/sh", "-c", n > 0 ? test[n - 1] : "" };

	if (i->v->kind != SK_YAML_LIST)
		sk_dts_strings(d, "command", i, shell, 3);
	else if (sk_streq(test[0], "NONE") && n == 1)
		sk_dts_switch(d, "disable", i);
	else if (sk_streq(test[0], "CMD") && n > 1)
		sk_dts_strings(d, "command", i, test + 1, n - 1);
	else if (sk_streq(test[0], "CMD-SHELL") && n == 2)
		sk_dts_strings(d, "command", i, shell, 3);
	else
		sk_item_wrong(s->c, i, "write [\"CMD\", \"program\", ...]",
			      "is not NONE, CMD with a program, or CMD-SHELL with one string");
}

static void health_test(struct service *s, const struct dts *d, const struct item *i)
{
	size_t n;
	_cleanup_free_ const char **test = sk_item_texts(s->c, i, &n);

	if (test)
		put_check(s, d, i, test, n);
}

static const struct compose_word health_words[] = {
	{ "interval", "interval", AS_STRING, NULL },
	{ "timeout", "timeout", AS_STRING, NULL },
	{ "retries", "retries", AS_NUMBER, NULL },
	{ "start_period", "start-period", AS_STRING, NULL },
	{ "disable", "disable", AS_SWITCH, NULL },
	{ "test", NULL, AS_STRINGS, NULL },
	{ "start_interval", NULL, AS_STRING, "write interval" },
	{ 0 },
};

static void health_word(struct service *s, const struct dts *d, const struct item *i)
{
	const struct compose_word *w = health_words;

	while (w->key && !sk_streq(w->key, i->key))
		w++;
	if (!w->key)
		sk_compose_unknown(s->c, i, health_words, sizeof(health_words[0]));
	else if (sk_streq(w->key, "test"))
		health_test(s, d, i);
	else
		sk_compose_word(d, i, w);
}

/* The Compose specification's own defaults: they differ from those of a manifest. */
static void health_defaults(const struct dts *d, const struct item *i)
{
	static const char *const same[] = { "interval", "timeout" };

	if (!sk_yaml_get(i->v, "test") || sk_yaml_get(i->v, "disable"))
		return;
	for (size_t k = 0; k < ARRAY_SIZE(same); k++)
		if (!sk_yaml_get(i->v, same[k]))
			sk_dts_string(d, same[k], i, "30s");
}

/* A check may stand in healthcheck or in x-skerry. */
static int begin_check(struct service *s, const struct dts *d, const struct item *i)
{
	if (s->has_health) {
		sk_item_wrong(s->c, i, "leave one of the two out",
			      "another check stands beside it");
		return -1;
	}
	s->has_health = true;
	sk_dts_open(d, i);
	return 0;
}

void sk_service_health(struct service *s, const struct item *i, const char *prop)
{
	char path[WHERE_MAX], where[WHERE_MAX];
	const struct dts d = sk_service_sub(s, "health-check", path);

	if (!sk_item_is_map(s->c, i, "must be a map"))
		return;
	if (begin_check(s, &d, i) < 0)
		return;
	for (size_t k = 0; k < i->v->n; k++) {
		struct item at = sk_item_at(i, &i->v->pairs[k], where);

		health_word(s, &d, &at);
	}
	health_defaults(&d, i);
	sk_dts_close(&d);
}

static const struct compose_word x_health_words[] = {
	{ "disable", "disable", AS_SWITCH, NULL },
	{ "command", "command", AS_STRINGS, NULL },
	{ "http", "http", AS_STRING, NULL },
	{ "port", "port", AS_NUMBER, NULL },
	{ "interval", "interval", AS_STRING, NULL },
	{ "timeout", "timeout", AS_STRING, NULL },
	{ "start-period", "start-period", AS_STRING, NULL },
	{ "retries", "retries", AS_NUMBER, NULL },
	{ 0 },
};

/* Words of a manifest that Compose has none for. */
static const struct compose_word x_words[] = {
	{ "image", "image", AS_STRING, NULL },
	{ "health-check", "health-check", AS_STRING, NULL },
	{ "kind", "kind", AS_STRING, NULL },
	{ "restart-max", "restart-max", AS_NUMBER, NULL },
	{ "restart-window", "restart-window", AS_STRING, NULL },
	{ "backoff-min", "backoff-min", AS_STRING, NULL },
	{ "backoff-max", "backoff-max", AS_STRING, NULL },
	{ "keep-logs", "keep-logs", AS_SWITCH, NULL },
	{ "msg-servers", "msg_servers", AS_STRINGS, NULL },
	{ "aux_device_setup_script", "aux_device_setup_script", AS_STRING, NULL },
	{ 0 },
};

static void x_health(struct service *s, const struct item *i)
{
	char path[WHERE_MAX];
	const struct dts d = sk_service_sub(s, "health-check", path);

	if (begin_check(s, &d, i) < 0)
		return;
	sk_compose_words(&d, i, x_health_words);
	sk_dts_close(&d);
}

void sk_service_x(struct service *s, const struct item *i, const char *prop)
{
	if (!sk_item_is_map(s->c, i, "must be a map"))
		return;
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);
		const struct compose_word *w = x_words;

		while (w->key && !sk_compose_same(w->key, at.key))
			w++;
		if (!w->key)
			sk_compose_unknown(s->c, &at, x_words, sizeof(x_words[0]));
		else if (sk_streq(w->key, "health-check"))
			x_health(s, &at);
		else if (!sk_streq(w->key, "image")) /* that one was read first */
			sk_compose_word(&s->props, &at, w);
	}
}
