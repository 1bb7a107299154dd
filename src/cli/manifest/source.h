/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/map.h"
#include "model/manifest.h"

/*
 * Where a manifest comes from, and what is wrong with it in terms of what the user wrote: file,
 * line, and the words of that file.
 */

/** struct sk_mistake - @line 0: unknown; @where: "/apps/web: image", or NULL; @hint may be NULL */
struct sk_mistake {
	char *file;
	unsigned line;
	char *where;
	char *text;
	char *hint;
};
#define SK_MISTAKES_MAX 64
struct sk_mistakes {
	struct sk_mistake *v;
	size_t n; /* at most SK_MISTAKES_MAX are kept */
};
void sk_mistakes_done(struct sk_mistakes *m);
/** @where and @hint may be NULL. Return: -EINVAL, or -ENOMEM. */
int sk_mistake(struct sk_mistakes *m, const char *file, unsigned line, const char *where,
	       const char *hint, const char *fmt, ...) SK_PRINTF(6, 7);
/** "FILE:LINE: where: text; hint" */
char *sk_mistake_str(const struct sk_mistake *m);

/** Places of nodes and properties of the device tree in what the user wrote. */
struct sk_place {
	char *file;
	unsigned line;
	char *where; /* the user's own words for it, or NULL: those of the device tree are his */
};
struct sk_places;
struct sk_places *sk_places_new(void);
void sk_places_free(struct sk_places *p);
SK_DEFINE_CLEANUP(struct sk_places, sk_places_free);
/** The first place given for a node or property counts. @prop and @where may be NULL. */
int sk_places_add(struct sk_places *p, const char *path, const char *prop, const char *file,
		  unsigned line, const char *where);
/** The place of the property, else of the node, else of the nearest node above; may be NULL. */
const struct sk_place *sk_places_find(const struct sk_places *p, const char *path,
				      const char *prop);

struct sk_source {
	const char *path; /* as the user gave it; borrowed */
	char *dts;	  /* generated from a Compose file; else NULL */
	void *dtb;
	size_t len;
	struct sk_places *places; /* NULL: the file has no lines */
	struct sk_mistakes mistakes;
};
void sk_source_done(struct sk_source *s);

/**
 * sk_source_load() - read, compile, check
 * Return: 0; -EINVAL ("bad-manifest") with s->mistakes; other errors without any
 */
int sk_source_load(const char *path, struct sk_source *s, struct sk_manifest **ret,
		   struct sk_err *err);

#define SK_SOURCE_MAX (16u << 20) /* with all that is included */

/** dts_scan.c: what dtc must not be given. Mistakes as above. */
int sk_dts_scan(struct sk_source *s, struct sk_err *err);
/** dts.c: run dtc on a file (@fd < 0) or on what @fd holds. Mistakes as above. */
int sk_dts_compile(struct sk_source *s, int fd, struct sk_err *err);
/** Places of all nodes and properties of a .dts file and of what it includes. */
int sk_dts_places(const char *path, struct sk_places **ret, struct sk_err *err);

/** compose.c: fills s->dts and s->places, or s->mistakes. */
int sk_compose_to_dts(const char *yaml, size_t len, struct sk_source *s, struct sk_err *err);
