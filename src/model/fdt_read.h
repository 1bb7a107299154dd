/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "base/map.h"
#include "model/manifest.h"

/*
 * Strict reading of a flattened device tree by tables of words. A mistake becomes a diagnostic and
 * reading goes on, so that all mistakes are reported together; the reader remembers that there was one.
 * Used by manifest*.c and run.c only.
 */
#define SK_FDT_DEPTH_MAX  16
#define SK_FDT_NAME_MAX	  255
#define SK_FDT_NODES_MAX  16384u
#define SK_FDT_PROPS_MAX  65536u
#define SK_FDT_STRING_MAX 32768
#define SK_DIAGS_MAX	  64

/** A word of another language, and what to write here instead. */
struct sk_alien {
	const char *word;
	const char *hint;
};

struct sk_reader {
	const void *fdt;
	const struct sk_alien *aliens; /* ended by a NULL word; may be NULL */
	struct sk_diags *diags;
	struct sk_diags own;	 /* when the caller passes none */
	size_t first;		 /* diagnostics that were there before */
	int place[SK_DIAGS_MAX]; /* offset that each is about: they are kept in file order */
	size_t wrong;		 /* mistakes, also those not kept */
	struct sk_diag *last;	 /* NULL when it was not kept */
	bool oom;
};

void sk_reader_init(struct sk_reader *r, const void *fdt, struct sk_diags *diags);
/** Return: 0, -ENOMEM, or -EINVAL ("bad-manifest") with the first mistake in @err. */
int sk_reader_end(struct sk_reader *r, struct sk_err *err);

/** sk_rd_wrong() - @node is at fault, or its property @prop; sk_rd_hint() adds to the last one. */
void sk_rd_wrong(struct sk_reader *r, int node, const char *prop, const char *fmt, ...)
	SK_PRINTF(4, 5);
void sk_rd_hint(struct sk_reader *r, const char *fmt, ...) SK_PRINTF(2, 3);
/** The same, or NULL and r->oom. */
char *sk_rd_strdup(struct sk_reader *r, const char *s);
void *sk_rd_calloc(struct sk_reader *r, size_t n, size_t size);

/** One property as it stands in the tree. */
struct sk_prop {
	int node;
	const char *name;
	const char *data;
	int len;
};

/**
 * struct sk_word - a property that a node may have
 * @field:    offset of what it fills
 * @min, @max: bounds of a number, a size in bytes, a duration in ms; of a list: its length
 * @ok, @expect: check of each string, and its words: "\"x\" is not <expect>"
 * @choices:  NULL-terminated words of an enumeration, in the order of its values
 * @example:  what to write instead
 */
struct sk_word;
typedef void (*sk_word_fn)(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
			   void *field);
struct sk_word {
	const char *name;
	sk_word_fn read;
	size_t field;
	uint64_t min, max;
	bool (*ok)(const char *s);
	const char *expect;
	const char *const *choices;
	const char *example;
	bool required;
};

void sk_rd_bool(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field);
void sk_rd_u32(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field);
void sk_rd_u64(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field);
void sk_rd_string(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		  void *field);
void sk_rd_strv(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field);
void sk_rd_size(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field);
void sk_rd_duration(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		    void *field);
void sk_rd_enum(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field);

/** For words with a meaning of their own: the one string of @p, or NULL after telling it. */
const char *sk_prop_string(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w);
void sk_rd_bad_value(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w);

/** A table of words and the struct that they fill. */
struct sk_words {
	const struct sk_word *words;
	size_t n; /* at most 64 */
	void *to;
};
void sk_rd_props(struct sk_reader *r, int node, const struct sk_words *sets, size_t n_sets);

/** Subnodes with fixed names; @read may be NULL: its place is all that is checked. */
struct sk_sub {
	const char *name;
	void (*read)(struct sk_reader *r, int node, void *to);
};
void sk_rd_nodes(struct sk_reader *r, int node, const struct sk_sub *subs, size_t n, void *to);
void sk_rd_no_nodes(struct sk_reader *r, int node);
void sk_rd_no_props(struct sk_reader *r, int node);

/** Properties with free names; @each is called once per name, at most @max times. */
void sk_rd_free_props(struct sk_reader *r, int node, size_t max, const char *what,
		      bool (*name_ok)(const char *),
		      void (*each)(struct sk_reader *r, const struct sk_prop *p, void *to),
		      void *to);
size_t sk_count_props(const void *fdt, int node);

/** Subnodes with free names, each once, each sk_name_ok(). */
struct sk_children {
	int *nodes;
	size_t n;
	struct sk_map *index; /* name -> index + 1 */
};
void sk_rd_children(struct sk_reader *r, int node, size_t max, const char *what,
		    struct sk_children *ret);
void sk_children_done(struct sk_children *c);
/** sk_children_find() - index, or -1. */
int sk_children_find(const struct sk_children *c, const char *name);
/** sk_rd_known() - each of @names is one of @c (@what: "app"), and there once. */
void sk_rd_known(struct sk_reader *r, int node, const char *prop, char *const *names,
		 const struct sk_children *c, const char *what);

/**
 * sk_fdt_unsound() - may libfdt walk this stranger's tree?
 * @fdt: 8-byte aligned; @len: its exact length
 * Return: NULL, or what is wrong with it. Takes time in proportion to @len, whatever it holds.
 */
const char *sk_fdt_unsound(const void *fdt, size_t len);
/** Size, depth, names, structure. 0, -EINVAL ("bad-manifest"), -EFBIG ("too-large"). */
int sk_fdt_check(const void *fdt, size_t len, struct sk_err *err);
/** sk_fdt_aligned() - @fdt itself, or a copy in *ret_copy where libfdt can read it; NULL: -ENOMEM. */
const void *sk_fdt_aligned(const void *fdt, size_t len, void **ret_copy);

/** An absolute path in its simplest form, other than "/". */
bool sk_abs_path_ok(const char *s);
