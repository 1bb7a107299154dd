/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/macros.h"
#include "cli/manifest/source.h"

/*
 * A YAML file as a tree with line numbers, bounded: size, depth, number of nodes, and how much
 * aliases expand to. Aliases share their node; merge keys ("<<") are laid in.
 */
#define SK_YAML_SIZE_MAX   (1u << 20)
#define SK_YAML_DEPTH_MAX  32
#define SK_YAML_NODES_MAX  50000
#define SK_YAML_VALUES_MAX (4u << 20) /* bytes of all values, variables expanded */

enum sk_yaml_kind { SK_YAML_SCALAR, SK_YAML_LIST, SK_YAML_MAP };

struct sk_yaml;
struct sk_yaml_pair {
	char *key;
	unsigned line;
	struct sk_yaml *value;
};

struct sk_yaml {
	enum sk_yaml_kind kind;
	unsigned line;
	char *text;		    /* scalar; variables have become their values, "$$" "$" */
	bool plain;		    /* scalar without quotes: null and true mean something */
	struct sk_yaml **items;	    /* list */
	struct sk_yaml_pair *pairs; /* map */
	size_t n;
	size_t weight; /* nodes below it, aliases counted each time; at most SK_YAML_NODES_MAX */
};

struct sk_yaml_doc;
void sk_yaml_free(struct sk_yaml_doc *d);
SK_DEFINE_CLEANUP(struct sk_yaml_doc, sk_yaml_free);
const struct sk_yaml *sk_yaml_root(const struct sk_yaml_doc *d);

/**
 * sk_yaml_parse() - one document
 * @file: for the mistakes
 * @vars: what $NAME stands for (compose_vars.h); NULL for nothing
 * Return: 0; -EINVAL, see @mistakes; -ENOMEM
 */
int sk_yaml_parse(const char *text, size_t len, const char *file, const struct sk_map *vars,
		  struct sk_mistakes *mistakes, struct sk_yaml_doc **ret);

const struct sk_yaml_pair *sk_yaml_get(const struct sk_yaml *map, const char *key);
bool sk_yaml_is_null(const struct sk_yaml *v);
/** 1 true, 0 false, -1 neither */
int sk_yaml_bool(const struct sk_yaml *v);
