/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "cli/manifest/source.h"
#include "cli/manifest/yaml.h"

/* Between the files that turn a Compose file into manifest source. */

struct compose {
	struct sk_source *s;
	struct sk_buf top, release, apps, links; /* manifest source, by part */
	struct sk_map *volumes; /* declared name -> the service that has it, "" when none yet */
	struct sk_map *images;	/* image file -> the reference that it was made from */
	struct sk_map *rows;	/* service -> struct compose_row: those that depend on it */
	bool failed;		/* out of memory, or over a bound */
};

struct compose_row {
	char **dependants;
	unsigned line;
	char *where;
};

/** One value of the file with the words that name it: "services.web.mem_limit". */
struct item {
	const struct sk_yaml *v;
	unsigned line;
	const char *key;
	const char *where;
};
#define WHERE_MAX 256
/** The pair @p below @up, with its words in @buf. */
struct item sk_item_at(const struct item *up, const struct sk_yaml_pair *p, char buf[WHERE_MAX]);

void sk_item_wrong(struct compose *c, const struct item *i, const char *hint, const char *fmt, ...)
	SK_PRINTF(4, 5);
/** sk_item_is_map() - is its value a map? If not, that is reported as a mistake: @must says what it must be. */
bool sk_item_is_map(struct compose *c, const struct item *i, const char *must);
/** The scalar's text, or NULL after reporting that it is none (a list, a map, null). */
const char *sk_item_text(struct compose *c, const struct item *i);
/** Texts of a list of scalars, or of one scalar; borrowed; NULL after reporting a mistake. Free the vector. */
const char **sk_item_texts(struct compose *c, const struct item *i, size_t *ret_n);

/* Writing: a property of the node @path, whose place is that of @i. */
struct dts {
	struct compose *c;
	struct sk_buf *out;
	const char *path;
};
void sk_dts_raw(const struct dts *d, const char *fmt, ...) SK_PRINTF(2, 3);
void sk_dts_strings(const struct dts *d, const char *prop, const struct item *i,
		    const char *const *v, size_t n);
void sk_dts_string(const struct dts *d, const char *prop, const struct item *i, const char *s);
void sk_dts_switch(const struct dts *d, const char *prop, const struct item *i);
void sk_dts_number(const struct dts *d, const char *prop, const struct item *i, const char *digits);
void sk_dts_open(const struct dts *d, const struct item *i); /* the node d->path itself */
void sk_dts_close(const struct dts *d);

/** A key that becomes a property of the same meaning, or is refused (@prop NULL) with a hint. */
enum compose_type { AS_STRING, AS_STRINGS, AS_SWITCH, AS_NUMBER };
struct compose_word {
	const char *key;
	const char *prop;
	enum compose_type type;
	const char *hint;
};
/** Each key of the map @i by the table (which a row without key ends); '-' and '_' are one. */
void sk_compose_words(const struct dts *d, const struct item *i, const struct compose_word *words);
void sk_compose_word(const struct dts *d, const struct item *i, const struct compose_word *w);
bool sk_compose_same(const char *a, const char *b);
/** An unknown key: reported, with the nearest of @keys (@stride apart, the name first in each). */
void sk_compose_unknown(struct compose *c, const struct item *i, const void *keys, size_t stride);

void sk_compose_service(struct compose *c, const struct item *i);
/** The path of a file that the Compose file names from its own folder; owned by the caller. */
char *sk_compose_beside(const struct sk_source *s, const char *name);
