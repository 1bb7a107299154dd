/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/text.h"
#include "cli/hub/session.h"

#define SHORT_ID 12

/* What a hub sends, devices wrote: no escape sequence reaches the terminal. */
static char *clean(const char *s, size_t max)
{
	char *copy = strndup(s, max);

	if (copy)
		sk_text_clean(copy, "");
	return copy;
}

static char *format_time(int64_t at_s, bool ago)
{
	char buf[32];
	int64_t now = sk_wall_s();

	if (at_s <= 0)
		return strdup("-");
	if (ago && at_s <= now) {
		uint64_t s = (uint64_t)(now - at_s);

		/* Two figures are enough for a glance. */
		s = s > 86400 ? s - s % 3600 : s > 3600 ? s - s % 60 : s;
		return sk_asprintf("%s ago", sk_format_duration(buf, s * 1000));
	}
	return strdup(sk_time_format(buf, at_s));
}

static char *joined(const json_t *list)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *all = NULL;
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		(void)sk_strv_add(&v, json_is_string(item) ? json_string_value(item) : "?");
	}
	all = sk_strv_join(v, ", ");
	return all ? clean(all, SIZE_MAX / 2) : NULL;
}

char *sk_hub_text(const json_t *obj, const struct sk_hub_column *column)
{
	const json_t *v = json_object_get(obj, column->key);
	char buf[32];

	if (json_is_array(v))
		return joined(v);
	if (json_is_boolean(v))
		return strdup(json_is_true(v) ? "yes" : "no");
	if (json_is_integer(v)) {
		if (column->form == SK_HUB_TIME || column->form == SK_HUB_AGO)
			return format_time(json_integer_value(v), column->form == SK_HUB_AGO);
		if (column->form == SK_HUB_SIZE)
			return strdup(sk_format_size(buf, (uint64_t)json_integer_value(v)));
		return sk_asprintf("%lld", (long long)json_integer_value(v));
	}
	if (!json_is_string(v) || !*json_string_value(v))
		return strdup("-");
	return clean(json_string_value(v),
		     column->form == SK_HUB_SHORT ? SHORT_ID : json_string_length(v));
}

static void add_text_row(struct sk_table *t, const json_t *obj, const struct sk_hub_column *columns)
{
	char *cell[SK_HUB_COLUMNS_MAX] = { NULL };
	size_t n = 0;

	for (; columns[n].heading && n < SK_HUB_COLUMNS_MAX; n++)
		cell[n] = sk_hub_text(obj, &columns[n]);
	/* The table takes as many as it has headings; a NULL cell is an empty one. */
	(void)sk_table_row(t, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[6],
			   cell[7], cell[8], cell[9], cell[10], cell[11], NULL);
	for (size_t i = 0; i < n; i++)
		free(cell[i]);
}

void sk_hub_print_list(struct sk_cli *cli, json_t *steals, const struct sk_hub_column *columns)
{
	const char *headings[SK_HUB_COLUMNS_MAX + 1] = { NULL };
	struct sk_table *t;
	json_t *obj;
	size_t i;

	if (sk_cli_json(cli)) {
		sk_cli_print_json(steals);
		return;
	}
	for (i = 0; columns[i].heading && i < SK_HUB_COLUMNS_MAX; i++)
		headings[i] = columns[i].heading;
	t = sk_table_new(headings);
	json_array_foreach (steals, i, obj) {
		add_text_row(t, obj, columns);
	}
	sk_table_print(t);
	json_decref(steals);
}

void sk_hub_print_one(struct sk_cli *cli, json_t *steals, const struct sk_hub_column *columns)
{
	if (sk_cli_json(cli)) {
		sk_cli_print_json(steals);
		return;
	}
	for (; columns->heading; columns++) {
		_cleanup_free_ char *text = sk_hub_text(steals, columns);

		(void)printf("%-14s %s\n", columns->heading, text ? text : "");
	}
	json_decref(steals);
}

void sk_hub_said(struct sk_cli *cli, json_t *steals, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (sk_cli_json(cli)) {
		sk_cli_print_json(steals ? steals : json_object());
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text) {
		sk_text_clean(text, "");
		(void)puts(text);
	}
	json_decref(steals);
}
